"""The source with its costs: which lines are shown, and what stands beside and under them."""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from tensortoll.model import NO_LINE, Conversion, Failure, Finding, Hazard, LineCost, Peak, Source
from tensortoll.report.columns import chosen
from tensortoll.report.memory import hidden, is_hidden, set_apart
from tensortoll.report.printable import offset, printable, printable_line
from tensortoll.report.values import Column, Fold, Line, Message, Note, Tone
from tensortoll.report.verdict import Evidence, counted
from tensortoll.report.words import NAME_LIMIT, WORTH_BYTES, message, moved_bytes
from tensortoll.sizes import format_bytes

LINE_LIMIT: Final = 300
"""Characters of a line of source that are shown."""
WHOLE_LINES: Final = 60
"""A source of so many lines is shown whole."""
ROWS_OF_A_LINE: Final = 6
"""So many rows of the recording are told under one line."""
COSTLY_LINES: Final = 200
"""So many lines with something to say are shown, the costliest first."""
MESSAGES: Final = 300
"""So many messages stand under the lines of one source, those of the costliest lines first."""
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_AROUND: Final = 1
_SHORTEST_FOLD: Final = 4
_WORST: Final = 5
"""So many lines are shown for the time they took, and as many for what they allocated."""
_BETWEEN: Final = "(between the lines: waiting, display)"


@dataclass(slots=True)
class _Found:
    """All that is known about one line."""

    conversions: list[Conversion] = field(default_factory=list)
    marks: list[Message] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    asides: tuple[Message, ...] = ()
    cost: LineCost | None = None
    moved: int = 0
    copied: int = 0

    @property
    def held(self) -> int:
        """Memory that all lines held when this one allocated."""
        return 0 if self.cost is None else self.cost.peak_bytes

    @property
    def weight(self) -> tuple[bool, int, int]:
        """How much the line asks to be shown."""
        elapsed_ns = sum(one.totals.elapsed_ns for one in self.conversions)
        return bool(self.marks or self.failures), self.moved, elapsed_ns

    @property
    def messages(self) -> int:
        """How many messages will stand under the line, at most."""
        kinds = self.conversions, self.marks, self.failures
        return sum(min(len(one), ROWS_OF_A_LINE) for one in kinds)


def annotated(
    source: Source,
    evidence: Evidence,
    costs: Sequence[LineCost],
    max_lines: int = COSTLY_LINES,
    max_messages: int = MESSAGES,
    *,
    peak: Peak | None = None,
) -> tuple[tuple[Column, ...], tuple[Line | Fold, ...]]:
    """Return the columns beside a source, and its lines or what stands for them.

    Args:
        source: The source; where its text is unknown, the expressions stand for the lines.
        evidence: What is known about it.
        costs: What its lines took, if that was observed.
        max_lines: How many lines with something to say are shown at most.
        max_messages: How many messages stand under them at most, but for a source so short that
            it is shown whole.
        peak: The most memory held at one time, if that was observed.
    """
    between = [one for one in costs if one.line == NO_LINE and one.elapsed_ns]
    costs = [one for one in costs if one.line != NO_LINE]
    found = _by_line(evidence, costs)
    texts = lines_of(source.text or "")
    told = {line for line, one in found.items() if one.conversions or one.marks or one.failures}
    ranked = heapq.nlargest(max_lines, sorted(told), key=lambda line: found[line].weight)
    sums = accumulate(found[line].messages for line in ranked)
    # The costliest one is always told.
    costly = {
        line
        for line, messages in zip(ranked, sums, strict=True)
        if messages <= max_messages or line == ranked[0]
    }
    for taken in ("elapsed_ns", "allocated_bytes"):
        worst = heapq.nlargest(_WORST, costs, key=lambda one: int(getattr(one, taken)))
        costly |= {one.line for one in worst}
    shown = _shown_lines(costly, len(texts))
    known = {line: (found[line].conversions, found[line].cost) for line in shown if line in found}
    columns, cells = chosen({**known, **{one.line: ((), one) for one in between}})
    highest = max((one.peak_bytes for one in costs), default=0) if peak is None else peak.total
    most = max((one.copied for one in found.values()), default=0)
    everything = sum(one.copied for one in found.values())
    lines: list[Line | Fold] = []
    converting = sorted(line for line, one in found.items() if one.conversions)
    previous = 0
    for number in shown:
        lines += _fold(range(previous + 1, number), len(texts), converting, found)
        previous = number
        one = found.get(number, _Found())
        tone = _tone(one, everything)
        text = texts[number - 1] if 0 < number <= len(texts) else _stand_in(one.conversions)
        lines.append(
            Line(
                number,
                printable_line(text, LINE_LIMIT),
                cells.get(number, ("",) * len(columns)),
                one.copied / most if most else 0.0,
                tone,
                _notes(text, one, tone),
                min(one.held / highest, 1.0) if highest else 0.0,
            )
        )
    beyond = max([len(texts), *told], default=0) + 1
    lines += _fold(range(previous + 1, beyond), len(texts), converting, found)
    if between:
        lines.append(Line(NO_LINE, _BETWEEN, cells[NO_LINE], 0.0, "plain"))
    return columns, tuple(lines)


