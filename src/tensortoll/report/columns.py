"""The numbers beside a line of source, and which of them a recording has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tensortoll.model import Conversion, LineCost, Source
from tensortoll.report.values import Column
from tensortoll.report.words import WORTH_BYTES, cast_text
from tensortoll.sizes import format_bytes, format_count, format_time, format_times

_Known = tuple[Sequence[Conversion], LineCost | None]
_Cell = Callable[[Sequence[Conversion], LineCost], str]


def chosen(
    lines: Mapping[int, _Known],
) -> tuple[tuple[Column, ...], dict[int, tuple[str, ...]]]:
    """Return the columns that have something in them, and their cells by line.

    The copied bytes always have a column. What a line took as a whole stands in place of what its
    conversions took: two times side by side are read as one.
    """
    observed = any(cost is not None and cost.elapsed_ns for _, cost in lines.values())
    table = [(column, cell) for column, cell in _COLUMNS if column.key != _TIMES[not observed]]
    rows = {
        line: tuple(cell(conversions, cost or _NO_COST) for _, cell in table)
        for line, (conversions, cost) in lines.items()
    }
    filled = [
        n
        for n, (column, _) in enumerate(table)
        if column.key == COPIED or any(row[n] for row in rows.values())
    ]
    columns = tuple(table[n][0] for n in filled)
    return columns, {line: tuple(row[n] for n in filled) for line, row in rows.items()}


def _copied(conversions: Sequence[Conversion], _: LineCost) -> str:
    if not conversions:
        return ""
    outcomes = {one.route.outcome for one in conversions}
    copied = sum(one.totals.bytes_written for one in conversions if one.route.outcome == "copy")
    if "copy" not in outcomes:
        return "failed" if "failed" in outcomes else "view"
    # Nothing was written that is an array; "0 B" would read as "shared".
    all_unboxed = all("unbox" in one.route.effects for one in conversions)
    return "unbox" if not copied and all_unboxed else format_bytes(copied)


def _cast(conversions: Sequence[Conversion], _: LineCost) -> str:
    return cast_text(conversions)


def _count(conversions: Sequence[Conversion], _: LineCost) -> str:
    count = sum(one.totals.count for one in conversions)
    return format_times(count) if count > 1 else ""


def _converting(conversions: Sequence[Conversion], _: LineCost) -> str:
    elapsed_ns = sum(one.totals.elapsed_ns for one in conversions)
    return format_time(elapsed_ns) if elapsed_ns else ""


def _time(_: Sequence[Conversion], cost: LineCost) -> str:
    return format_time(cost.elapsed_ns) if cost.elapsed_ns else ""


def _hits(_: Sequence[Conversion], cost: LineCost) -> str:
    return format_count(cost.hits) if cost.hits else ""


def _allocated(_: Sequence[Conversion], cost: LineCost) -> str:
    # Python's own bookkeeping, and ours, comes with every line.
    return format_bytes(cost.allocated_bytes) if cost.allocated_bytes >= WORTH_BYTES else ""


def _peak(_: Sequence[Conversion], cost: LineCost) -> str:
    return format_bytes(cost.peak_bytes) if cost.peak_bytes else ""


COPIED: Final = "copied"
CONVERTING: Final = "converting"
LINE_TIME: Final = "time"
PEAK: Final = "peak"
"""Drawn as a bar, where there is room for one: its numbers are on a line in the headline."""
_TIMES: Final = (CONVERTING, LINE_TIME)
_NO_COST: Final = LineCost(Source("", None), 0)

# In the order in which they are read. To add one: a function and a line.
_COLUMNS: Final[tuple[tuple[Column, _Cell], ...]] = (
    (Column(LINE_TIME, "time", 2), _time),
    (Column("hits", "hits", 6), _hits),
    (Column("allocated", "allocated", 5), _allocated),
    (Column(PEAK, "peak", 4), _peak),
    (Column(COPIED, "copied", 0), _copied),
    (Column("cast", "cast", 1), _cast),
    (Column("count", "count", 7), _count),
    (Column(CONVERTING, "time", 3), _converting),
)
