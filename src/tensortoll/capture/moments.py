"""Moments of the user's code at which something is looked at: an error was caught, a line has run.

A moment stands in the rewritten code as a statement of its own, on the line that it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tensortoll.capture.expressions import RUNNING
from tensortoll.model import Place


class Moment:
    """One such statement, baked into the code as a constant."""

    __slots__ = ("__weakref__", "place")

    def __init__(self, place: Place | None) -> None:
        """Stand for a statement; ``place`` is the user's, None for code that went elsewhere."""
        self.place = place

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
