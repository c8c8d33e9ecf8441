"""The libraries that the suite is about are there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.mark.parametrize("name", ["numpy", "torch", "tensorflow", "keras"])
def test_frameworks_are_installed(name: str) -> None:
    """A library whose tests would be left out in silence fails the suite instead."""
    assert find_spec(name) is not None, f"{name} is missing: the development group names it"
