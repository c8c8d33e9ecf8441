"""Rows of styled text for a terminal: measuring, wrapping and turning them into a string."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from tensortoll.report.printable import ELLIPSIS

KEPT_SPACE: Final = "\N{NO-BREAK SPACE}"
"""A space at which no row is broken; drawn as any other. No printable text holds one."""
_FALLBACK: Final = 100
_NARROWEST: Final = 30
_WIDEST: Final = 200


class Piece(NamedTuple):
    """A text in one style; the empty style is the terminal's own."""

    text: str
    style: str = ""


Row = list[Piece]


class Canvas(NamedTuple):
    """What the rows are drawn on."""

    width: int
    """In cells: a wide character takes two."""
    color: bool


def canvas(width: int | None, color: bool | None) -> Canvas:
    """Return the canvas asked for, or what standard output is.

    Colour is for a terminal whose user has not set `NO_COLOR`; whatever is piped, logged or saved
    holds no escapes.
    """
    if width is None:
        width = shutil.get_terminal_size((_FALLBACK, 24)).columns
    if color is None:
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        color = wanted and sys.stdout is not None and sys.stdout.isatty()
    return Canvas(max(_NARROWEST, min(width, _WIDEST)), color)


def drawn(rows: Sequence[Row], canvas: Canvas) -> str:
    """Return rows as one string without a last line end."""
    if not canvas.color:
        return "\n".join("".join(piece.text for piece in row).rstrip() for row in rows)
    stream = StringIO()
    console = Console(
        file=stream, force_terminal=True, no_color=False, width=canvas.width, legacy_windows=False
    )
    console.print(_Rows(rows), crop=False, end="")
    return stream.getvalue().rstrip("\n")


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fitted(text: str, width: int) -> str:
    """Return a text cut to so many cells, with an ellipsis where it was cut."""
    if cells(text) <= width:
        return text
    return text[: fitting(text, max(width - 1, 0))] + ELLIPSIS


def fitting(text: str, width: int) -> int:
    """Return how many characters of a text fit into so many cells."""
    if text.isascii():
        return min(len(text), width)
    taken = 0
    for number, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return number
    return len(text)


def chunks(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Yield where to cut a text into pieces of so many cells; an empty text is one piece."""
    start = 0
    while True:
        # A wide character that does not fit is put out all the same, or this would never end.
        stop = start + max(fitting(text[start:], width), 1)
        if stop >= len(text):
            yield start, len(text)
            return
        yield start, stop
        start = stop


def wrapped(pieces: Row, width: int) -> list[Row]:
    """Return pieces broken into rows of so many cells, between words where that can be."""
    rows: list[Row] = [[]]
    taken = 0

    def begin_row() -> None:
        nonlocal taken
        rows.append([])
        taken = 0

    for text, style in pieces:
        for word in _words(text):
            size = cells(word)
            if taken and taken + size > width:
                begin_row()
            if word == " " and not taken and len(rows) > 1:
                continue
            for start, stop in chunks(word, width) if size > width else ((0, len(word)),):
                if start:
                    begin_row()
                part = word[start:stop].replace(KEPT_SPACE, " ")
                last = rows[-1][-1] if rows[-1] else None
                if last is not None and last.style == style:
                    rows[-1][-1] = Piece(last.text + part, style)
                else:
                    rows[-1].append(Piece(part, style))
                taken += size if size <= width else cells(part)
    return rows


def _words(text: str) -> Iterator[str]:
    """The words of a text and the spaces between them."""
    for number, word in enumerate(text.split(" ")):
        if number:
            yield " "
        if word:
            yield word


class _Rows:
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the rows; no markup is read, so a text can't style itself."""
        for row in self._rows:
            for text, style in row:
                yield Segment(text, Style.parse(style) if style else None)
            yield Segment.line()
