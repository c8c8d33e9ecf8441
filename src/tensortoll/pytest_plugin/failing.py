"""How a test fails: what is wrong, then the lines that did it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tensortoll.model import Place
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.renderers import terminal
from tensortoll.report.values import Fold, Line, Report
from tensortoll.report.verdict import counted

WIDTH: Final = 100
"""Columns of what is shown: the same in every log."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a test fails."""

    message: str
    """What is wrong, and what to do."""
    reports: tuple[Report, ...] = ()
    """The annotated lines."""
    places: tuple[Place, ...] = ()
    """Where to show it in a pull request."""

    def __str__(self) -> str:
        """Return all of it as text."""
        return "\n\n".join((self.message, drawn(self.reports))).rstrip()


def drawn(reports: tuple[Report, ...]) -> str:
    """Return reports as text."""
    return "\n\n".join(terminal.render(one, width=WIDTH, color=False) for one in reports)


def annotated(recording: Recording) -> tuple[Report, ...]:
    """Return the lines that made conversions, be they ever so small, if there are any."""
    if not recording.conversions and not recording.hazards:
        return ()
    return tuple(map(near, build_all(recording, worth=0)))


def near(report: Report) -> Report:
    """Leave out of a test's module what has nothing to do with it."""
    told = {one.number for one in report.lines if isinstance(one, Line) and one.notes}
    near = {number + step for number in told for step in (-1, 0, 1)}
    lines: list[Line | Fold] = []
    left = 0
    for one in report.lines:
        if isinstance(one, Line) and one.number in near:
            if left and lines:
                lines.append(Fold(counted(left, "line")))
            left = 0
            lines.append(one)
        else:
            left += 1
    return replace(report, lines=tuple(lines))
