"""From a recording to a report: everything is decided here, nothing is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from tensortoll.model import LineCost, Source
from tensortoll.recording import Recording
from tensortoll.report.annotation import COSTLY_LINES, MESSAGES, annotated
from tensortoll.report.memory import is_hidden
from tensortoll.report.printable import printable
from tensortoll.report.sections import footer, sections, trouble
from tensortoll.report.values import Line, Report
from tensortoll.report.verdict import Evidence, counted, facts, in_all, next_step, verdict, why
from tensortoll.report.words import NAME_LIMIT, WORTH_BYTES
from tensortoll.sizes import format_bytes

ROWS_IN_ALL: Final = 2_000
"""So many lines and messages stand in all reports on a recording together, which makes a page of
three megabytes at most; the sources beyond are summed."""
_Thing = TypeVar("_Thing")
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
    costs = [one for one in recording.lines if one.source == source]
    limits = max_lines, _messages(max_lines)
    report = _built(recording, title, source, mine, costs, limits, whole=True)
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
    report stands for all. What was not seen is told once, in the last report, and so are the time
    and the peak of all where they are no single source's.

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
        limits = max_lines, _messages(max_lines)
        return (_built(recording, name, Source(name, None), everything, (), limits, whole=True),)
    costs = _grouped(recording.lines, lambda one: one.source)
    reports: list[Report] = []
    alone = told = len(recording.sources) <= 1
    room = ROWS_IN_ALL
    for one in telling:
        name = one.name if title is None else f"{title}  {one.name}"
        if ran not in {None, one.name}:
            name += f", run by {ran}"
        limits = max_lines, min(_messages(max_lines), room)
        mine, its_costs = by_source[one], costs.get(one, ())
        whole = alone or one.name == ran
        told = told or whole
        report = _built(recording, name, one, mine, its_costs, limits, whole=whole)
        reports.append(replace(report, footer=()))
        room -= max(_rows(report), 1)
        if room <= 0:
            break
    beyond = [by_source[one] for one in telling[len(reports) :]]
    rest = (*_more(beyond), *(() if told else in_all(recording)), *footer(recording))
    reports[-1] = replace(reports[-1], footer=rest)
    return tuple(reports)


def _messages(max_lines: int) -> int:
    """Return how many messages may stand under so many lines: more lines were asked for."""
    return max(MESSAGES, max_lines * MESSAGES // COSTLY_LINES)


def _rows(report: Report) -> int:
    lines = [one for one in report.lines if isinstance(one, Line)]
    messages = sum(len(note.messages) for line in lines for note in line.notes)
    return len(report.lines) + messages + sum(len(one.entries) for one in report.sections)


def _more(left: Sequence[Evidence]) -> tuple[str, ...]:
    """Say what there is in sources that have no report."""
    if not left:
        return ()
    count = counted(sum(one.totals.count for one in left), "conversion")
    copied = format_bytes(sum(one.copied_bytes for one in left))
    return (f"And {len(left):,} more sources, not shown: {count}, {copied} copied.",)


def _built(
    recording: Recording,
    title: str,
    source: Source,
    evidence: Evidence,
    costs: Sequence[LineCost],
    limits: tuple[int, int],
    *,
    whole: bool,
) -> Report:
    tone, sentence = verdict(evidence)
    about = facts(evidence, recording, whole=whole)
    if evidence.is_healthy:
        # The sentence has the other numbers.
        known = about[:1] if recording.elapsed_ns else ()
        name = printable(title, NAME_LIMIT)
        return Report(name, known, sentence, tone, footer=tuple(trouble(recording)))
    columns, lines = annotated(source, evidence, costs, *limits, peak=recording.peak)
    return Report(
        printable(title, NAME_LIMIT),
        about,
        sentence,
        tone,
        columns,
        lines,
        sections(evidence),
        footer(recording),
        why(evidence),
        next_step(evidence),
    )


def _by_source(recording: Recording, worth: int = WORTH_BYTES) -> dict[Source, Evidence]:
    conversions = _grouped(recording.conversions, lambda one: one.route.place.source)
    failures = _grouped(recording.failures, lambda one: one.source)
    hazards = _grouped(recording.hazards, lambda one: one.source)
    findings = _grouped(recording.findings, lambda one: one.source)
    hidden = _grouped(filter(is_hidden, recording.lines), lambda one: one.source)
    return {
        source: Evidence(
            conversions.get(source, ()),
            failures.get(source, ()),
            hazards.get(source, ()),
            findings.get(source, ()),
            worth,
            hidden.get(source, ()),
        )
        for source in {**conversions, **failures, **hazards, **findings, **hidden}
    }


def _grouped(
    things: Iterable[_Thing], key: Callable[[_Thing], Source]
) -> dict[Source, list[_Thing]]:
    found: defaultdict[Source, list[_Thing]] = defaultdict(list)
    for one in things:
        found[key(one)].append(one)
    return dict(found)


def _ranked(recording: Recording, by_source: Mapping[Source, Evidence]) -> list[Source]:
    """The sources, the one that was copied most on first; equals as the recording has them."""
    listed = dict.fromkeys((*recording.sources, *sorted(by_source, key=_name)))
    return sorted(
        listed,
        key=lambda one: -by_source[one].copied_bytes if one in by_source else 1,
    )


def _name(source: Source) -> tuple[str, str]:
    return source.name, source.text or ""
