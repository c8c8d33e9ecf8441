"""One module for each format.

To add one: a module with `render` and `card`, and a line in `RENDERERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from tensortoll.report.card import Card
from tensortoll.report.renderers import html, markdown, terminal
from tensortoll.report.values import Report


class Renderer(Protocol):
    """What every format answers."""

    def render(self, report: Report, /) -> str:
        """Return a report in this format."""

    def card(self, card: Card, /) -> str:
        """Return a card in this format."""


RENDERERS: Final[Mapping[str, Renderer]] = {
    "terminal": terminal,
    "html": html,
    "markdown": markdown,
}
