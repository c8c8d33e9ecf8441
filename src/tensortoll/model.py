"""What a run left behind, as plain immutable values: numbers and strings only.

No tensor, frame or module is ever held here, so a recording may outlive its process, travel as
JSON and be merged with others. Sizes are integer bytes and times integer nanoseconds, which
makes merging an exact sum: it does not matter in which order the parts of a run are put together.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar

Outcome = Literal["view", "copy", "failed"]
"""Proven by memory: `view` shares it with the source, `copy` wrote data, `failed` raised."""

Effect = Literal["cast", "layout", "parse", "unbox", "h2d", "d2h", "d2d", "pinned", "non_blocking"]
"""What a conversion did beside moving the data.

`cast`: the dtype differs. `layout`: the elements were laid out anew. `parse`: Python objects were
walked into an array. `unbox`: an array was turned into Python objects. `h2d`, `d2h`, `d2d`: the
device differs. `pinned`: one side is page-locked memory. `non_blocking`: the call did not wait.
"""

TRANSFERS: frozenset[Effect] = frozenset(("h2d", "d2h", "d2d"))


class Source(NamedTuple):
    """A text of the user's: a cell, a script, an expression."""

    name: str
    """How the user knows it: a file name, `cell [7]`."""
    text: str | None
    """Its lines as the user sees them; None where it was left out on purpose."""


class Kind(NamedTuple):
    """What one end of a conversion is."""

    library: str
    """Import name; `python` for lists, scalars and buffers."""
    dtype: str
    """NumPy's name, without byte order: `float32`, `bfloat16`, `object`."""
    device: str = "cpu"
    """`cpu`, `cuda:0`, `meta`; a second logical CPU is `cpu:1`."""


class Place(NamedTuple):
    """The smallest sub-expression of the user's source that made a conversion.

    Lines count from 1 and columns from 0, in characters; both ends are None where only the
    line is known.
    """

    source: Source
    line: int
    end_line: int
    column: int | None
    end_column: int | None
    expression: str


class Route(NamedTuple):
    """What is counted together: one way from one kind to another, from one place."""

    place: Place
    operation: str
    """The call as a user would name it: `torch.tensor`, `ndarray.astype`, `+`."""
    outcome: Outcome
    effects: tuple[Effect, ...]
    """Sorted by name, each at most once."""
    implicit: bool
    """Whether the place did not ask for a conversion by itself."""
    origin: Kind
    target: Kind
    via: str | None = None
    """`file:line` of the library that did it, where that is not the place itself."""
    where: str = "main"
    """`main`, or in words whose thread or process did it."""


class Totals(NamedTuple):
    """The cost of any number of conversions. Totals add."""

    count: int = 0
    copies: int = 0
    """How many times the full data was written."""
    bytes_read: int = 0
    bytes_written: int = 0
    elapsed_ns: int = 0

    def plus(self, other: Totals) -> Totals:
        """Return the cost of both."""
        return Totals(*map(operator.add, self, other))


class Span(NamedTuple):
    """A range of addresses: the first byte and the first one after it."""

    start: int
    stop: int


class Proof(NamedTuple):
    """Where the two ends of a conversion lay in memory while both were alive."""

    origin: Span
    target: Span


@dataclass(frozen=True, slots=True)
class Conversion:
    """All conversions of one route: a row of the recording."""

    route: Route
    totals: Totals
    shape: tuple[int, ...] | None = None
    """Of the first one seen."""
    proof: Proof | None = None
    """Of the first one seen; None where no addresses could be had."""


@dataclass(frozen=True, slots=True)
class LineCost:
    """What one line of the user's source took, as the observers saw it."""

    source: Source
    line: int
    hits: int = 0
    elapsed_ns: int = 0
    allocated_bytes: int = 0
    allocations: int = 0
    peak_bytes: int = 0
    unexplained_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A conversion that raised, and why."""

    source: Source
    line: int
    expression: str
    error: str
    cause: str
    explanation: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Hazard:
    """Memory shared by a conversion that was written while both sides were alive."""

    source: Source
    alias_line: int
    write_line: int
    written: str
    aliased: str
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth changing, where, and what to write instead."""

    rule: str
    source: Source
    line: int
    title: str
    suggestion: str
    verified: bool
    saved_bytes: int = 0
    saved_ns: int = 0
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whether two arrays lie in the same memory, as looked up while both were alive."""

    one: str
    """Its name or expression."""
    other: str
    shared: bool
    """Whether they have a byte in common."""
    spans: tuple[Span, Span]
    one_writable: bool
    other_writable: bool
    history: tuple[str, ...] = ()
    """How they came to share it, as far as it was seen; one sentence each."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be known of one expression, or of arrays that stand already."""

    expression: str
    recording: Recording
    """The conversions of evaluating it once."""
    result: Kind | None = None
    """What it gave; None where that is no array of a known library."""
    shape: tuple[int, ...] | None = None
    contiguous: bool | None = None
    """Whether the result's elements lie in C order without gaps."""
    sharing: tuple[Sharing, ...] = ()
    """The result beside each array that the expression names; or the arrays, in pairs."""
    times_ns: tuple[int, ...] = ()
    """Of each evaluation without a watch, in order; of the watched one where that is the only."""
    once_because: str | None = None
    """Why it was evaluated only once; None where it was repeated."""
    machine_bytes_per_s: float | None = None
    """How fast this machine copies as many bytes, warm; None where nothing worth it was copied."""

    @property
    def outcome(self) -> str:
        """`view`, `copy`, or `nothing` where no conversion was seen."""
        kinds = {one.route.outcome for one in self.recording.conversions}
        return "copy" if "copy" in kinds else "view" if "view" in kinds else "nothing"

    @property
    def copies(self) -> int:
        """How many times data was written in full."""
        return self.recording.copies

    @property
    def median_ns(self) -> int:
        """The middle one of the times; 0 where there is none."""
        return sorted(self.times_ns)[len(self.times_ns) // 2] if self.times_ns else 0


@dataclass(frozen=True, slots=True)
class Environment:
    """What a recording was made with."""

    python: str = ""
    platform: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Version by import name, of the libraries that were watched."""
    pid: int | None = None
    rank: int | None = None
    host: str | None = None


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
    environment: Environment = Environment()

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

    def merge(self, other: Recording) -> Recording:
        """Return the recording of both runs.

        Associative and commutative, and `Recording()` changes nothing.
        """
        return merged((self, other))


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
        if recording.environment != Environment():
            environments.append(recording.environment)
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
    reason, _, times = fault.rpartition(" (x")
    number = times.removesuffix(")")
    return (reason, int(number)) if reason and number.isdecimal() else (fault, 1)


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
    """What several runs were made with, as far as they agree."""
    if not environments:
        return Environment()
    first = environments[0]
    if all(one == first for one in environments):
        return first

    def agreed(name: str) -> object:
        values = {getattr(one, name) for one in environments}
        return values.pop() if len(values) == 1 else None

    versions: dict[str, set[str]] = {}
    for one in environments:
        for library, version in one.libraries.items():
            versions.setdefault(library, set()).update(version.split(" and "))
    return Environment(
        python=str(agreed("python") or ""),
        platform=str(agreed("platform") or ""),
        libraries={name: " and ".join(sorted(found)) for name, found in sorted(versions.items())},
    )


def _source_order(source: Source) -> tuple[str, str]:
    return source.name, source.text or ""


def _conversion_order(one: Conversion) -> tuple[object, ...]:
    place = one.route.place
    return (
        _source_order(place.source),
        place.line,
        -1 if place.column is None else place.column,
        repr(one.route),
    )
