"""The report as HTML for a notebook, and as a page of its own.

Static on purpose: no script, no frame, nothing from the network. JupyterLab drops `<style>` and
whatever else it does not know from a notebook that is not trusted, and GitHub drops `style`
attributes too, so colours are inline and see-through, and everything reads without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from tensortoll.report.card import Card
from tensortoll.report.printable import printable
from tensortoll.report.values import Entry, Fold, Line, Message, Note, Report, Section, Tone

_COPIED: Final = "copied"
_PEAK: Final = "peak"
_MONO: Final = "font-family: var(--jp-code-font-family, ui-monospace, monospace)"
_FONT: Final = f"font-size: 13px; {_MONO}"
_SMALL: Final = "font-size: 13px; line-height: 1.45"
_FAINT: Final = "opacity: 0.65"
# In the middle between light and dark, so that they can be read on either.
_INK: Final[dict[Tone, str]] = {
    "hot": "color: #e0502a; font-weight: 700",
    "warm": "color: #b7791f; font-weight: 600",
    "quiet": _FAINT,
    "plain": _FAINT,
    "broken": "color: #c2418f; font-weight: 700",
}
_TONELESS: Final[tuple[Tone, ...]] = ("quiet", "plain")
_FILL: Final[dict[Tone, str]] = {
    "hot": "rgba(224, 80, 42, 0.75)",
    "warm": "rgba(214, 158, 46, 0.65)",
    "quiet": "rgba(127, 127, 127, 0.4)",
    "plain": "rgba(127, 127, 127, 0.4)",
    "broken": "rgba(194, 65, 143, 0.7)",
}
_TINT: Final[dict[Tone, str]] = {
    "hot": "rgba(224, 80, 42, 0.10)",
    "broken": "rgba(194, 65, 143, 0.10)",
}
_LEVEL_FILL: Final = "rgba(66, 133, 200, 0.55)"
_BARRED: Final = (_COPIED, _PEAK)
"""Columns with a bar behind the number."""
_BAR_PX: Final = 48
_CELL: Final = (
    "padding: 0px 8px 0px 8px; text-align: right; vertical-align: top; white-space: nowrap; "
    "border: none"
)
_CODE: Final = (
    "padding: 0px 8px 0px 8px; text-align: left; vertical-align: top; border: none; width: 100%; "
    f"white-space: normal; {_FONT}"
)
_ROW: Final = "background-color: transparent"
_LABEL: Final = 40
_UNBROKEN: Final = 40
_PAGE_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: #fff; color: #1f2328;
       font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { body { background: #15181c; color: #d7dce2; } }
"""


def render(report: Report, /) -> str:
    """Return a report as a piece of HTML that inherits the colours around it."""
    if report.is_quiet:
        about = " · ".join(report.facts)
        body = _paragraph(
            f"<strong>{escape(report.title)}</strong>&ensp;{escape(about)}&ensp;"
            f"{_span(report.verdict, _FAINT)}"
        )
        return _framed([body, *_footer(report.footer)])
    return _framed([*_head(report), *_source(report), *_sections(report), *_footer(report.footer)])


def card(card: Card, /) -> str:
    """Return a card as a piece of HTML."""
    body = [
        _paragraph(f"<strong><code>{escape(printable(card.title))}</code></strong>"),
        _paragraph(escape(printable(card.verdict))),
    ]
    if card.rows:
        rows = "".join(
            f'<tr style="{_ROW}"><th scope="row" style="{_CELL}; text-align: left; '
            f'font-weight: normal; {_FAINT}">{escape(printable(label))}</th>'
            f'<td style="{_CODE}; {_MONO}">{escape(printable(value))}</td></tr>'
            for label, value in card.rows
        )
        body.append(f'<table style="{_table()}"><tbody>{rows}</tbody></table>')
    return _framed([*body, *_footer(tuple(map(printable, card.notes)))])


