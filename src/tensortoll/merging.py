"""Several recordings as one: a sum of integers, the same in whatever order they come.

What can't be added is joined (versions, sentences), or left out where the parts do not agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from tensortoll.format import Contents
from tensortoll.model import Conversion, Environment, LineCost, Peak, Source, Totals

_DIGITS: Final = 4_000
"""Of a number that Python reads and writes without being told to."""
_ABOUT_SOURCES: Final = ("failures", "hazards", "findings")


def contents_of_sum(recordings: Iterable[Contents]) -> dict[str, Any]:
    """Return what the sum of recordings is made of, by the names of its fields.

    One recording is held at a time.
    """
    rows = _Rows()
    costs: dict[tuple[Source, int], LineCost] = {}
    sources: set[Source] = set()
    parts: dict[str, set[Any]] = {name: set() for name in (*_ABOUT_SOURCES, "blind_spots")}
    faults: dict[str, int] = {}
    elapsed_ns = overhead_ns = 0
    overheads: Counter[str] = Counter()
    peak: Peak | None = None
    environment = Environment()
    for recording in recordings:
        rows.add(recording.conversions)
        for cost in recording.lines:
            key = (cost.source, cost.line)
            costs[key] = costs[key].plus(cost) if key in costs else cost
        sources.update(recording.sources)
        for name, known in parts.items():
            known.update(getattr(recording, name))
        for fault in recording.faults:
            reason, times = _fault_parts(fault)
            faults[reason] = faults.get(reason, 0) + times
        elapsed_ns += recording.elapsed_ns
        overhead_ns += recording.overhead_ns
        overheads.update(dict(recording.overheads))
        # The parts of a run follow each other: no two of them hold their most at the same time.
        peak = max((one for one in (peak, recording.peak) if one is not None), default=None)
        environment = _common(environment, recording.environment)
    named = {one.source for name in _ABOUT_SOURCES for one in parts[name]}
    order = _order({*sources, *rows.sources(), *(cost.source for cost in costs.values()), *named})
    return {
        "conversions": rows.conversions(order),
        "sources": tuple(sorted(sources, key=order.__getitem__)),
        "elapsed_ns": elapsed_ns,
        "lines": tuple(sorted(costs.values(), key=lambda one: (order[one.source], one.line))),
        **{name: tuple(sorted(parts[name], key=_by_source(order))) for name in _ABOUT_SOURCES},
        "overhead_ns": overhead_ns,
        "blind_spots": tuple(sorted(parts["blind_spots"])),
        "faults": tuple(fault_text(reason, times) for reason, times in sorted(faults.items())),
        "environment": environment,
        "overheads": tuple(sorted(overheads.items())),
        "peak": peak,
    }


def fault_text(reason: str, times: int) -> str:
    """Return a fault as it stands in a recording: its reason and how often it happened."""
    return f"{reason} (x{times})"


def _fault_parts(fault: str) -> tuple[str, int]:
    reason, mark, times = fault.rpartition(" (x")
    number = times.removesuffix(")") if mark else ""
    counted = fault.endswith(")") and number.isdecimal() and len(number) <= _DIGITS
    return (reason, int(number)) if counted else (fault, 1)


class _Rows:
    """Conversions by route, added up.

    A route is found by the number of its source: comparing the source's whole text for every row
    would take most of the time.
    """

    def __init__(self) -> None:
        self._numbers: dict[Source, int] = {}
        self._rows: dict[tuple[object, ...], list[Any]] = {}

    def add(self, conversions: Iterable[Conversion]) -> None:
        """Add up the rows of one recording."""
        rows, numbers = self._rows, self._numbers
        # Only as long as the recording is held do addresses stand for its sources.
        by_address: dict[int, int] = {}
        for one in conversions:
            route = one.route
            place = route.place
            number = by_address.get(id(place.source))
            if number is None:
                number = numbers.setdefault(place.source, len(numbers))
                by_address[id(place.source)] = number
            key = (number, place[1:], route[1:])
            row = rows.get(key)
            if row is None:
                rows[key] = [route, *one.totals, one.shape, one.proof]
                continue
            count, copies, read, written, elapsed_ns = one.totals
            row[1] += count
            row[2] += copies
            row[3] += read
            row[4] += written
            row[5] += elapsed_ns
            # "The first one seen" has no meaning across runs: the least is what any order gives.
            if one.shape != row[6]:
                row[6] = _least(one.shape, row[6])
            if one.proof != row[7]:
                row[7] = _least(one.proof, row[7])

    def sources(self) -> Iterable[Source]:
        """Return the sources that the rows are of."""
        return self._numbers

    def conversions(self, order: dict[Source, int]) -> tuple[Conversion, ...]:
        """Return the sums, in the order of their places."""

        def rank(one: Conversion) -> tuple[object, ...]:
            place = one.route.place
            column = -1 if place.column is None else place.column
            rest = repr((place[2:], one.route[1:]))
            return order[place.source], place.line, column, rest

        sums = [
            Conversion(route, Totals(*numbers), shape, proof)
            for route, *numbers, shape, proof in self._rows.values()
        ]
        return tuple(sorted(sums, key=rank))


def _order(sources: Iterable[Source]) -> dict[Source, int]:
    """Return each source's place in the order of names."""
    listed = sorted(sources, key=lambda one: (one.name, one.text is not None, one.text or ""))
    return {one: number for number, one in enumerate(listed)}


def _by_source(order: dict[Source, int]) -> Callable[[Any], tuple[object, ...]]:
    def key(one: Any) -> tuple[object, ...]:
        rest = (getattr(one, name) for name in type(one).__slots__ if name != "source")
        return order[one.source], *rest

    return key


_Ordered = TypeVar("_Ordered", bound=tuple[object, ...])


def _least(one: _Ordered | None, other: _Ordered | None) -> _Ordered | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _common(one: Environment, other: Environment) -> Environment:
    """Return what two runs were made with: all versions, and of the process what both say."""
    if one == other or not _tells(other):
        return one if _tells(one) else Environment()
    if not _tells(one):
        return other
    libraries = {
        name: _all_of(each.libraries.get(name, "") for each in (one, other))
        for name in sorted({*one.libraries, *other.libraries})
    }
    return Environment(
        _all_of((one.python, other.python)),
        _all_of((one.platform, other.platform)),
        libraries,
        one.pid if one.pid == other.pid else None,
        one.rank if one.rank == other.rank else None,
        one.host if one.host == other.host else None,
    )


def _tells(about: Environment) -> bool:
    """Say whether it says more than the number of a process."""
    return bool(about.python or about.platform or about.libraries)


def _all_of(texts: Iterable[str]) -> str:
    """Join texts that may have been joined before."""
    return " and ".join(sorted({part for text in texts for part in text.split(" and ") if part}))
