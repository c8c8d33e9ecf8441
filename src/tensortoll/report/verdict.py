"""The headline and the one sentence that a reader in a hurry should go away with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tensortoll.model import Conversion, Failure, Finding, Hazard, LineCost, Source, Totals
from tensortoll.recording import Recording
from tensortoll.report.memory import peak_text
from tensortoll.report.printable import printable
from tensortoll.report.values import Tone
from tensortoll.report.words import ARROW, NAME_LIMIT, WORTH_BYTES, moved_bytes
from tensortoll.sizes import format_bytes, format_count, format_share, format_time

SUGGESTION_LIMIT = 120
"""Characters of what to write instead."""


class Evidence(NamedTuple):
    """What a recording holds about one source."""

    conversions: Sequence[Conversion]
    failures: Sequence[Failure]
    hazards: Sequence[Hazard]
    findings: Sequence[Finding]
    worth: int = WORTH_BYTES
    """From so many bytes on, what a line moved is worth showing."""
    hidden: Sequence[LineCost] = ()
    """Lines on which a library allocated what no conversion explains."""

    @property
    def is_healthy(self) -> bool:
        """Whether there is nothing worth a line."""
        if self.failures or self.hazards or self.findings or self.hidden:
            return False
        moved: dict[tuple[Source, int], int] = {}
        for one in self.conversions:
            place = one.route.place.source, one.route.place.line
            moved[place] = moved.get(place, 0) + moved_bytes(one)
            # A thousand small copies on one line are as much as a large one.
            if one.route.outcome == "failed" or moved[place] >= self.worth:
                return False
        return True

    @property
    def totals(self) -> Totals:
        """The cost of all conversions."""
        return Totals(
            *(sum(one.totals[n] for one in self.conversions) for n in range(len(Totals._fields)))
        )

    @property
    def copied_bytes(self) -> int:
        """Bytes written by copies."""
        return sum(
            one.totals.bytes_written for one in self.conversions if one.route.outcome == "copy"
        )


def facts(evidence: Evidence, recording: Recording, *, whole: bool) -> tuple[str, ...]:
    """Return the headline's numbers.

    Args:
        evidence: On what was watched, or on one source of several.
        recording: Of all that ran.
        whole: Whether the time and the peak of all are the headline's to tell.
    """
    totals = evidence.totals
    known = [
        format_time(recording.elapsed_ns) if whole and recording.elapsed_ns else "",
        counted(totals.count, "conversion"),
        f"{format_bytes(evidence.copied_bytes)} copied",
        _share(totals.elapsed_ns, recording.elapsed_ns) if whole else "",
        peak_text(recording.peak) if whole else "",
    ]
    return tuple(fact for fact in known if fact)


def in_all(recording: Recording) -> tuple[str, ...]:
    """Return the sentence on the time and the peak of all, where no headline tells them."""
    took = format_time(recording.elapsed_ns) if recording.elapsed_ns else ""
    told = ", ".join(one for one in (took, peak_text(recording.peak)) if one)
    return (f"In all: {told}.",) if told else ()


def verdict(evidence: Evidence) -> tuple[Tone, str]:
    """Return what the numbers say in plain words, and how bad it is."""
    if evidence.is_healthy:
        return "quiet", _healthy(evidence)
    savings = _savings(evidence)
    told = " ".join([*_broken(evidence), *(savings or _cost(evidence))]) or "There is advice."
    if _broken(evidence):
        return "broken", told
    return ("hot" if evidence.copied_bytes >= WORTH_BYTES else "warm"), told


def _cost(evidence: Evidence) -> list[str]:
    return [*_copied(evidence), *_read(evidence), *_hidden(evidence)]


def why(evidence: Evidence) -> str:
    """Return where the cost comes from; empty where the verdict says it already."""
    return " ".join(_cost(evidence)) if _savings(evidence) else ""


def next_step(evidence: Evidence) -> str:
    """Return the line to change first, of those that were tried out; empty where there is none."""
    tried = [one for one in evidence.findings if one.verified]
    if not tried:
        return ""
    best = max(tried, key=lambda one: (one.saved_ns, one.saved_bytes, -one.line))
    gains = [
        f"\N{MINUS SIGN}{amount}"
        for saved, amount in (
            (best.saved_ns, format_time(max(best.saved_ns, 0))),
            (best.saved_bytes, format_bytes(max(best.saved_bytes, 0))),
        )
        if saved > 0
    ]
    told = f"line {best.line}: {printable(best.suggestion, SUGGESTION_LIMIT)}"
    return f"{told}  {' '.join(gains)}".rstrip()


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it belongs."""
    ending = "" if number == 1 else "s"
    return f"{format_count(number)} {noun}{ending}"


