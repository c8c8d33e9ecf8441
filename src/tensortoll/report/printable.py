"""Foreign text made harmless: nothing that a terminal would obey, nothing that hides or reorders.

Recorded texts come from a user's source, from error messages and from files. A terminal obeys
control characters in them, and direction marks can make source read differently from what it is.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ELLIPSIS: Final = "…"
_TAB_STOP: Final = 4
_UNSEEN: Final = "\N{REPLACEMENT CHARACTER}"
_CONTROL_PICTURES: Final = 0x2400
# Joiners, variation selectors and skin tones change how wide their neighbours are drawn, and
# terminals differ in it. Without them every character has a width of its own.
_DROPPED: Final = frozenset(
    [0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), *range(0xE0100, 0xE01F0)]
)
_PLAIN: Final = re.compile(r"[ -~]*")


def printable(text: str, limit: int = 400) -> str:
    """Return a text on one line, its control characters shown as pictures, cut to `limit`."""
    # Enough is left to fill the limit, and a text of megabytes costs no more than its start.
    start = text[: 4 * limit]
    shown = start if _PLAIN.fullmatch(start) else "".join(map(_shown, " ".join(start.split())))
    return _cut(shown, limit, whole=len(start) == len(text))


def printable_line(text: str, limit: int) -> str:
    """Return a line of source likewise, with its indentation kept and its tabs expanded."""
    start = text[: 4 * limit]
    shown = start if _PLAIN.fullmatch(start) else _expanded(start)
    return _cut(shown, limit, whole=len(start) == len(text))


def offset(text: str, column: int, limit: int) -> int:
    """Return where a column of a line of source stands once the line is printable."""
    start = text[: min(column, 4 * limit)]
    return min(len(start if _PLAIN.fullmatch(start) else _expanded(start)), limit)


def _cut(text: str, limit: int, *, whole: bool) -> str:
    return text if whole and len(text) <= limit else text[: limit - 1] + ELLIPSIS


def _expanded(text: str) -> str:
    shown: list[str] = []
    width = 0
    for character in text:
        tab = " " * (_TAB_STOP - width % _TAB_STOP)
        new = tab if character == "\t" else _shown(character)
        shown.append(new)
        # Tab stops count cells; what matters is only that every format gets the same spaces.
        width += sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in new)
    return "".join(shown)


def _shown(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return "" if code in _DROPPED else character
    if code in _DROPPED:
        return ""
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    # Every other kind of space; line and paragraph separators end lines in some viewers.
    return " " if unicodedata.category(character) == "Zs" else _UNSEEN
