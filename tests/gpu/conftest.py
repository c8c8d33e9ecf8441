"""These tests want a real GPU of NVIDIA's, and are left out only where the machine has none.

A library that is missing, or built without CUDA, fails them: that is what they are to find out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_DRIVER = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if any(one.exists() for one in _DRIVER):
        return
    reason = "this machine has no GPU of NVIDIA's"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))
