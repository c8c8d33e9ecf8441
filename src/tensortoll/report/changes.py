"""From a comparison of two recordings to something to read: what changed, on the new source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, TypeVar

from tensortoll.comparison import Change, Comparison
from tensortoll.model import Conversion, Failure, Hazard, Source
from tensortoll.recording import Recording
from tensortoll.report.annotation import LINE_LIMIT, lines_of, span_in
from tensortoll.report.printable import printable, printable_line
from tensortoll.report.sections import ENTRIES, failure_entry, hazard_entry, section
from tensortoll.report.values import (
    Column,
    Entry,
    Fold,
    Line,
    Message,
    Note,
    Report,
    Tone,
)
from tensortoll.report.verdict import counted
from tensortoll.report.words import ARROW, EFFECTS, NAME_LIMIT, flow_text
from tensortoll.sizes import format_bytes, format_count

_Told = TypeVar("_Told", Failure, Hazard)

MOST_LINES: Final = 200
"""So many changed lines of a source are shown."""
_COLUMNS: Final = (Column("was", "was", 1), Column("copied", "now", 0))
_NAMES: Final[Mapping[str, str]] = {
    "copies": "copies",
    "count": "conversions",
    "bytes_read": "read",
    "bytes_written": "written",
}


def compared(comparison: Comparison, *, old: str, new: str) -> tuple[Report, ...]:
    """Return the reports on a comparison: first on all of it, and one on each changed source.

    Args:
        comparison: What changed.
        old: What the reader calls the recording that was.
        new: What the reader calls the other one.
    """
    worse = {id(one) for one in comparison.worse}
    by_source: dict[Source, list[Change]] = {}
    for change in comparison.changes:
        if change.new is not None:
            by_source.setdefault(change.place.source, []).append(change)
    title = printable(f"{old} {ARROW} {new}", NAME_LIMIT)
    sources = sorted(by_source.items(), key=lambda one: not any(id(c) in worse for c in one[1]))
    whole = _whole(comparison, title)
    each = [_on_source(source, changes, worse) for source, changes in sources]
    if not each or whole.sections:
        return (whole, *each)
    # With nothing else to show, the first source's lines stand right below.
    named = f"{whole.title}  {each[0].title}"
    return (replace(whole, title=named, columns=each[0].columns, lines=each[0].lines), *each[1:])


def sentence_on(comparison: Comparison) -> str:
    """Return in one sentence what changed."""
    if not comparison:
        number = counted(comparison.new.count, "conversion")
        return f"Nothing changed: {number}, {format_bytes(comparison.new.bytes_written)} written."
    worse = set(map(id, comparison.worse))
    parts = [
        _counted(len(comparison.worse), "place", "cost", "more"),
        _counted(len(comparison.changes) - len(worse), "place", "changed", "at no more cost"),
        _counted(len(comparison.new_failures), "conversion", "fail", "that did not"),
        _counted(len(comparison.new_hazards), "write", "reach", "memory that another array shares"),
    ]
    return "; ".join(part for part in parts if part) + "."


def change_text(change: Change) -> str:
    """Return in one line what changed at one place."""
    message = _message(change, worse=True)
    return f"{message.head}: {', '.join(message.parts)}"


def _counted(number: int, noun: str, verb: str, rest: str) -> str:
    if not number:
        return ""
    ending = "es" if verb.endswith("ch") else "s"
    inflected = verb if number > 1 or verb.endswith("ed") else verb + ending
    return f"{counted(number, noun)} {inflected} {rest}"


def _whole(comparison: Comparison, title: str) -> Report:
    old, new = comparison.old, comparison.new
    tone: Tone = "quiet"
    if comparison:
        tone = "hot" if comparison.is_worse else "warm"
    if comparison.new_failures or comparison.new_hazards:
        tone = "broken"
    gone = [one for one in comparison.changes if one.new is None]
    sections = (
        section("Fails now", "broken", comparison.new_failures, _named(failure_entry)),
        section(
            "Shared memory is written now", "broken", comparison.new_hazards, _named(hazard_entry)
        ),
        section("Gone", "quiet", gone, _gone),
    )
    facts = (
        _was_and_is(old, new, lambda one: one.count, "conversions", format_count),
        _was_and_is(old, new, lambda one: one.copies, "copies", format_count),
        _was_and_is(old, new, lambda one: one.bytes_written, "written", format_bytes),
    )
    return Report(
        title,
        facts if comparison else (),
        sentence_on(comparison),
        tone,
        sections=tuple(one for one in sections if one.entries),
        footer=_versions(old, new),
    )


def _was_and_is(
    old: Recording,
    new: Recording,
    number: Callable[[Recording], int],
    noun: str,
    text: Callable[[int], str],
) -> str:
    was, now = number(old), number(new)
    return f"{text(now)} {noun}" if was == now else f"{text(was)} {ARROW} {text(now)} {noun}"


def _versions(old: Recording, new: Recording) -> tuple[str, ...]:
    """Say what else differs and may be the cause."""
    was = {"python": old.environment.python, **old.environment.libraries}
    now = {"python": new.environment.python, **new.environment.libraries}
    told = [
        f"{name} {was[name]} {ARROW} {now[name]}"
        for name in sorted(was.keys() & now.keys())
        if was[name] != now[name] and was[name] and now[name]
    ]
    return (f"Other versions: {printable(', '.join(told))}.",) if told else ()


def _on_source(source: Source, changes: Sequence[Change], worse: AbstractSet[int]) -> Report:
    texts = lines_of(source.text or "")
    by_line: dict[int, list[Change]] = {}
    for change in changes:
        by_line.setdefault(change.place.line, []).append(change)
    most = max((_written(each, "new") for each in by_line.values()), default=0)
    shown = sorted(
        sorted(by_line, key=lambda line: (-_written(by_line[line], "new"), line))[:MOST_LINES]
    )
    lines: list[Line | Fold] = []
    previous = 0
    for number in shown:
        skipped = min(number, len(texts) + 1) - previous - 1
        if previous and skipped > 0:
            lines.append(Fold(f"{counted(skipped, 'line')}"))
        previous = number
        lines.append(_line(number, texts, by_line[number], worse, most))
    if len(by_line) > len(shown):
        lines.append(Fold(f"and {len(by_line) - len(shown):,} more changed lines"))
    costlier = sum(id(one) in worse for one in changes)
    told = [
        _counted(costlier, "place", "cost", "more"),
        _counted(len(changes) - costlier, "place", "changed", "at no more cost"),
    ]
    sentence = "; ".join(part for part in told if part) + "."
    tone: Tone = "hot" if costlier else "warm"
    return Report(printable(source.name, NAME_LIMIT), (), sentence, tone, _COLUMNS, tuple(lines))


def _line(
    number: int,
    texts: Sequence[str],
    changes: Sequence[Change],
    worse: AbstractSet[int],
    most: int,
) -> Line:
    known = 0 < number <= len(texts)
    text = texts[number - 1] if known else changes[0].place.expression
    notes: dict[tuple[int, int], list[Message]] = {}
    for change in changes[:ENTRIES]:
        place = change.place
        stop = len(text) if place.end_line > place.line else place.end_column
        span = span_in(text, place.column, stop) if known else (0, 0)
        notes.setdefault(span, []).append(_message(change, worse=id(change) in worse))
    if len(changes) > ENTRIES:
        more = Message("plain", f"and {len(changes) - ENTRIES:,} more")
        notes.setdefault((0, 0), []).append(more)
    was, now = _written(changes, "old"), _written(changes, "new")
    return Line(
        number,
        printable_line(text, LINE_LIMIT),
        (format_bytes(was), format_bytes(now)),
        now / most if most else 0.0,
        "hot" if any(id(one) in worse for one in changes) else "plain",
        tuple(Note(*span, tuple(told)) for span, told in sorted(notes.items())),
    )


def _written(changes: Iterable[Change], side: str) -> int:
    """Return what the changed conversions wrote, before or after."""
    sides = (getattr(one, side) for one in changes)
    return sum(one.totals.bytes_written for one in sides if one is not None)


def _message(change: Change, *, worse: bool) -> Message:
    tone: Tone = "hot" if worse else "warm"
    if change.old is None or change.new is None:
        one = change.new or change.old
        assert one is not None, "a change has at least one side"
        return Message(tone, "new", tuple(_said(one)))
    head = "worse" if worse else "changed"
    parts = []
    before, route = change.old.route, change.new.route
    differing = {one.name: one for one in change.differences}
    if "outcome" in differing:
        parts.append(f"{before.outcome} {ARROW} {route.outcome}")
    if "from" in differing or "to" in differing:
        was, now = flow_text(before.origin, before.target), flow_text(route.origin, route.target)
        parts.append(f"was {was}, is {now}")
    if "effects" in differing:
        parts.append(f"{_effects(change.old)} {ARROW} {_effects(change.new)}")
    if "implicit" in differing:
        parts.append("is asked for" if before.implicit else "is no longer asked for")
    for name, noun in _NAMES.items():
        if name in differing:
            text = format_bytes if name.startswith("bytes") else format_count
            pair = getattr(change.old.totals, name), getattr(change.new.totals, name)
            parts.append(f"{_apart(*pair, text)} {noun}")
    return Message(tone, head, tuple(parts))


def _apart(was: int, now: int, text: Callable[[int], str]) -> str:
    """Two numbers that differ must not look alike."""
    one, other = text(was), text(now)
    if one == other:
        one, other = f"{was:,} B", f"{now:,} B"
    return f"{one} {ARROW} {other}"


def _said(one: Conversion) -> Iterator[str]:
    yield one.route.outcome
    yield flow_text(one.route.origin, one.route.target)
    if one.route.effects:
        yield _effects(one)
    yield counted(one.totals.count, "conversion")
    if one.totals.bytes_written:
        yield f"{format_bytes(one.totals.bytes_written)} written"


def _effects(one: Conversion) -> str:
    return ", ".join(EFFECTS.get(effect, effect) for effect in one.route.effects) or "no effect"


def _named(entry: Callable[[_Told], Entry]) -> Callable[[_Told], Entry]:
    """Have entries say which source their line is of."""

    def told(one: _Told) -> Entry:
        made: Entry = entry(one)
        return replace(made, parts=(printable(one.source.name, NAME_LIMIT), *made.parts))

    return told


def _gone(change: Change) -> Entry:
    assert change.old is not None, "what is gone was there"
    place = change.place
    title = printable(f"{place.source.name}: {', '.join(_said(change.old))}")
    return Entry(place.line, title, printable(place.expression, 200))
