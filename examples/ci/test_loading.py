"""One test that keeps its limits, one that is held against a recording, and one that fails."""

from __future__ import annotations

import pytest
from loading import load, load_wastefully


@pytest.mark.limit_copies(0)
@pytest.mark.limit_casts(0)
def test_loading_copies_nothing():
    assert load(1_000).shape == (1_000, 8)


def test_wasteful_loading_costs_what_it_did(tensorcost):
    with tensorcost:
        load_wastefully(1_000)
    tensorcost.matches("wasteful")


@pytest.mark.limit_copies(lambda rows: rows * 8 * 4)
@pytest.mark.parametrize("rows", [1_000, 2_000])
def test_wasteful_loading_copies_once(rows):
    """Fails: the table is copied as float64 first, and then cast."""
    load_wastefully(rows)