def _share(converting_ns: int, elapsed_ns: int) -> str:
    if not elapsed_ns or not converting_ns:
        return ""
    if converting_ns > elapsed_ns:
        # On several threads the parts add up to more than the whole.
        return f"{format_time(converting_ns)} in conversions, all threads added up"
    return f"{format_share(converting_ns, elapsed_ns)} of the time in conversions"


def _healthy(evidence: Evidence) -> str:
    totals = evidence.totals
    if not totals.count:
        return "No conversions."
    views = sum(one.totals.count for one in evidence.conversions if one.route.outcome == "view")
    copied = f"{format_bytes(evidence.copied_bytes)} copied"
    if views == totals.count:
        shared = "shared" if views == 1 else "all shared"
    else:
        shared = f"{format_count(views)} shared" if views else ""
    parts = [counted(totals.count, "conversion"), shared, copied]
    return f"Nothing worth a line: {', '.join(part for part in parts if part)}."


def _copied(evidence: Evidence) -> list[str]:
    copies = [
        one
        for one in evidence.conversions
        if one.route.outcome == "copy" and one.totals.bytes_written
    ]
    if not copies:
        return []
    lines: dict[int, int] = {}
    for one in copies:
        line = one.route.place.line
        lines[line] = lines.get(line, 0) + one.totals.bytes_written
    total = sum(lines.values())
    count = sum(one.totals.count for one in copies)
    worst = max(lines, key=lambda line: (lines[line], -line))
    changed = _casts(one for one in copies if one.route.place.line == worst)
    if len(lines) == 1:
        where = f"on line {worst}{changed}"
        return [f"{format_bytes(total)} was copied by {counted(count, 'conversion')} {where}."]
    where = f"on {counted(len(lines), 'line')}"
    alone = f"line {worst} alone wrote {format_bytes(lines[worst])}{changed}"
    return [f"{format_bytes(total)} was copied by {counted(count, 'conversion')} {where}; {alone}."]


def _read(evidence: Evidence) -> list[str]:
    unboxed = [one for one in evidence.conversions if "unbox" in one.route.effects]
    total = sum(one.totals.bytes_read for one in unboxed if one.route.outcome == "copy")
    if total < WORTH_BYTES:
        return []
    lines = {one.route.place.line for one in unboxed}
    where = f"on line {min(lines)}" if len(lines) == 1 else f"on {counted(len(lines), 'line')}"
    return [f"{format_bytes(total)} was turned into Python objects {where}."]


def _hidden(evidence: Evidence) -> list[str]:
    if not evidence.hidden:
        return []
    nbytes = format_bytes(sum(one.hidden_bytes for one in evidence.hidden))
    lines = sorted({one.line for one in evidence.hidden})
    where = f"line {lines[0]}" if len(lines) == 1 else counted(len(lines), "line")
    return [f"Inside of libraries, {where} allocated {nbytes} that no conversion explains."]


def _casts(conversions: Iterable[Conversion]) -> str:
    """The cast behind a line's bytes, in brackets; only where there is just one to name."""
    casts = {
        (one.route.origin.dtype, one.route.target.dtype)
        for one in conversions
        if "cast" in one.route.effects
    }
    if len(casts) != 1:
        return ""
    ((origin, target),) = casts
    return " " + printable(f"({origin} {ARROW} {target})", NAME_LIMIT)


def _broken(evidence: Evidence) -> list[str]:
    failed = len(evidence.failures) or sum(
        one.totals.count for one in evidence.conversions if one.route.outcome == "failed"
    )
    sentences = []
    if failed:
        sentences.append(f"{counted(failed, 'conversion')} failed.")
    if evidence.hazards:
        lines = sorted({one.write_line for one in evidence.hazards})
        where = f"line {lines[0]} writes" if len(lines) == 1 else f"{len(lines)} lines write"
        sentences.append(f"{where[0].upper()}{where[1:]} to memory that another array shares.")
    return sentences


def _savings(evidence: Evidence) -> list[str]:
    """Only what was tried out is promised; savings may overlap, so their sum is a bound."""
    tried = [one for one in evidence.findings if one.verified]
    if not tried:
        return []
    # Two suggestions for one line are two ways to save the same.
    lines_bytes: dict[int, int] = {}
    lines_ns: dict[int, int] = {}
    for one in tried:
        lines_bytes[one.line] = max(one.saved_bytes, lines_bytes.get(one.line, 0), 0)
        lines_ns[one.line] = max(one.saved_ns, lines_ns.get(one.line, 0), 0)
    saved_bytes, saved_ns = sum(lines_bytes.values()), sum(lines_ns.values())
    saved = [
        format_bytes(saved_bytes) if saved_bytes else "",
        format_time(saved_ns) if saved_ns else "",
    ]
    lines = counted(len({one.line for one in tried}), "line")
    worth = " and ".join(part for part in saved if part)
    if not worth:
        return [f"A change to {lines} was tried out."]
    return [f"Up to {worth} can go: {lines} to change, tried out."]
