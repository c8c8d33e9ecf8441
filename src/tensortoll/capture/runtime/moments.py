"""Moments of the user's code at which something is looked at: an error was caught, a line has run.

A moment stands in the rewritten code as a statement of its own, on the line that it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tensortoll.capture.hazards.writes import FLAG
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.model import Place


class Moment:
    """One such statement, baked into the code as a constant."""

    __slots__ = ("__weakref__", "place", "target")

    def __init__(self, place: Place | None, target: str = "") -> None:
        """Stand for a statement.

        Args:
            place: Of the user's; None for code that went elsewhere.
            target: What the statement writes to, as far as its text tells.
        """
        self.place = place
        self.target = target

    def __reduce__(self) -> tuple[Callable[[None], Moment], tuple[None]]:
        """Come out of a pickle as a moment at which nothing is looked at."""
        return Moment, (None,)

    def caught(self) -> None:
        """Look at the error that the user's code has just caught."""
        recorder = RUNNING.recorder
        failures = RUNNING.failures
        error = sys.exc_info()[1]
        if recorder is not None and failures is not None and error is not None:
            table = recorder.local.table
            given, table.given = table.given, None
            failures.notice(error, given)

    def looked(self) -> None:
        """Look at the memory that is shared: the statement has just run."""
        if RUNNING.writes is not None:
            RUNNING.writes.look(self.place, self.target)

    def passed(self, value: Any) -> Any:
        """Look likewise, where there is a value to hand on."""
        if FLAG.alive:
            self.looked()
        return value

    def entered(self) -> None:
        """Look as a function of the user's begins: what was written so far, its caller wrote."""
        if RUNNING.writes is not None:
            RUNNING.writes.look(RUNNING.writes.caller(sys._getframe(1).f_back))

    resumed = entered

    def raised(self) -> None:
        """Look where an error leads to: what was written so far, the line that raised wrote."""
        if RUNNING.writes is None:
            return
        error = sys.exc_info()[1]
        place = self.place if error is None else RUNNING.writes.raiser(error)
        RUNNING.writes.look(place)
