"""The report for a terminal, in as many columns as it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tensortoll.report.bars import bar
from tensortoll.report.card import Card
from tensortoll.report.printable import ELLIPSIS, printable
from tensortoll.report.renderers.rows import (
    KEPT_SPACE,
    Canvas,
    Piece,
    Row,
    canvas,
    cells,
    drawn,
    fitted,
    wrapped,
)
from tensortoll.report.values import Column, Fold, Line, Message, Note, Report, Section, Tone

_COPIED: Final = "copied"
_PEAK: Final = "peak"
_PEAK_BAR: Final = 4
_GAP: Final = 2
_MARGIN: Final = 1
_STRIP_ROWS: Final = 3
"""Where a message would take more rows beside the numbers, messages begin under them."""
_GLIMPSE: Final = 12
"""So many characters of an expression that was cut off are enough to know it by."""
_LEAST_ROOM: Final = 34
_SOURCE_SHARE: Final = 36
"""Per cent of the width that the source is given before columns are left out for it."""
_BARS: Final = ((120, 8), (72, 4), (0, 1))
_UNIT: Final = re.compile(r"(?<=\d) (?=[kMGTPEZY]?B\b|[nµm]?s\b|min\b|%)")
_ACCENT: Final[dict[Tone, str]] = {
    "hot": "bold red",
    "warm": "yellow",
    "quiet": "dim",
    "plain": "dim",
    "broken": "bold magenta",
}
_SOURCE: Final[dict[Tone, str]] = {
    "hot": "bold",
    "warm": "",
    "quiet": "",
    "plain": "dim",
    "broken": "bold",
}


def render(report: Report, /, *, width: int | None = None, color: bool | None = None) -> str:
    """Return a report as text without a last line end.

    Args:
        report: What to draw.
        width: In cells; None for the terminal's own, or 100 where there is none.
        color: Whether to use colours and weights; None for yes on a terminal, if its user has
            not set `NO_COLOR`.
    """
    on = canvas(width, color)
    rows: list[Row] = []
    if report.is_quiet:
        rows += _quiet(report, on)
    else:
        rows += _head(report, on)
        if report.lines:
            rows.append([])
            rows += _Source(report, on).rows()
        for section in report.sections:
            rows.append([])
            rows += _section(section, on)
        rows.append([])
    for text in report.footer:
        rows += _indented([Piece(text, "dim")], on, _MARGIN, _MARGIN + _GAP)
    return drawn(rows, on)


def card(card: Card, /, *, width: int | None = None, color: bool | None = None) -> str:
    """Return a card as text, as `render` does a report."""
    on = canvas(width, color)
    rows = _indented([Piece(printable(card.title), "bold")], on, _MARGIN, _MARGIN)
    rows += _indented([Piece(printable(card.verdict))], on, _MARGIN, _MARGIN)
    if card.rows:
        rows.append([])
    labels = [fitted(printable(label), on.width // 3) for label, _ in card.rows]
    widest = max(map(cells, labels), default=0)
    for label, (_, value) in zip(labels, card.rows, strict=True):
        start = " " * (_MARGIN + _GAP) + label + " " * (widest - cells(label) + _GAP)
        indent = _MARGIN + 2 * _GAP + widest
        told = wrapped([Piece(printable(value))], max(on.width - indent, 1))
        rows.append([Piece(start, "dim"), *told[0]])
        rows += ([Piece(" " * indent), *row] for row in told[1:])
    if card.notes:
        rows.append([])
    for note in card.notes:
        rows += _indented([Piece(printable(note), "dim")], on, _MARGIN, _MARGIN + _GAP)
    return drawn(rows, on)


def _quiet(report: Report, on: Canvas) -> list[Row]:
    pieces = [*_headline(report), Piece(_units(report.verdict), "dim")]
    return _indented(pieces, on, _MARGIN, _MARGIN + _GAP)


def _head(report: Report, on: Canvas) -> list[Row]:
    rows = _indented(_headline(report), on, _MARGIN, _MARGIN + _GAP)
    labels = [label for label, _ in report.card]
    indent = _MARGIN + max(map(len, labels)) + _GAP
    for number, (label, text) in enumerate(report.card):
        style = "" if number else _ACCENT[report.tone]
        told = wrapped([Piece(_units(text), style)], max(on.width - indent, 1))
        start = " " * _MARGIN + label.ljust(indent - _MARGIN)
        rows.append([Piece(start, "dim"), *told[0]])
        rows += ([Piece(" " * indent), *row] for row in told[1:])
    return rows


def _section(section: Section, on: Canvas) -> Iterator[Row]:
    yield [Piece(" " * _MARGIN + section.title, "bold")]
    labels = [f"line {entry.line}" for entry in section.entries]
    widest = max(map(len, labels), default=0)
    indent = _MARGIN + _GAP + widest + _GAP
    for label, entry in zip(labels, section.entries, strict=True):
        first = Piece(" " * (_MARGIN + _GAP) + label.ljust(widest + _GAP), "dim")
        title, *rest = wrapped(
            [Piece(entry.title, _ACCENT[section.tone])], max(on.width - indent, 1)
        )
        yield [first, *title]
        for row in rest:
            yield [Piece(" " * indent), *row]
        if entry.code:
            yield from _indented([Piece(entry.code, "bold")], on, indent, indent + _GAP)
        if entry.parts:
            told = " ".join(_separated(entry.parts, on.width - indent))
            yield from _indented([Piece(told)], on, indent, indent)
    if section.more:
        yield [Piece(" " * (_MARGIN + _GAP) + section.more, "dim")]


def _indented(pieces: Row, on: Canvas, first: int, later: int) -> list[Row]:
    told = wrapped(pieces, max(on.width - max(first, later), 1))
    return [[Piece(" " * (later if n else first)), *row] for n, row in enumerate(told)]


class _Source:
    """The annotated source in the room that a canvas leaves it."""

    def __init__(self, report: Report, on: Canvas) -> None:
        self._report = report
        lines = [one for one in report.lines if isinstance(one, Line)]
        self._gutter = max((len(str(one.number)) for one in lines), default=1)
        self._bar = next(size for least, size in _BARS if on.width >= least)
        self._bar *= any(one.share for one in lines)
        widths = [
            max(cells(column.heading), *(cells(_cell(one, n, column)) for one in lines), 0)
            for n, column in enumerate(report.columns)
        ]
        longest = max((cells(one.text) for one in lines), default=0)
        kept = list(enumerate(report.columns))
        wanted = min(longest, max(_LEAST_ROOM, on.width * _SOURCE_SHARE // 100))
        while self._room_beside(on, [widths[n] for n, _ in kept]) < wanted and len(kept) > 1:
            kept.remove(max(kept, key=lambda one: one[1].rank))
        self._kept: list[tuple[int, Column, int]] = [(n, one, widths[n]) for n, one in kept]
        self._left_out = [one.heading for one in report.columns if one not in dict(kept).values()]
        self._room = max(self._room_beside(on, [width for _, _, width in self._kept]), 1)
        self._margin = on.width - self._room
        self._on = on
        self._left = self._beginning(lines)

    def _room_beside(self, on: Canvas, widths: list[int]) -> int:
        taken = _MARGIN + self._gutter + _GAP + sum(width + _GAP for width in widths)
        return on.width - taken - (self._bar + _GAP if self._bar else 0)

    def rows(self) -> Iterator[Row]:
        """Yield the heading, the lines, and what there was no room for."""
        heading = [one.heading.rjust(width) for _, one, width in self._kept]
        yield [Piece(" " * (_MARGIN + self._gutter + _GAP) + self._cells(heading, ""), "dim")]
        for one in self._report.lines:
            if isinstance(one, Fold):
                yield [Piece(" " * self._margin + "⋯ " + one.text, "dim")]
            else:
                yield from self._line(one)
        if self._left_out:
            text = f"Left out for want of room: {', '.join(self._left_out)}."
            yield from _indented([Piece(text, "dim")], self._on, _MARGIN, _MARGIN + _GAP)

    def _cells(self, texts: list[str], blocks: str) -> str:
        """The columns as one text, with the bar behind the copied bytes."""
        told = []
        for text, (_, column, _) in zip(texts, self._kept, strict=True):
            told.append(text)
            if column.key == _COPIED and self._bar:
                told.append(blocks.ljust(self._bar))
        return "".join(text + " " * _GAP for text in told)

    def _line(self, line: Line) -> Iterator[Row]:
        number = " " * _MARGIN + _numbered(line).rjust(self._gutter) + " " * _GAP
        told = [(_cell(line, n, column), width) for n, column, width in self._kept]
        texts = [" " * (width - cells(text)) + text for text, width in told]
        blocks = bar(line.share, self._bar) if self._bar else ""
        accent = _ACCENT[line.tone]
        shown = fitted(line.text, self._room)
        yield [
            Piece(number, accent),
            Piece(self._cells(texts, blocks), accent),
            Piece(shown, _SOURCE[line.tone]),
        ]
        visible = len(line.text) if shown == line.text else len(shown) - 1
        for note in line.notes:
            if note.start == note.stop:
                yield from self._messages(note.messages)
            elif note.stop <= visible or note.start + _GLIMPSE <= visible:
                yield from self._note(note, line.text[:visible], cells(line.text[: note.start]))
            else:
                # Its expression was cut off: show the line again from there on.
                rest = fitted(line.text[note.start :], self._room - _GAP)
                indent = self._margin + _GAP - 1 - len(ELLIPSIS)
                yield [Piece(" " * indent + ELLIPSIS + " ", "dim"), Piece(rest)]
                whole = note.stop - note.start
                moved = Note(0, min(whole, len(rest)), note.messages)
                yield from self._note(moved, rest, _GAP)

    def _note(self, note: Note, text: str, indent: int) -> Iterator[Row]:
        """What there is to know about a piece of a text that is shown above."""
        length = max(cells(text[note.start : note.stop]), 1)
        style = _ACCENT[note.messages[0].tone]
        row = [Piece(" " * (self._margin + indent)), Piece("└" + "─" * (length - 1), style)]
        room = self._room - indent - length - 1
        first = wrapped(_told(note.messages[0], room), room) if room > 0 else []
        if len(first) == 1:
            yield [*row, Piece(" "), *first[0]]
            yield from self._messages(note.messages[1:])
        else:
            yield row
            yield from self._messages(note.messages)

    def _messages(self, messages: Sequence[Message]) -> Iterator[Row]:
        for message in messages:
            for n, row in enumerate(self._wrapped(message, self._left)):
                yield [Piece(" " * (self._left + (_GAP if n else 0))), *row]

    def _wrapped(self, message: Message, left: int) -> list[Row]:
        width = max(self._on.width - left - _GAP, 1)
        return wrapped(_told(message, width), width)

    def _beginning(self, lines: Sequence[Line]) -> int:
        """Where messages begin: at the source, or at the numbers if they would be a narrow strip.

        It is the same for all of them, as an eye that looks for numbers needs still edges.
        """
        left = self._margin + _GAP
        messages = (one for line in lines for note in line.notes for one in note.messages)
        if all(len(self._wrapped(one, left)) <= _STRIP_ROWS for one in messages):
            return left
        return _MARGIN + self._gutter + 2 * _GAP


def _cell(line: Line, number: int, column: Column) -> str:
    text = line.cells[number]
    return bar(line.level, _PEAK_BAR) if column.key == _PEAK and text else text


def _numbered(line: Line) -> str:
    return str(line.number) if line.number else ""


def _told(message: Message, width: int) -> Row:
    style = "dim" if message.tone in ("quiet", "plain") else ""
    head = Piece(_kept(message.head + " " * bool(message.parts)), _ACCENT[message.tone])
    if not message.parts:
        return [head]
    return [head, Piece(" " + " ".join(_separated(message.parts, width)), style)]


def _separated(parts: Sequence[str], width: int) -> Iterator[str]:
    """The parts with a dot after each but the last; a row breaks between them if it can."""
    for number, part in enumerate(parts, start=1):
        dot = " ·" if number < len(parts) else ""
        yield _kept(part + dot) if cells(part + dot) <= width else part + _kept(dot)


def _headline(report: Report) -> Row:
    """The title and the numbers, with wide gaps after which a row may be broken."""
    told = (report.title, *map(_kept, report.facts))
    gap = 2 * KEPT_SPACE + " "
    title, *facts = (f"{one}{gap}" for one in told)
    return [Piece(title, "bold"), Piece("".join(facts))]


def _kept(text: str) -> str:
    return text.replace(" ", KEPT_SPACE)


def _units(text: str) -> str:
    return _UNIT.sub(KEPT_SPACE, text)
