"""What a report says, and all that a renderer may see: texts in their final wording.

Every text here is printable: it holds no control characters, no escapes and no line ends. What
remains for a renderer is to lay the texts out and to escape them for its own format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["hot", "warm", "quiet", "plain", "broken"]
"""How much a thing asks to be looked at.

`hot`: most of the cost is here. `warm`: data was copied. `quiet`: memory was shared, or hardly any
was moved. `plain`: nothing to say. `broken`: something failed, or may give wrong results.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers beside the source."""

    key: str
    heading: str
    rank: int
    """Where there is too little room, the columns of the highest rank are left out first."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to know about an expression: a head and its particulars."""

    tone: Tone
    head: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Messages about one sub-expression of a line."""

    start: int
    """Offset of its first character in the text of the line."""
    stop: int
    """Offset after its last one; equal to `start` where only the line is known."""
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source with what it cost."""

    number: int
    """From 1; 0 for what was between the lines."""
    text: str
    cells: tuple[str, ...]
    """One text for each column of the report."""
    share: float
    """Copied bytes, as part of those of the line that copied most: 0 to 1."""
    tone: Tone
    notes: tuple[Note, ...] = ()
    level: float = 0.0
    """Memory held when the line allocated, as part of the most that was ever held: 0 to 1."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines of source that are not shown."""

    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding, a failure or a hazard."""

    line: int
    title: str
    code: str = ""
    """A piece of source: what to write instead, or what failed."""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Entries of one sort."""

    title: str
    tone: Tone
    entries: tuple[Entry, ...]
    more: str = ""
    """How many entries are not shown; empty if all are."""


@dataclass(frozen=True, slots=True)
class Report:
    """A recording laid over one of its sources."""

    title: str
    facts: tuple[str, ...]
    """The headline's numbers, most telling first."""
    verdict: str
    tone: Tone
    columns: tuple[Column, ...] = ()
    lines: tuple[Line | Fold, ...] = ()
    """The annotated source; empty in a report that has nothing to show."""
    sections: tuple[Section, ...] = ()
    footer: tuple[str, ...] = ()
    why: str = ""
    """Where the cost comes from; empty where the verdict says it."""
    next: str = ""
    """What to do first; empty where nothing was tried that wins."""

    @property
    def card(self) -> tuple[tuple[str, str], ...]:
        """What stands at the top, one sentence each with its label; the verdict first."""
        every = (("Verdict", self.verdict), ("Why", self.why), ("Next", self.next))
        return tuple((label, text) for label, text in every if text)

    @property
    def is_quiet(self) -> bool:
        """Whether the verdict says it all."""
        return not self.lines and not self.sections