def page(reports: Sequence[Report | Card], *, title: str = "tensortoll") -> str:
    """Return a whole HTML document, light or dark as its reader prefers."""
    body = "\n".join(render(one) if isinstance(one, Report) else card(one) for one in reports)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(printable(title))}</title>\n<style>{_PAGE_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _framed(parts: Iterable[str]) -> str:
    inner = "\n".join(parts)
    return f'<div style="{_SMALL}; margin: 8px 0px 16px 0px">\n{inner}\n</div>'


def _paragraph(inner: str, style: str = "") -> str:
    return f'<p style="margin: 0px 0px 4px 0px{"; " + style if style else ""}">{inner}</p>'


def _span(text: str, style: str) -> str:
    return f'<span style="{style}">{escape(text)}</span>'


def _table() -> str:
    # JupyterLab centres what it takes for a data frame, and gives all columns one width.
    return (
        "border-collapse: collapse; border: none; margin: 6px 0px 6px 0px; "
        f"table-layout: auto; {_SMALL}"
    )


def _head(report: Report) -> Iterator[str]:
    about = " · ".join(report.facts)
    yield _paragraph(f"<strong>{escape(report.title)}</strong>&ensp;{escape(about)}")
    for number, (label, text) in enumerate(report.card):
        told = escape(text) if number else _span(text, _INK[report.tone])
        yield _paragraph(f"{_span(label, _FAINT)}&ensp;{told}")


def _source(report: Report) -> Iterator[str]:
    if not report.lines:
        return
    yield f'<div style="overflow-x: auto"><table style="{_table()}; width: 100%">'
    heads = []
    for column in report.columns:
        heads.append(_heading(column.heading))
        if column.key in _BARRED:
            heads.append(_heading(""))
    yield (
        f'<thead><tr style="{_ROW}">{_heading("line")}{"".join(heads)}'
        f'<th scope="col" style="{_CODE}; font-weight: normal; {_FAINT}">source</th></tr></thead>'
    )
    yield "<tbody>"
    width = len(heads) + 1
    for line in report.lines:
        if isinstance(line, Fold):
            yield (
                f'<tr style="{_ROW}"><td colspan="{width}" style="{_CELL}"></td>'
                f'<td style="{_CODE}; {_FAINT}">⋯ {escape(line.text)}</td></tr>'
            )
        else:
            yield _line(report, line)
    yield "</tbody></table></div>"


def _heading(text: str) -> str:
    return f'<th scope="col" style="{_CELL}; font-weight: normal; {_FAINT}">{escape(text)}</th>'


def _line(report: Report, line: Line) -> str:
    cells = [f'<td style="{_CELL}; {_MONO}; {_FAINT}">{line.number or ""}</td>']
    for column, text in zip(report.columns, line.cells, strict=True):
        # Time and memory are no verdict on a line: only what it copied has the verdict's colour.
        faint = "" if line.share or line.tone not in _TONELESS else f"; {_FAINT}"
        style = f"; {_INK[line.tone]}" if column.key == _COPIED else faint
        cells.append(f'<td style="{_CELL}{style}">{escape(text)}</td>')
        if column.key in _BARRED:
            share, fill = (line.share, _FILL[line.tone])
            if column.key == _PEAK:
                share, fill = (line.level, _LEVEL_FILL)
            cells.append(f'<td style="{_CELL}; text-align: left">{_bar(share, fill)}</td>')
    weight = "" if line.notes else f"; {_FAINT}"
    source = _pre(_underlined(line), weight)
    tint = f"background-color: {_TINT[line.tone]}" if line.tone in _TINT else _ROW
    row = f'<tr style="{tint}">{"".join(cells)}<td style="{_CODE}">{source}</td></tr>'
    if not line.notes:
        return row
    # Below the numbers, where there is room: beside them a narrow page would leave a strip.
    spanned = sum(note.stop > note.start for note in line.notes)
    told = "".join(_note(note, line.text, named=spanned > 1) for note in line.notes)
    return (
        f'{row}<tr style="{tint}"><td style="{_CELL}"></td>'
        f'<td colspan="{len(cells)}" style="{_CODE}; padding-bottom: 4px">{told}</td></tr>'
    )


def _bar(share: float, fill: str) -> str:
    if not share:
        return ""
    pixels = max(round(share * _BAR_PX), 1)
    return (
        f'<span style="display: inline-block; width: {pixels}px; height: 10px; '
        f'border-radius: 1px; background-color: {fill}"></span>'
    )


def _pre(inner: str, style: str = "") -> str:
    # The margins and the background are JupyterLab's own to undo.
    return (
        f'<pre style="margin: 0px; padding: 0px; border: none; background-color: transparent; '
        f'color: inherit; white-space: pre-wrap; {_FONT}{style}">{inner}</pre>'
    )


def _underlined(line: Line) -> str:
    """The text of a line with every noted piece underlined, overlapping ones as one."""
    told: list[str] = []
    done = 0
    for note in sorted(line.notes, key=lambda one: one.start):
        start = max(note.start, done)
        if note.stop <= start:
            continue
        told.append(escape(line.text[done:start]))
        told.append(f"<u>{escape(line.text[start : note.stop])}</u>")
        done = note.stop
    return "".join(told) + escape(line.text[done:])


def _note(note: Note, text: str, *, named: bool) -> str:
    """What there is to know about a piece of the line above, named if it is one of several."""
    piece = text[note.start : note.stop]
    label = f"<code>{escape(printable(piece, _LABEL))}</code> " if named and piece else ""
    return "".join(
        '<div style="padding-left: 36px; text-indent: -16px">'
        f"{'└' if piece else '·'} {label}{_message(message)}</div>"
        for message in note.messages
    )


def _message(message: Message) -> str:
    # A row is broken between the parts rather than within one, as long as it is short.
    parts = " · ".join(
        one.replace(" ", "\N{NO-BREAK SPACE}") if len(one) <= _UNBROKEN else one
        for one in message.parts
    )
    return f"{_span(message.head, _INK[message.tone])}  {_span(parts, 'opacity: 0.85')}"


def _sections(report: Report) -> Iterator[str]:
    for section in report.sections:
        yield _paragraph(f"<strong>{escape(section.title)}</strong>", "margin-top: 8px")
        entries = "".join(_entry(section, entry) for entry in section.entries)
        yield f'<ul style="margin: 0px 0px 4px 20px; padding: 0px">{entries}</ul>'
        if section.more:
            yield _paragraph(escape(section.more), _FAINT)


def _entry(section: Section, entry: Entry) -> str:
    told = [f"line {entry.line}: {_span(entry.title, _INK[section.tone])}"]
    if entry.code:
        told.append(f'<code style="{_MONO}">{escape(entry.code)}</code>')
    if entry.parts:
        told.append(_span(" · ".join(entry.parts), "opacity: 0.85"))
    return f"<li>{'<br>'.join(told)}</li>"


def _footer(lines: Sequence[str]) -> Iterator[str]:
    for text in lines:
        yield _paragraph(escape(text), f"{_FAINT}; font-size: 12px")
