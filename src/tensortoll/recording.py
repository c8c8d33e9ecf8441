"""All that one run left behind, and the sum of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from tensortoll.errors import RecordingFormatError
from tensortoll.format import contents_of, document_of
from tensortoll.model import (
    TRANSFERS,
    Conversion,
    Environment,
    Failure,
    Finding,
    Hazard,
    LineCost,
    Route,
    Source,
    Totals,
)
from tensortoll.store import read_document, write_document

_DIGITS: Final = 4_000
"""Of a number that Python reads and writes without being told to."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All that one run, or several merged ones, left behind."""

    conversions: tuple[Conversion, ...] = ()
    sources: tuple[Source, ...] = ()
    elapsed_ns: int = 0
    lines: tuple[LineCost, ...] = ()
    failures: tuple[Failure, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    findings: tuple[Finding, ...] = ()
    overhead_ns: int = 0
    """What watching cost, as measured in this run."""
    blind_spots: tuple[str, ...] = ()
    """What there was reason to suspect and no means to see, one sentence each."""
    faults: tuple[str, ...] = ()
    """Our own failures to look, with their number; shown, never hidden."""
    environment: Environment = field(default_factory=Environment)

    @property
    def totals(self) -> Totals:
        """The cost of all conversions."""
        return _total(self.conversions)

    @property
    def count(self) -> int:
        """How many conversions there were, views among them."""
        return self.totals.count

    @property
    def copies(self) -> int:
        """How many times data was written in full."""
        return self.totals.copies

    @property
    def bytes_read(self) -> int:
        """Bytes read from the sources of all conversions."""
        return self.totals.bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes written by all copies."""
        return self.totals.bytes_written

    @property
    def views(self) -> int:
        """How many conversions shared memory."""
        return self._count_where(lambda route: route.outcome == "view")

    @property
    def casts(self) -> int:
        """How many conversions changed the dtype."""
        return self._count_where(lambda route: "cast" in route.effects)

    @property
    def transfers(self) -> int:
        """How many conversions changed the device."""
        return self._count_where(lambda route: not TRANSFERS.isdisjoint(route.effects))

    def _count_where(self, chosen: Callable[[Route], bool]) -> int:
        return sum(one.totals.count for one in self.conversions if chosen(one.route))

    def of_line(self, line: int) -> tuple[Conversion, ...]:
        """Return the conversions of one line, of whatever source."""
        return tuple(one for one in self.conversions if one.route.place.line == line)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON document that stands for the recording."""
        return document_of(self)

    @classmethod
    def from_dict(cls, document: object) -> Recording:
        """Return the recording that a JSON document stands for.

        Raises:
            RecordingFormatError: If it is no recording, a damaged one, or one of a newer version.
        """
        return cls(**contents_of(document))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recording to a file: all of it, or nothing and the file as it was.

        Raises:
            OSError: If the file can't be written.
        """
        write_document(self.to_dict(), path)

    def without_text(self) -> Recording:
        """Return the recording without the text of its sources, to be shared.

        Expressions that converted something stay, as do names and messages.
        """

        def bare(source: Source) -> Source:
            return source._replace(text=None)

        def moved(one: Conversion) -> Conversion:
            place = one.route.place._replace(source=bare(one.route.place.source))
            return replace(one, route=one.route._replace(place=place))

        stripped = replace(
            self,
            conversions=tuple(map(moved, self.conversions)),
            sources=tuple(map(bare, self.sources)),
            lines=tuple(replace(one, source=bare(one.source)) for one in self.lines),
            failures=tuple(replace(one, source=bare(one.source)) for one in self.failures),
            hazards=tuple(replace(one, source=bare(one.source)) for one in self.hazards),
            findings=tuple(replace(one, source=bare(one.source)) for one in self.findings),
        )
        return merged((stripped,))  # sources that only differed in their text are one now

    def merge(self, other: Recording) -> Recording:
        """Return the recording of both runs.

        Associative and commutative, and `Recording()` changes nothing.
        """
        return merged((self, other))


def load(path: str | os.PathLike[str]) -> Recording:
    """Return the recording that a file holds.

    Raises:
        RecordingFormatError: If the file holds no recording that this version can read.
        OSError: If the file can't be read at all.
    """
    document = read_document(path)
    try:
        return Recording.from_dict(document)
    except RecordingFormatError as error:
        message = f"{Path(path).name}: {error}"
        raise RecordingFormatError(message) from None


def merged(recordings: Iterable[Recording]) -> Recording:
    """Return the sum of any number of recordings; of none, the empty recording."""
    routes: dict[Route, Conversion] = {}
    costs: dict[tuple[Source, int], LineCost] = {}
    sources: set[Source] = set()
    failures: set[Failure] = set()
    hazards: set[Hazard] = set()
    findings: set[Finding] = set()
    blind_spots: set[str] = set()
    faults: dict[str, int] = {}
    elapsed_ns = overhead_ns = 0
    environments: list[Environment] = []
    for recording in recordings:
        for one in recording.conversions:
            known = routes.get(one.route)
            routes[one.route] = one if known is None else _joined(known, one)
        for cost in recording.lines:
            key = (cost.source, cost.line)
            costs[key] = _added(costs[key], cost) if key in costs else cost
        sources.update(recording.sources)
        failures.update(recording.failures)
        hazards.update(recording.hazards)
        findings.update(recording.findings)
        blind_spots.update(recording.blind_spots)
        for fault in recording.faults:
            reason, times = _fault_parts(fault)
            faults[reason] = faults.get(reason, 0) + times
        elapsed_ns += recording.elapsed_ns
        overhead_ns += recording.overhead_ns
        about = recording.environment
        # A process that says nothing of itself but its number is none to be told of.
        if about.python or about.platform or about.libraries:
            environments.append(about)
    return Recording(
        conversions=tuple(sorted(routes.values(), key=_conversion_order)),
        sources=tuple(sorted(sources, key=_source_order)),
        elapsed_ns=elapsed_ns,
        lines=tuple(sorted(costs.values(), key=lambda c: (_source_order(c.source), c.line))),
        failures=tuple(sorted(failures, key=repr)),
        hazards=tuple(sorted(hazards, key=repr)),
        findings=tuple(sorted(findings, key=repr)),
        overhead_ns=overhead_ns,
        blind_spots=tuple(sorted(blind_spots)),
        faults=tuple(fault_text(reason, times) for reason, times in sorted(faults.items())),
        environment=_common(environments),
    )


def fault_text(reason: str, times: int) -> str:
    """Return a fault as it stands in a recording: its reason and how often it happened."""
    return f"{reason} (x{times})"


def _fault_parts(fault: str) -> tuple[str, int]:
    reason, mark, times = fault.rpartition(" (x")
    number = times.removesuffix(")") if mark else ""
    counted = fault.endswith(")") and number.isdecimal() and len(number) <= _DIGITS
    return (reason, int(number)) if counted else (fault, 1)


def _total(conversions: Iterable[Conversion]) -> Totals:
    columns: Iterator[tuple[int, ...]] = zip(*(one.totals for one in conversions), strict=True)
    return Totals(*map(sum, columns))


def _joined(one: Conversion, other: Conversion) -> Conversion:
    return Conversion(
        one.route,
        one.totals.plus(other.totals),
        # "The first one seen" has no meaning across runs: the least is one that any order gives.
        _least(one.shape, other.shape),
        _least(one.proof, other.proof),
    )


def _added(one: LineCost, other: LineCost) -> LineCost:
    return replace(
        one,
        hits=one.hits + other.hits,
        elapsed_ns=one.elapsed_ns + other.elapsed_ns,
        allocated_bytes=one.allocated_bytes + other.allocated_bytes,
        allocations=one.allocations + other.allocations,
        peak_bytes=max(one.peak_bytes, other.peak_bytes),
        unexplained_bytes=one.unexplained_bytes + other.unexplained_bytes,
    )


_Ordered = TypeVar("_Ordered", bound=tuple[object, ...])


def _least(one: _Ordered | None, other: _Ordered | None) -> _Ordered | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _common(environments: list[Environment]) -> Environment:
    """What several runs were made with: all versions, and of the process what they agree on."""
    if not environments:
        return Environment()
    first = environments[0]
    if all(one == first for one in environments):
        return first
    versions: dict[str, list[str]] = {}
    for one in environments:
        for library, version in one.libraries.items():
            versions.setdefault(library, []).append(version)
    same = {
        name: values.pop() if len(values) == 1 else None
        for name in ("pid", "rank", "host")
        for values in [{getattr(one, name) for one in environments}]
    }
    return Environment(
        python=_all_of(one.python for one in environments),
        platform=_all_of(one.platform for one in environments),
        libraries={name: _all_of(found) for name, found in sorted(versions.items())},
        **same,
    )


def _all_of(texts: Iterable[str]) -> str:
    """Join texts that may have been joined before."""
    return " and ".join(sorted({part for text in texts for part in text.split(" and ") if part}))


def _source_order(source: Source) -> tuple[str, bool, str]:
    return source.name, source.text is not None, source.text or ""


def _conversion_order(one: Conversion) -> tuple[object, ...]:
    place = one.route.place
    return (
        _source_order(place.source),
        place.line,
        -1 if place.column is None else place.column,
        repr(one.route),
    )
