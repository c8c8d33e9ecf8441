"""What `%convcheck` says: a verdict as a card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensortoll.model import Conversion, Kind, Sharing, Span
from tensortoll.report.card import Card
from tensortoll.sizes import format_bytes, format_rate, format_time, format_times
from tensortoll.verdict import Verdict, Way

NOISE_BYTES = 4096
"""Below, a speed says more about the call than about the copy."""


def card_of(verdict: Verdict, ways: Sequence[Way] = ()) -> Card:
    """Return the card for a verdict, with the other ways to get the same."""
    rows = (*_rows(verdict), *_ways(ways))
    return Card(verdict.expression, _sentence(verdict), rows, tuple(_notes(verdict)))


def card_of_ways(title: str, ways: Sequence[Way]) -> Card:
    """Return the card for the ways to a target."""
    best = ways[0]
    told = f"The best way: {best.expression}, {_cost(best)}."
    return Card(title, told, tuple(_ways(ways)), ("Measured here and now, on this array.",))


def card_of_aliases(
    sharing: Sequence[Sharing], known: int, left_out: int = 0, alone: str = ""
) -> Card:
    """Return the card that says which arrays of a namespace share memory.

    Args:
        sharing: Of the pairs that were compared.
        known: How many arrays were; without the one that all were compared with.
        left_out: How many more there are.
        alone: That one; empty where all were compared with all.
    """
    shared = [one for one in sharing if one.shared]
    names = dict.fromkeys(name for one in shared for name in (one.one, one.other))
    names.pop(alone, None)
    several = "s" if known != 1 else ""
    if alone:
        others = f"{known} other array{several} and tensor{several} that have a name"
        told = f"{alone} shares memory with {', '.join(names)}."
        told = told if shared else f"{alone} shares memory with none of the {others}."
    else:
        told = (
            f"{len(names) or 'None'} of {known} arrays and tensors share memory with another one."
        )
    rows = tuple(
        (f"{one.one} | {one.other}", f"{_addresses(one)}. {_writes(one)}") for one in shared
    )
    notes = (f"{left_out} more were not compared.",) if left_out else ()
    return Card("aliases", told, rows, notes)


def _ways(ways: Sequence[Way]) -> Iterator[tuple[str, str]]:
    if len(ways) < 2:  # noqa: PLR2004 - the one that was asked about is no other way
        return
    widest = max(len(one.expression) for one in ways)
    for number, one in enumerate(ways, start=1):
        parts = [one.expression.ljust(widest), _cost(one), *one.caveats]
        yield f"way {number}", "  ·  ".join(parts)


def _cost(way: Way) -> str:
    return f"{format_bytes(way.bytes_written)} written, {format_time(way.median_ns)}"


def _sentence(verdict: Verdict) -> str:
    if verdict.result is None and verdict.sharing and not verdict.recording.conversions:
        shared = [one for one in verdict.sharing if one.shared]
        if not shared:
            return "They share no memory: a write to one never shows in another."
        pairs = " and ".join(f"{one.one} with {one.other}" for one in shared)
        return f"They share memory: {pairs}."
    shared_with = [one.other for one in verdict.sharing if one.shared]
    if verdict.outcome == "copy":
        totals = verdict.recording.totals
        times = "once" if totals.copies == 1 else f"{totals.copies} times"
        told = f"A copy: the data was written {times}, {format_bytes(totals.bytes_written)}"
        return (
            f"{told}, yet the result shares memory with {shared_with[0]}."
            if shared_with
            else f"{told}."
        )
    if verdict.outcome == "view":
        return "A view: nothing was copied, the memory is shared."
    if shared_with:
        return f"No conversion: the result is, or looks into, {shared_with[0]}."
    return "No conversion was seen."


def _rows(verdict: Verdict) -> Iterator[tuple[str, str]]:
    for conversion in verdict.recording.conversions:
        yield from _conversion(conversion)
    if verdict.result is not None:
        shape = "×".join(map(str, verdict.shape or ())) or "scalar"
        layout = "contiguous" if verdict.contiguous else "strided"
        yield "result", f"{_kind(verdict.result)}  shape {shape}  {layout}"
    for sharing in verdict.sharing:
        yield f"{sharing.one} | {sharing.other}", _addresses(sharing)
        if sharing.shared:
            yield "writes", _writes(sharing)
            for sentence in sharing.history:
                yield "shared by", sentence
    if verdict.times_ns:
        yield "time", _time(verdict)
    if verdict.machine_bytes_per_s and verdict.median_ns:
        yield "speed", _speed(verdict)


def _conversion(conversion: Conversion) -> Iterator[tuple[str, str]]:
    route, totals = conversion.route, conversion.totals
    parts = [f"{_kind(route.origin)} → {_kind(route.target)}"]
    parts += [effect for effect in route.effects if effect != "cast"]
    if route.origin.dtype != route.target.dtype:
        parts.append(f"cast {route.origin.dtype} → {route.target.dtype}")
    if totals.count > 1:
        parts.append(format_times(totals.count))
    if route.outcome == "copy":
        copies = f"{totals.copies} copies, " if totals.copies != totals.count else ""
        read, written = format_bytes(totals.bytes_read), format_bytes(totals.bytes_written)
        parts.append(f"{copies}{read} read, {written} written")
    else:
        parts.append("0 B copied")
    if route.implicit:
        parts.append(f"implicit: {route.operation or 'the expression'} did not ask for it")
    if route.via:
        parts.append(f"via {route.via}")
    yield route.outcome, "  ·  ".join(parts)
    if conversion.proof is not None:
        origin, target = conversion.proof
        meet = "the same memory" if route.outcome == "view" else "apart"
        yield "proof", f"{_span(origin)} │ {_span(target)}  {meet}"


def _kind(kind: Kind) -> str:
    return f"{kind.library}:{kind.dtype}" + ("" if kind.device == "cpu" else f"@{kind.device}")


def _addresses(sharing: Sharing) -> str:
    one, other = sharing.spans
    meet = "share memory" if sharing.shared else "share no memory"
    return f"{_span(one)} │ {_span(other)}  {meet}"


def _span(span: Span) -> str:
    return f"{span.start:#x}–{span.stop:#x}"


def _writes(sharing: Sharing) -> str:
    shown = []
    if sharing.one_writable:
        shown.append(f"a write to {sharing.one} shows in {sharing.other}")
    if sharing.other_writable:
        shown.append(f"a write to {sharing.other} shows in {sharing.one}")
    return " and ".join(shown) + "." if shown else "neither side can be written in place."


def _time(verdict: Verdict) -> str:
    middle = format_time(verdict.median_ns)
    if len(verdict.times_ns) == 1:
        return f"{middle}, evaluated once"
    least, most = format_time(min(verdict.times_ns)), format_time(max(verdict.times_ns))
    return f"{middle}, the median of {len(verdict.times_ns)} ({least} to {most})"


def _speed(verdict: Verdict) -> str:
    # The repetitions do not count bytes: each writes what the first one did.
    written = verdict.recording.bytes_written
    reached = format_rate(written, verdict.median_ns)
    machine = format_rate(int(verdict.machine_bytes_per_s or 0), 1_000_000_000)
    return f"{reached} written; this machine copies {machine} at this size"


def _notes(verdict: Verdict) -> Iterator[str]:
    if verdict.once_because is not None:
        yield f"Evaluated once: {verdict.once_because}."
    if not verdict.recording.conversions and not verdict.sharing:
        yield "Only what tensortoll can see is told; its README lists what it cannot."
    yield from verdict.recording.blind_spots
    for fault in verdict.recording.faults:
        yield f"tensortoll itself failed to look: {fault}"
