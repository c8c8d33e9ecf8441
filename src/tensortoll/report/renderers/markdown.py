"""The report as Markdown, for a pull request or an issue: only the lines with something to say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tensortoll.report.bars import bar
from tensortoll.report.card import Card
from tensortoll.report.printable import printable
from tensortoll.report.values import Fold, Line, Message, Report, Section

_COPIED: Final = "copied"
_BAR: Final = 6
# Entities are read as plain characters everywhere, also where a backslash is not: in a table, in
# the mathematics that notebooks look for, and before GitHub looks for mentions and addresses.
_SPECIAL: Final = re.compile(
    r"[\\`*_\[\]<>#|~$@&]"  # Markup, mentions, mathematics and entities.
    r"|:(?=//|\w+:)|www(?=\.)"  # Addresses and little pictures.
    r"|^[-+](?=\s|$)|(?:(?<=^\d)|(?<=^\d\d))[.)](?=\s|$)",  # Lists.
    re.IGNORECASE,
)
# A span of code is easier to read in the raw text, and does for whatever can't end it.
_SPAN_OF_CODE: Final = re.compile(r"[^`|\\<>&$]*[^`|\\<>&$ ][^`|\\<>&$]*")


def render(report: Report, /) -> str:
    """Return a report as Markdown with the tables of GitHub."""
    facts = " · ".join(map(_text, report.facts))
    if report.is_quiet:
        return _joined([f"**{_text(report.title)}** {facts} {_text(report.verdict)}"], report)
    blocks = [f"**{_text(report.title)}** {facts}"]
    told_first = (f"{label}: **{_text(text)}**" for label, text in report.card[:1])
    rest = (f"{label}: {_text(text)}" for label, text in report.card[1:])
    blocks.append("<br>\n".join([*told_first, *rest]))
    told = [one for one in report.lines if isinstance(one, Line) and one.notes]
    if told:
        blocks.append("\n".join(_table(report, told)))
    # A fold between lines without notes is no news; one that hides conversions is.
    folded = [one for one in report.lines if isinstance(one, Fold) and " of them " in one.text]
    blocks += [f"Not shown: {_text(one.text)}." for one in folded]
    blocks += ["\n".join(_section(section)) for section in report.sections]
    return _joined(blocks, report)


def card(card: Card, /) -> str:
    """Return a card as Markdown."""
    blocks = [f"**{_code(printable(card.title))}**", _text(printable(card.verdict))]
    if card.rows:
        rows = [f"| {_text(printable(a))} | {_text(printable(b))} |" for a, b in card.rows]
        blocks.append("\n".join(["| | |", "| :-- | :-- |", *rows]))
    blocks += [_text(printable(note)) for note in card.notes]
    return "\n\n".join(blocks) + "\n"


def _joined(blocks: Iterable[str], report: Report) -> str:
    return "\n\n".join([*blocks, *(_text(one) for one in report.footer)]) + "\n"


def _table(report: Report, lines: Iterable[Line]) -> Iterator[str]:
    headings = ["line"]
    for column in report.columns:
        headings += [column.heading, ""] if column.key == _COPIED else [column.heading]
    headings.append("source")
    yield "| " + " | ".join(headings) + " |"
    yield "| " + " | ".join([*["--:"] * (len(headings) - 1), ":--"]) + " |"
    for line in lines:
        cells = [str(line.number or "")]
        for column, text in zip(report.columns, line.cells, strict=True):
            cells.append(_text(text))
            if column.key == _COPIED:
                cells.append(bar(line.share, _BAR).rstrip() if line.share else "")
        told = [_code(line.text.strip())]
        told += [_message(one) for note in line.notes for one in note.messages]
        cells.append("<br>".join(told))
        yield "| " + " | ".join(cells) + " |"


def _message(message: Message) -> str:
    return f"└ **{_text(message.head)}** {_text(' · '.join(message.parts))}".rstrip()


def _section(section: Section) -> Iterator[str]:
    yield f"**{_text(section.title)}**"
    yield ""
    for entry in section.entries:
        told = [f"line {entry.line}: {_text(entry.title)}"]
        told += [_code(entry.code)] if entry.code else []
        told += [_text(" · ".join(entry.parts))] if entry.parts else []
        yield "- " + "<br>".join(told)
    if section.more:
        yield f"- {_text(section.more)}"


def _text(text: str) -> str:
    """Text that no reader of Markdown or HTML takes for anything else."""
    return _SPECIAL.sub(_entity, text)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0][0])};{found[0][1:]}"


def _code(text: str) -> str:
    if _SPAN_OF_CODE.fullmatch(text):
        return f"`{text}`"
    return f"<code>{_text(text)}</code>"
