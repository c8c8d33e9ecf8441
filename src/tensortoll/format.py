"""A recording as a JSON document, version 1: read with suspicion.

A recording may come from another machine, another version or a broken disk, so everything in it
is looked at before it becomes a value. Unknown keys are ignored, so that a later version may add
some without shutting out this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, get_args

from tensortoll.document import Item, refuse
from tensortoll.errors import RecordingFormatError
from tensortoll.format_observed import line_in, observed_in, observed_out
from tensortoll.model import (
    Conversion,
    Effect,
    Environment,
    Failure,
    Finding,
    Hazard,
    Kind,
    LineCost,
    Outcome,
    Peak,
    Place,
    Proof,
    Route,
    Source,
    Span,
    Totals,
)

FORMAT: Final = "tensortoll-recording"
VERSION: Final = 1

_MAX_LOSS: Final = 2**63
_OUTCOMES: Final[Mapping[str, Outcome]] = {one: one for one in get_args(Outcome)}
_EFFECTS: Final[Mapping[str, Effect]] = {one: one for one in get_args(Effect)}
_FAILURE_TEXTS: Final = ("expression", "error", "cause", "explanation", "remedy")


class Contents(Protocol):
    """The fields of a recording."""

    @property
    def conversions(self) -> tuple[Conversion, ...]:
        """Rows, one per route."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Texts that the rows refer to."""

    @property
    def elapsed_ns(self) -> int:
        """Wall time of the run."""

    @property
    def lines(self) -> tuple[LineCost, ...]:
        """What each line took."""

    @property
    def overhead_ns(self) -> int:
        """What watching cost."""

    @property
    def overheads(self) -> tuple[tuple[str, int], ...]:
        """Its parts."""

    @property
    def peak(self) -> Peak | None:
        """The most memory held at one time."""

    @property
    def blind_spots(self) -> tuple[str, ...]:
        """What could not be seen."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Our own failures."""

    @property
    def environment(self) -> Environment:
        """What it was made with."""


def document_of(recording: Contents) -> dict[str, object]:
    """Return a recording as the JSON document that stands for it."""
    numbers: dict[Source, int] = {}

    def numbered(source: Source) -> int:
        return numbers.setdefault(source, len(numbers))

    for source in recording.sources:
        numbered(source)
    about = recording.environment
    document: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "environment": {
            "python": about.python,
            "platform": about.platform,
            "libraries": dict(about.libraries),
            "process": {"pid": about.pid, "rank": about.rank, "host": about.host},
        },
        "sources": [],
        "elapsed_ns": recording.elapsed_ns,
        "conversions": [_conversion_out(one, numbered) for one in recording.conversions],
    }
    for key in ("lines", "failures", "hazards", "findings"):
        document[key] = [_item_out(one, numbered) for one in getattr(recording, key)]
    document["overhead_ns"] = recording.overhead_ns
    document.update(observed_out(recording.overheads, recording.peak))
    document["blind_spots"] = list(recording.blind_spots)
    document["faults"] = list(recording.faults)
    # Last, as conversions may name a source that the recording itself does not list.
    document["sources"] = [{"name": one.name, "text": one.text} for one in numbers]
    return document


