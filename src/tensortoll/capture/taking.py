"""Calls that take data into a library whose hooks count it: here only what they are given is noted.

It is needed if the call raises, to say why.
"""

from __future__ import annotations

from typing import Any

from tensortoll.capture.expressions import RUNNING, Expression


class Taking(Expression):
    """A call of the user's that makes a tensor of its first argument."""

    __slots__ = ()

    def given(self, value: Any) -> Any:
        """Note what goes in, for as long as the call runs; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            recorder.local.table.given = self.located.place, value
        return value

    def also(self, value: Any) -> Any:
        """Return another argument."""
        return value

    def made(self, result: Any) -> Any:
        """Let go of what was given; return the result."""
        recorder = RUNNING.recorder
        if recorder is not None:
            recorder.local.table.given = None
        return result
