"""What stands below the source: findings, failures, hazards, and what was not seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from tensortoll.model import TRANSFERS, Failure, Finding, Hazard
from tensortoll.recording import Recording
from tensortoll.report.printable import printable
from tensortoll.report.values import Entry, Section, Tone
from tensortoll.report.verdict import Evidence, counted
from tensortoll.sizes import format_bytes, format_share, format_time

ENTRIES: Final = 20
"""So many entries of a section are shown."""
SENTENCES: Final = 20
"""So many blind spots, and so many faults, are shown."""
_Thing = TypeVar("_Thing")
_WATCHED: Final = {"hooks": "conversions", "memory": "memory", "time": "line times"}
_REPEATED: Final = re.compile(r".* \(x([0-9]{1,18})\)", re.DOTALL)


def sections(evidence: Evidence) -> tuple[Section, ...]:
    """Return the sections that have an entry, the most pressing first."""
    found = (
        section("Failed", "broken", sorted(evidence.failures, key=_line), failure_entry),
        section("Shared memory was written", "broken", evidence.hazards, hazard_entry),
        section("Findings", "warm", sorted(evidence.findings, key=_saving), _finding),
    )
    return tuple(one for one in found if one.entries)


def footer(recording: Recording) -> tuple[str, ...]:
    """Return what a reader should know of how the numbers came about."""
    lines = trouble(recording) or ["Not seen: nothing suspected."]
    if recording.overhead_ns:
        share = format_share(recording.overhead_ns, recording.elapsed_ns)
        of_all = f" ({share} of the time)" if share else ""
        parts = _parts_of_cost(recording)
        lines.append(f"Watching cost about {format_time(recording.overhead_ns)}{of_all}{parts}.")
    if any(one.totals.elapsed_ns for one in recording.conversions):
        lines.append(_about_times(recording))
    return tuple(lines)


def trouble(recording: Recording) -> list[str]:
    """Return what was not seen, and where looking failed."""
    lines = [f"Not seen: {one}" for one in _first(recording.blind_spots)]
    if recording.faults:
        times = counted(sum(map(_times, recording.faults)), "time")
        lines.append(f"tensortoll failed to look {times}: {'; '.join(_first(recording.faults))}")
    return lines


def _about_times(recording: Recording) -> str:
    observed = any(one.elapsed_ns for one in recording.lines)
    whose = "the whole line's" if observed else "those of the conversions alone"
    text = f"Times are {whose}, measured once: take them as approximations."
    if recording.peak is not None:
        text += " They were taken while memory was watched, which slows small steps most."
    if any(TRANSFERS.intersection(one.route.effects) for one in recording.conversions):
        text += " A transfer's time is that of the call, which may return before the data is there."
    return text


def _parts_of_cost(recording: Recording) -> str:
    told = [
        f"{format_time(spent)} {_WATCHED.get(kind, kind)}" for kind, spent in recording.overheads
    ]
    return f": {', '.join(told)}" if len(told) > 1 else ""


def _times(fault: str) -> int:
    found = _REPEATED.fullmatch(fault)
    return int(found[1]) if found else 1


def _first(texts: Sequence[str]) -> list[str]:
    shown = [printable(text) for text in texts[:SENTENCES]]
    if len(texts) > len(shown):
        shown.append(f"and {len(texts) - len(shown):,} more")
    return shown


def section(
    title: str, tone: Tone, things: Sequence[_Thing], entry: Callable[[_Thing], Entry]
) -> Section:
    """Return a section of as many entries as are shown, and how many are not."""
    more = f"and {len(things) - ENTRIES:,} more" if len(things) > ENTRIES else ""
    return Section(title, tone, tuple(map(entry, things[:ENTRIES])), more)


def _line(failure: Failure) -> int:
    return failure.line


def _saving(finding: Finding) -> tuple[int, int, int, str]:
    return -finding.saved_bytes, -finding.saved_ns, finding.line, finding.rule


def failure_entry(failure: Failure) -> Entry:
    """Return a conversion that raised as an entry."""
    parts = (printable(failure.explanation), printable(failure.remedy))
    return Entry(
        failure.line,
        printable(failure.error),
        printable(failure.expression, 200),
        tuple(part for part in parts if part),
    )


def hazard_entry(hazard: Hazard) -> Entry:
    """Return a write to shared memory as an entry."""
    names = f"{hazard.written} is written, {hazard.aliased} shares its memory"
    detail = printable(hazard.detail)
    parts = (f"shared since {printable(hazard.since)}", detail)
    return Entry(hazard.write_line, printable(names), "", tuple(part for part in parts if part))


def _finding(finding: Finding) -> Entry:
    parts = [
        *_saved(finding),
        "tried out" if finding.verified else "not tried out",
        *map(printable, finding.caveats),
    ]
    title = f"{printable(finding.rule)}  {printable(finding.title)}"
    code = printable(finding.suggestion, 200)
    return Entry(finding.line, title, code, tuple(part for part in parts if part))


def _saved(finding: Finding) -> list[str]:
    gains: list[str] = []
    losses: list[str] = []
    for difference, amount in (
        (finding.saved_bytes, format_bytes(abs(finding.saved_bytes))),
        (finding.saved_ns, format_time(abs(finding.saved_ns))),
    ):
        if difference:
            (gains if difference > 0 else losses).append(amount)
    told = [f"saves {', '.join(gains)}"] if gains else []
    return [*told, f"costs {', '.join(losses)} more"] if losses else told
