"""Calls whose conversions are counted by hooks: here only what goes in and comes out is noted.

What went in is needed if the call raises, to say why; and both, if they share memory.
"""

from __future__ import annotations

from typing import Any

from tensortoll.capture.runtime.expressions import RUNNING, Expression


class Taking(Expression):
    """A call of the user's that makes one array of another."""

    __slots__ = ()

    def given(self, value: Any) -> Any:
        """Note what goes in, for as long as the call runs; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            recorder.local.table.hold_given(self.located.place, value)
        return value

    def also(self, value: Any) -> Any:
        """Return another argument."""
        return value

    def made(self, result: Any) -> Any:
        """Let go of what was given; return the result."""
        recorder = RUNNING.recorder
        if recorder is not None:
            table = recorder.local.table
            given, table.given = table.given, None
            if given is not None and RUNNING.writes is not None:
                RUNNING.writes.shared_across(self.located, given, result)
        return result
