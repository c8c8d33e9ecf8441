"""What a notebook shows of reports and cards: the richest form that it can display."""

from __future__ import annotations

from typing import Final

from tensortoll.report.card import Card
from tensortoll.report.renderers import html, markdown, terminal
from tensortoll.report.values import Report

_SAVED_WIDTH: Final = 100


class Shown:
    """Reports and cards, one below the other, for a notebook or a terminal to display."""

    def __init__(self, *pages: Report | Card) -> None:
        self.pages = pages

    def __repr__(self) -> str:
        """Return the plain text: it may be logged or saved, so it is never coloured."""
        return self._text(width=_SAVED_WIDTH, color=False)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return every form by its media type; the frontend picks the richest it can show.

        There is none of type `application/json`: JupyterLab and VS Code would prefer it to HTML
        and show a tree of numbers.
        """
        del include, exclude  # IPython itself drops what was not asked for.
        return {
            # IPython in a terminal shows this one, so there it takes the terminal's colours.
            "text/plain": self._text(width=None, color=None),
            "text/html": "\n".join(
                html.render(one) if isinstance(one, Report) else html.card(one)
                for one in self.pages
            ),
            "text/markdown": "\n".join(
                markdown.render(one) if isinstance(one, Report) else markdown.card(one)
                for one in self.pages
            ),
        }

    def _text(self, *, width: int | None, color: bool | None) -> str:
        return "\n\n".join(
            terminal.render(one, width=width, color=color)
            if isinstance(one, Report)
            else terminal.card(one, width=width, color=color)
            for one in self.pages
        )
