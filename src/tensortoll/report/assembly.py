"""From a recording to a report: everything is decided here, nothing is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tensortoll.model import Conversion, Source
from tensortoll.recording import Recording
from tensortoll.report.annotation import COSTLY_LINES, annotated
from tensortoll.report.memory import is_hidden
from tensortoll.report.printable import printable
from tensortoll.report.sections import footer, sections, trouble
from tensortoll.report.values import Report
from tensortoll.report.verdict import Evidence, counted, facts, verdict
from tensortoll.report.words import NAME_LIMIT, WORTH_BYTES
from tensortoll.sizes import format_bytes

_NOTHING: Final = Evidence((), (), (), ())


def build(
    recording: Recording,
    *,
    title: str,
    source: Source | None = None,
    max_lines: int = COSTLY_LINES,
) -> Report:
    """Return the report on one source of a recording.

    Args:
        recording: What a run left behind.
        title: What the reader calls it: `cell [7]`, `train.py`.
        source: The one to report on; None for the one that was copied most on.
        max_lines: How many lines with something to say are shown, the costliest first.
    """
    by_source = _by_source(recording)
    if source is None:
        source = next(iter(_ranked(recording, by_source)), Source(title, None))
    mine = by_source.pop(source, _NOTHING)
    report = _built(recording, title, source, mine, max_lines)
    elsewhere = sum(evidence.totals.count for evidence in by_source.values())
    if not elsewhere:
        return report
    copied = format_bytes(sum(evidence.copied_bytes for evidence in by_source.values()))
    line = f"Not shown here: {counted(elsewhere, 'conversion')} in other sources, {copied} copied."
    return replace(report, footer=(line, *report.footer))


def build_all(
    recording: Recording,
    *,
    title: str | None = None,
    ran: str | None = None,
    max_lines: int = COSTLY_LINES,
    worth: int = WORTH_BYTES,
) -> tuple[Report, ...]:
    """Return a report for each source that has something to say, the costliest first.

    A source without conversions worth a line is left out, unless there is no other; then the one
    report stands for all. What was not seen is told once, in the last report.

    Args:
        recording: What a run left behind.
        title: What the reader calls the run, put before the names of its sources; None for the
            names alone.
        ran: The name of the source that was run, where others only lent it their functions.
        max_lines: How many lines with something to say are shown in each report.
        worth: From so many bytes on, what a line moved is something to say; 0 for all lines.
    """
    by_source = _by_source(recording, worth)
    telling = [
        one for one in _ranked(recording, by_source) if not by_source.get(one, _NOTHING).is_healthy
    ]
    if not telling:
        name = title or ran or (recording.sources[0].name if recording.sources else "recording")
        everything = Evidence(recording.conversions, (), (), ())
        return (_built(recording, name, Source(name, None), everything, max_lines),)
    reports = []
    for one in telling:
        name = one.name if title is None else f"{title}  {one.name}"
        if ran not in {None, one.name}:
            name += f", run by {ran}"
        report = _built(recording, name, one, by_source[one], max_lines)
        reports.append(report if one is telling[-1] else replace(report, footer=()))
    return tuple(reports)


def _built(
    recording: Recording, title: str, source: Source, evidence: Evidence, max_lines: int
) -> Report:
    tone, sentence = verdict(evidence)
    about = facts(evidence, recording)
    if evidence.is_healthy:
        # The sentence has the other numbers.
        known = about[:1] if recording.elapsed_ns else ()
        name = printable(title, NAME_LIMIT)
        return Report(name, known, sentence, tone, footer=tuple(trouble(recording)))
    costs = [one for one in recording.lines if one.source == source]
    columns, lines = annotated(source, evidence, costs, max_lines, peak=recording.peak)
    return Report(
        printable(title, NAME_LIMIT),
        about,
        sentence,
        tone,
        columns,
        lines,
        sections(evidence),
        footer(recording),
    )


def _by_source(recording: Recording, worth: int = WORTH_BYTES) -> dict[Source, Evidence]:
    conversions: defaultdict[Source, list[Conversion]] = defaultdict(list)
    for one in recording.conversions:
        conversions[one.route.place.source].append(one)
    named = {
        *conversions,
        *(one.source for one in recording.failures),
        *(one.source for one in recording.hazards),
        *(one.source for one in recording.findings),
        *(one.source for one in recording.lines if is_hidden(one)),
    }
    return {
        source: Evidence(
            conversions.get(source, ()),
            tuple(one for one in recording.failures if one.source == source),
            tuple(one for one in recording.hazards if one.source == source),
            tuple(one for one in recording.findings if one.source == source),
            worth,
            tuple(one for one in recording.lines if one.source == source and is_hidden(one)),
        )
        for source in named
    }


def _ranked(recording: Recording, by_source: Mapping[Source, Evidence]) -> list[Source]:
    """The sources, the one that was copied most on first; equals as the recording has them."""
    listed = dict.fromkeys((*recording.sources, *sorted(by_source, key=_name)))
    return sorted(
        listed,
        key=lambda one: -by_source[one].copied_bytes if one in by_source else 1,
    )


def _name(source: Source) -> tuple[str, str]:
    return source.name, source.text or ""