def contents_of(document: object) -> dict[str, Any]:
    """Return what a recording is made of, by the names of its fields, from its JSON document.

    Raises:
        RecordingFormatError: If it is no recording, a damaged one, or one of a newer version.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        message = f'this is no tensortoll recording: its "format" is not "{FORMAT}"'
        raise RecordingFormatError(message)
    item = Item(document)
    version = item.integer("version", low=1)
    if version > VERSION:
        message = (
            f"the recording has version {version}, this tensortoll reads up to {VERSION}: "
            "upgrade with pip install -U tensortoll"
        )
        raise RecordingFormatError(message)
    sources = tuple(
        Source(one.text("name"), one.optional_text("text"))
        for one in item.children("sources", required=True)
    )
    return {
        "conversions": tuple(
            conversion_in(one, sources) for one in item.children("conversions", required=True)
        ),
        "sources": sources,
        "elapsed_ns": item.integer("elapsed_ns"),
        "lines": tuple(line_in(one, _source_of(one, sources)) for one in item.children("lines")),
        "failures": tuple(
            _failure_in(one, _source_of(one, sources)) for one in item.children("failures")
        ),
        "hazards": tuple(
            _hazard_in(one, _source_of(one, sources)) for one in item.children("hazards")
        ),
        "findings": tuple(
            _finding_in(one, _source_of(one, sources)) for one in item.children("findings")
        ),
        "overhead_ns": item.integer("overhead_ns", 0),
        **observed_in(item),
        "blind_spots": item.texts("blind_spots"),
        "faults": item.texts("faults"),
        "environment": _environment_in(item.optional_child("environment")),
    }


def _conversion_out(one: Conversion, numbered: Callable[[Source], int]) -> dict[str, object]:
    place, route = one.route.place, one.route
    item: dict[str, object] = {
        "source": numbered(place.source),
        "line": place.line,
        "end_line": place.end_line,
        "column": place.column,
        "end_column": place.end_column,
        "expression": place.expression,
        "operation": route.operation,
        "outcome": route.outcome,
        "effects": list(route.effects),
        "implicit": route.implicit,
        "from": route.origin._asdict(),
        "to": route.target._asdict(),
        **one.totals._asdict(),
        "via": route.via,
        "where": route.where,
        "shape": None if one.shape is None else list(one.shape),
    }
    if route.launch_only:
        item["launch_only"] = True
    if one.proof is not None:
        item["proof"] = {"origin": list(one.proof.origin), "target": list(one.proof.target)}
    return item


def _item_out(
    one: LineCost | Failure | Hazard | Finding, numbered: Callable[[Source], int]
) -> dict[str, object]:
    item: dict[str, object] = {key: getattr(one, key) for key in type(one).__slots__}
    item["source"] = numbered(one.source)
    if isinstance(one, Finding):
        item["caveats"] = list(one.caveats)
    if isinstance(one, LineCost):
        item["apart"] = dict(one.apart)
    return item


def _source_of(item: Item, sources: tuple[Source, ...]) -> Source:
    number = item.integer("source")
    if number >= len(sources):
        refuse(item.path("source"), number, f"the number of one of {len(sources)} sources")
    return sources[number]


def conversion_in(item: Item, sources: tuple[Source, ...]) -> Conversion:
    """Return the conversion that one row stands for.

    Raises:
        RecordingFormatError: If something in it is missing or wrong.
    """
    source = _source_of(item, sources)
    line = item.integer("line")
    route = Route(
        place=Place(
            source,
            line,
            item.integer("end_line", line),
            item.optional_integer("column"),
            item.optional_integer("end_column"),
            item.text("expression"),
        ),
        operation=item.text("operation"),
        outcome=item.word("outcome", _OUTCOMES),
        effects=item.words("effects", _EFFECTS),
        implicit=item.truth("implicit"),
        origin=_kind_in(item.child("from")),
        target=_kind_in(item.child("to")),
        via=item.optional_text("via"),
        where=item.text("where", "main"),
        launch_only=item.has("launch_only") and item.truth("launch_only"),
    )
    return Conversion(
        route,
        Totals(*map(item.integer, Totals._fields)),
        item.integers("shape") if item.has("shape") else None,
        _proof_in(item.child("proof")) if item.has("proof") else None,
    )


def _kind_in(item: Item) -> Kind:
    return Kind(item.text("library"), item.text("dtype"), item.text("device", "cpu"))


def _proof_in(item: Item) -> Proof:
    spans = []
    for key in Proof._fields:
        ends = item.integers(key)
        if len(ends) != len(Span._fields) or ends[0] > ends[1]:
            refuse(item.path(key), list(ends), "two addresses, the lower first")
        spans.append(Span(*ends))
    return Proof(*spans)


def _failure_in(item: Item, source: Source) -> Failure:
    texts = {key: item.text(key) for key in _FAILURE_TEXTS}
    return Failure(source, item.integer("line"), **texts)


def _hazard_in(item: Item, source: Source) -> Hazard:
    texts = {key: item.text(key) for key in ("written", "aliased", "detail")}
    texts["alias_source"] = item.text("alias_source", "")
    return Hazard(source, item.integer("alias_line"), item.integer("write_line"), **texts)


def _finding_in(item: Item, source: Source) -> Finding:
    return Finding(
        rule=item.text("rule"),
        source=source,
        line=item.integer("line"),
        title=item.text("title"),
        suggestion=item.text("suggestion"),
        verified=item.truth("verified"),
        # What costs memory to save time, or time to save memory, is worth saying too.
        saved_bytes=item.integer("saved_bytes", 0, low=-_MAX_LOSS),
        saved_ns=item.integer("saved_ns", 0, low=-_MAX_LOSS),
        caveats=item.texts("caveats"),
    )


def _environment_in(item: Item) -> Environment:
    libraries = item.optional_child("libraries")
    process = item.optional_child("process")
    return Environment(
        python=item.text("python", ""),
        platform=item.text("platform", ""),
        libraries={name: libraries.text(name) for name in libraries.values},
        pid=process.optional_integer("pid"),
        rank=process.optional_integer("rank"),
        host=process.optional_text("host"),
    )
