"""Runs of pytest inside of pytest, with the plugin on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np  # noqa: F401 - or the inner runs would import and drop it again and again
import pytest
import torch  # noqa: F401 - likewise

from tensortoll.pytest_plugin import fixture, notebooks, session  # noqa: F401 - likewise

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, plugin: tuple[str, ...]) -> Run:
    """Return a function that runs pytest in the test's folder, in this process."""

    def inner(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", *arguments)

    return inner


@pytest.fixture
def run_apart(
    pytester: pytest.Pytester, plugin: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Return a function that runs pytest in the test's folder, in a process of its own."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def inner(*arguments: Any) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*plugin, *arguments, timeout=300)

    return inner
