"""Expressions in loops: what came before is not judged anew, and must count the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensortoll
from tensortoll.model import Conversion

EXPRESSIONS = (
    "x.astype(np.float32)",
    "x.astype(np.float32, copy=False)",
    "np.asarray(x, np.float32)",
    "np.ascontiguousarray(x)",
    "np.array(x)",
    "x.ravel()",
    "x.reshape(-1)",
    "x.copy()",
    "x.tolist()",
)
MAKERS = (
    lambda: np.ones((4, 6)),
    lambda: np.ones((4, 6), np.float32),
    lambda: np.ones((6, 4), np.float32).T,
    lambda: np.ones((4, 12))[:, ::2],
    lambda: np.ones(24, ">f4"),
    lambda: np.ones((4, 6), np.int64)[::-1],
    lambda: np.ones(0),
    lambda: [1.0, 2.0],
    lambda: [[1.0, 2.0]],
)


BASES = (
    lambda: np.zeros((4, 6)),
    lambda: np.zeros((4, 6), np.float32),
    lambda: np.zeros((6, 4)).T,
    lambda: np.zeros((4, 6))[::-1],
)
INDICES = (
    0,
    -1,
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    (Ellipsis, 0),
    (slice(2), 1),
    None,
)


def watched(expression: str, values: list[Any]) -> tuple[tuple[Conversion, ...], list[Any]]:
    space: dict[str, Any] = {"np": np, "values": values, "made": []}
    text = f"for x in values:\n    made.append({expression})"
    recording = tensortoll.run_source(
        text, name="case.py", namespace=space, memory=False, time=False
    )
    assert recording.faults == ()
    return recording.conversions, space["made"]


def stored(turns: list[tuple[Any, Any, Any]]) -> tuple[Conversion, ...]:
    text = "for base, index, new in turns:\n    base[index] = new"
    space = {"turns": turns}
    recording = tensortoll.run_source(
        text, name="case.py", namespace=space, memory=False, time=False
    )
    assert recording.faults == ()
    return recording.conversions


def added(rows: Iterable[Conversion]) -> dict[Any, list[int]]:
    sums: dict[Any, list[int]] = {}
    for one in rows:
        route, totals = one.route, one.totals
        key = (route.outcome, route.effects, route.origin, route.target)
        now = (totals.count, totals.copies, totals.bytes_read, totals.bytes_written)
        sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 4), now, strict=True)]
    return sums


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(EXPRESSIONS),
    st.lists(st.integers(0, len(MAKERS) - 1), min_size=1, max_size=12),
)
def test_a_loop_counts_what_its_turns_count_one_by_one(expression: str, numbers: list[int]) -> None:
    """In whatever order arrays of several layouts come, again and again."""
    values = [MAKERS[number]() for number in numbers]
    if "x." in expression:
        values = [one for one in values if isinstance(one, np.ndarray)]
    together, _ = watched(expression, values)
    apart = [one for value in values for one in watched(expression, [value])[0]]

    assert added(together) == added(apart)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(BASES) - 1),
            st.sampled_from(INDICES),
            st.sampled_from(("float64", "float32", "int64", "list")),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_loop_of_stores_counts_what_its_turns_count_one_by_one(
    stores: list[tuple[int, Any, str]],
) -> None:
    """Into arrays of several layouts, at whatever index."""
    turns = []
    for number, index, dtype in stores:
        base = BASES[number]()
        part = base[index]
        new = np.ones(part.shape, "float64" if dtype == "list" else dtype)
        turns.append((base, index, new.tolist() if dtype == "list" and part.ndim else new))
    together = stored(turns)
    apart = [one for turn in turns for one in stored([turn])]

    assert added(together) == added(apart)
    arrays = [turn for turn in turns if isinstance(turn[2], np.ndarray) and turn[2].ndim]
    written = sum(base[index].nbytes for base, index, _ in arrays)
    assert written == sum(
        one.totals.bytes_written for one in together if one.route.origin.library == "numpy"
    )


def test_a_mask_is_not_taken_for_the_number_of_a_row() -> None:
    """One number fills a row at `(0,)`, and the one element that a mask selects."""
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    turns = [(np.zeros((4, 6)), index, np.ones(1)) for index in ((0,), mask, (0,))]

    assert sum(one.totals.bytes_written for one in stored(turns)) == 48 + 8 + 48


@pytest.mark.parametrize("wanted", [[True], [None, True], [True, None, None, True] * 20])
def test_each_turn_is_proven_by_its_own_addresses(wanted: list[bool | None]) -> None:
    """Arrays of one layout, some copied and some handed on as they are."""
    flags = iter(wanted)
    values = [np.ones((2, 3)) for _ in wanted]
    space: dict[str, Any] = {"np": np, "values": values, "flags": flags, "made": []}
    text = "for x in values:\n    made.append(np.reshape(x, (2, 3), copy=next(flags)))"
    rows = tensortoll.run_source(text, name="case.py", namespace=space).conversions
    made = space["made"]
    copied = sum(not np.shares_memory(x, y) for x, y in zip(values, made, strict=True))

    assert copied == sum(map(bool, wanted))
    assert sum(one.totals.count for one in rows) == copied
    assert sum(one.totals.bytes_written for one in rows) == copied * 48


def test_time_is_added_up_in_every_turn() -> None:
    """Also where nothing is judged anew: no machine casts 100,000 elements in 10 µs."""
    [row], _ = watched("x.astype(np.float32)", [np.ones(100_000)] * 200)

    assert row.totals.count == 200
    assert row.totals.elapsed_ns > 2_000_000


def test_arrays_of_ever_new_layouts_are_counted_all() -> None:
    """More of them than are remembered."""
    rows, _ = watched("x.astype(np.float32)", [np.ones(n) for n in range(1, 601)] * 2)

    assert sum(one.totals.count for one in rows) == 1_200
    assert sum(one.totals.bytes_written for one in rows) == 2 * 4 * sum(range(601))