def _by_line(evidence: Evidence, costs: Sequence[LineCost]) -> dict[int, _Found]:
    found: defaultdict[int, _Found] = defaultdict(_Found)
    for one in evidence.conversions:
        line = found[one.route.place.line]
        line.conversions.append(one)
        line.moved += moved_bytes(one)
        if one.route.outcome == "copy":
            line.copied += one.totals.bytes_written
    for cost in costs:
        found[cost.line].cost = cost
        found[cost.line].asides = tuple(set_apart(cost))
        if is_hidden(cost):
            found[cost.line].marks.append(hidden(cost))
    for failure in evidence.failures:
        found[failure.line].failures.append(failure)
    for hazard in evidence.hazards:
        found[hazard.write_line].marks.append(_hazardous(hazard))
    for finding in evidence.findings:
        found[finding.line].marks.append(_improvable(finding))
    return dict(found)


def _hazardous(hazard: Hazard) -> Message:
    names = printable(f"writes {hazard.written}, which shares memory with {hazard.aliased}")
    return Message("broken", "hazard", (names, f"since {printable(hazard.since)}"))


def _improvable(finding: Finding) -> Message:
    return Message("warm", printable(finding.rule, NAME_LIMIT), (printable(finding.title),))


def _shown_lines(told: Iterable[int], total: int) -> list[int]:
    if total <= WHOLE_LINES:
        return sorted({*told, *range(1, total + 1)})
    wanted = {
        near
        for line in told
        for near in range(line - _AROUND, line + _AROUND + 1)
        if near == line or 0 < near <= total
    }
    shown: list[int] = []
    for line in sorted(wanted):
        # A fold takes a line itself: to fold two or three would hide more than it saves.
        following = (shown[-1] if shown else 0) + 1
        if line - following < _SHORTEST_FOLD:
            shown += range(following, min(line, total + 1))
        shown.append(line)
    return shown


def lines_of(text: str) -> list[str]:
    """Return the lines as Python counts them; `str.splitlines` ends one at a form feed too."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def _fold(
    hidden: range, total: int, converting: Sequence[int], found: dict[int, _Found]
) -> list[Fold]:
    inside = max(min(hidden.stop - 1, total) - hidden.start + 1, 0)
    # By search and not one by one: a damaged recording may number its lines up to 2**64.
    lines = converting[bisect_left(converting, hidden.start) : bisect_left(converting, hidden.stop)]
    told = [found[line] for line in lines]
    if not told:
        return [Fold(f"{counted(inside, 'line')} without conversions")] if inside else []
    count = sum(one.totals.count for line in told for one in line.conversions)
    copied = format_bytes(sum(line.copied for line in told))
    several = counted(max(inside, len(told)), "line")
    with_them = f"{len(told):,} of them with {counted(count, 'conversion')}"
    return [Fold(f"{several}, {with_them}, {copied} copied")]


def _stand_in(conversions: Sequence[Conversion]) -> str:
    """The longest expression of a line whose own text is unknown."""
    return max((one.route.place.expression for one in conversions), key=len, default="")


def _tone(one: _Found, everything: int) -> Tone:
    if one.failures or any(mark.tone == "broken" for mark in one.marks):
        return "broken"
    if one.copied >= WORTH_BYTES and 2 * one.copied >= everything:
        return "hot"
    if one.moved >= WORTH_BYTES:
        return "warm"
    return "quiet" if one.conversions else "plain"


def _notes(text: str, found: _Found, tone: Tone) -> tuple[Note, ...]:
    # A failure says why; the rows of the calls that raised would only say it again.
    known = [
        one for one in found.conversions if not (one.route.outcome == "failed" and found.failures)
    ]
    rows = heapq.nlargest(ROWS_OF_A_LINE, known, key=lambda one: (moved_bytes(one), *one.totals))
    spans: dict[tuple[int, int], list[Message]] = {}
    for one in rows:
        place = one.route.place
        goes_on = place.end_line > place.line
        stop = len(text) if goes_on else place.end_column
        span = span_in(text, place.column, stop)
        told = message(one, place.end_line if goes_on else None)
        if told.tone == "warm" and tone == "hot":
            told = replace(told, tone="hot")
        spans.setdefault(span, []).append(told)
    for failure in found.failures[:ROWS_OF_A_LINE]:
        column = text.find(failure.expression) if failure.expression else -1
        span = span_in(text, column, column + len(failure.expression)) if column >= 0 else (0, 0)
        error = printable(failure.error, NAME_LIMIT)
        spans.setdefault(span, []).append(Message("broken", "failed", (error,)))
    general = spans.pop((0, 0), [])
    if len(known) > len(rows):
        general.append(_more(known, rows))
    general += found.marks[:ROWS_OF_A_LINE]
    general += found.asides
    notes = [Note(*span, tuple(messages)) for span, messages in sorted(spans.items())]
    return (*notes, Note(0, 0, tuple(general))) if general else tuple(notes)


def span_in(text: str, column: int | None, stop: int | None) -> tuple[int, int]:
    """Return where columns of a line stand in its printable text; twice 0 if that is unknown."""
    if column is None or stop is None:
        return 0, 0
    start, end = offset(text, column, LINE_LIMIT), offset(text, stop, LINE_LIMIT)
    return (start, end) if start < end else (0, 0)


def _more(every: Sequence[Conversion], told: Sequence[Conversion]) -> Message:
    known = set(map(id, told))
    rest = [one for one in every if id(one) not in known]
    count = sum(one.totals.count for one in rest)
    copied = sum(one.totals.bytes_written for one in rest if one.route.outcome == "copy")
    parts = (counted(count, "conversion"), f"{format_bytes(copied)} copied")
    return Message("quiet", f"and {len(rest):,} more", parts)
