"""`examples/ci`: a project with a test that keeps its limits and one that does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "ci"
FAILS = "test_wasteful_loading_copies_once"


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """Return a copy of the project, in the test's folder."""
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    return pytester.path


def test_it_says_what_its_readme_says(project, run):
    """
    Two tests pass, one of them against the recording that is kept there; the failing one shows
    both copies on the line that makes them.
    """
    done = run("-v")

    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(
        [
            "test_loading.py::test_loading_copies_nothing PASSED*",
            "test_loading.py::test_wasteful_loading_costs_what_it_did PASSED*",
            f"test_loading.py::{FAILS}[[]1000[]] FAILED*",
            "copies: 96.0 kB, and the limit is 32.0 kB, by the marker limit_copies",
            "*18  96.0 kB*return torch.tensor(table).float()",
            "*explicit copy  numpy:float64 → torch:float64*",
            "*explicit copy  torch:float64 → torch:float32*",
        ]
    )


def without_versions(text):
    """Return a kept recording's text, but for the releases of the libraries that made it."""
    return re.sub(r'"(numpy|torch)": "[^"]+"', r'"\1": ""', text)


def test_a_recording_altered_in_one_number_makes_it_fail(project, run):
    """
    And the command in the output mends it.
    """
    path = project / "test_loading.recordings" / "wasteful.json"
    kept = path.read_text(encoding="utf-8")
    document = json.loads(kept)
    document["conversions"][0]["bytes_read"] += 1
    path.write_text(json.dumps(document), encoding="utf-8")
    name = "test_loading.py::test_wasteful_loading_costs_what_it_did"

    done = run(name)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f'  pytest "{name}" --tensorcost-record=fix'])
    run(name, "--tensorcost-record=fix").assert_outcomes(passed=1)
    assert without_versions(kept) == without_versions(path.read_text(encoding="utf-8"))


def test_its_workflow_annotates_the_line(project, plugin, tmp_path):
    """
    The commands of the workflow, run as GitHub would run them, from the shell.
    """
    workflow = (project / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    (command,) = [one for one in workflow.splitlines() if "run: pytest" in one]
    options = command.partition("run: pytest ")[2].split()
    environment = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(project)}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *options],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 failed, 2 passed" in done.stdout
    errors = [one for one in done.stdout.splitlines() if one.startswith("::error ")]
    assert [
        "::error file=loading.py,line=18,title=Tensor conversions::"
        f"test_loading.py::{FAILS}[{rows}]: copies: {copied}, and the limit is {limit}, "
        "by the marker limit_copies"
        for rows, copied, limit in ((1000, "96.0 kB", "32.0 kB"), (2000, "192 kB", "64.0 kB"))
    ] == errors
    assert json.loads((project / "conversions.json").read_text())["version"] == 1
