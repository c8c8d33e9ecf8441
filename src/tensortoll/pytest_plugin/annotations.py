"""What went wrong, at its line of a pull request: GitHub's workflow commands.

See https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tensortoll.pytest_plugin import REPORTED


def write_annotations(reporter: Any) -> None:
    """Write a command for each line that a failed test named."""
    root = reporter.config.rootpath
    for report in reporter.stats.get("failed", ()):
        for one in getattr(report, REPORTED, {}).get("annotations", ()):
            where = f"file={_value(_in_repository(root / one['file']))},line={one['line']}"
            text = _data(f"{report.nodeid}: {one['message']}")
            reporter.write_line(f"::error {where},title=Tensor conversions::{text}")


def _in_repository(path: Path) -> str:
    workspace = os.environ.get("GITHUB_WORKSPACE", "")
    if workspace and path.is_relative_to(workspace):
        return path.relative_to(workspace).as_posix()
    return path.as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
