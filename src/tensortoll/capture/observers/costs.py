"""What the observers saw of each line, beside what the conversions there account for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tensortoll.capture.observers.hot import LineTime
from tensortoll.capture.observers.replay import LineMemory, LinePlace, Replay, charged_lines
from tensortoll.capture.observers.timing import Times
from tensortoll.capture.text.sources import Sources
from tensortoll.model import NO_LINE, Conversion, LineCost, Peak

_NO_TIME = LineTime()


class Costs(NamedTuple):
    """What the lines took, and the peak of memory where that was watched."""

    lines: tuple[LineCost, ...]
    peak: Peak | None


def costs_of(
    replay: Replay | None,
    times: Times | None,
    sources: Sources,
    conversions: Iterable[Conversion],
    elapsed_ns: int,
) -> Costs:
    """Return what the lines took.

    Args:
        replay: What was allocated; None where it was not watched.
        times: What was measured; None where it was not.
        sources: The user's.
        conversions: All that were seen.
        elapsed_ns: Of the whole.
    """
    spent = {} if times is None else _by_place(times, sources)
    memory = {} if replay is None else dict(charged_lines(replay))
    written = _written(conversions)
    lines = [
        _cost(place, spent.get(place, _NO_TIME), memory.get(place), written.get(place, 0))
        for place in {**spent, **memory}
    ]
    if times is not None and spent and elapsed_ns > times.top_ns:
        (source, *_) = {place.source: None for place in spent}
        lines.append(LineCost(source, NO_LINE, elapsed_ns=elapsed_ns - times.top_ns))
    return Costs(tuple(lines), None if replay is None else _peak(replay, memory, written))


def _by_place(times: Times, sources: Sources) -> dict[LinePlace, LineTime]:
    found: dict[LinePlace, LineTime] = {}
    for (filename, line), spent in times.lines.items():
        source = sources.of(filename)
        if source is not None:
            found[LinePlace(source, line)] = spent
    return found


def _written(conversions: Iterable[Conversion]) -> dict[LinePlace, int]:
    """Return what conversions wrote to the memory of this process, by line."""
    found: dict[LinePlace, int] = {}
    for one in conversions:
        if one.route.outcome == "copy" and one.route.target.device.startswith("cpu"):
            place = LinePlace(one.route.place.source, one.route.place.line)
            found[place] = found.get(place, 0) + one.totals.bytes_written
    return found


def _cost(place: LinePlace, spent: LineTime, memory: LineMemory | None, written: int) -> LineCost:
    if memory is None:
        return LineCost(place.source, place.line, spent.hits, spent.elapsed_ns)
    unexplained = max(0, memory.bytes - written)
    (via, hidden) = max(memory.hidden.items(), key=lambda one: one[1], default=(None, 0))
    return LineCost(
        place.source,
        place.line,
        spent.hits,
        spent.elapsed_ns,
        memory.bytes,
        memory.count,
        memory.level,
        unexplained,
        surviving_bytes=max(0, memory.alive),
        hidden_bytes=min(hidden, unexplained),
        hidden_via=via if min(hidden, unexplained) else None,
        apart=tuple(sorted(memory.apart.items())),
    )


def _peak(
    replay: Replay, memory: dict[LinePlace, LineMemory], written: dict[LinePlace, int]
) -> Peak:
    """Return the peak, and between which bounds the conversions' share of it must lie.

    Of the blocks that a line held at the peak, at most all that conversions wrote there are
    theirs, and at least what is left when everything else that the line allocated is held too.
    """
    least = most = 0
    for place, line in memory.items():
        converted = min(written.get(place, 0), line.bytes)
        least += max(0, line.at_peak - (line.bytes - converted))
        most += min(line.at_peak, converted)
    return Peak(replay.peak, least, most)
