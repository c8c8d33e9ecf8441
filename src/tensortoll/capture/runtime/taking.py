"""Calls whose conversions are counted by hooks: here what goes in and comes out is noted.

What went in is needed if the call raises, to say why; and both, if they share memory. What is lent
by the buffer protocol, in C from end to end, passes no hook: that is counted here.
"""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrays.seen import fresh_bytes
from tensortoll.capture.counting.recorder import Table
from tensortoll.capture.runtime.expressions import RUNNING, Expression
from tensortoll.capture.runtime.judging import add
from tensortoll.model import Kind

BORROWS: Final = frozenset(("torch.asarray",))
"""Functions that borrow the buffer of whatever has one,"""
HOOKED: Final = frozenset(("numpy", "torch"))
"""but for arrays of these libraries, which torch knows by their type, and hooks tell of."""


class Taking(Expression):
    """A call of the user's that makes one array of another."""

    __slots__ = ()

    def given(self, value: Any) -> Any:
        """Note what goes in, for as long as the call runs; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            # As `hold_given` does: here each call more is a tenth of what it costs.
            own = type(value).__module__ == "__main__"
            recorder.local.table.given = None if own else (self.located.place, value)
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
            if given is not None:
                located = self.located
                if RUNNING.writes is not None:
                    RUNNING.writes.shared_across(located, given, result)
                if located.operation in BORROWS and given[0] is located.place and not table.quiet:
                    try:
                        self._count_borrowed(table, given[1], result)
                    except Exception as error:
                        recorder.fault("torch.asarray", error)
        return result

    def _count_borrowed(self, table: Table, given: Any, result: Any) -> None:
        """Count a view of an object that lent its buffer, where the result lies in it."""
        seen = RUNNING.describe(given)
        if seen is None or not seen.memory or seen.kind.library in HOOKED:
            return
        out = RUNNING.describe_any(result)
        if out is not None and out.nbytes and not fresh_bytes(seen, out):
            if seen.kind.library == "python":
                seen = seen._replace(kind=Kind("python", out.kind.dtype))
            add(self._site(table), seen, out, "view", (), 0, 0, 0)
