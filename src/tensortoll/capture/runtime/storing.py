"""A store of the user's, `array[index] = value`, seen before it is made and after."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.counting.recorder import NOWHERE, Table
from tensortoll.capture.runtime import familiar
from tensortoll.capture.runtime.columns import Columns
from tensortoll.capture.runtime.expressions import RUNNING, Expression
from tensortoll.capture.runtime.judging import Lent
from tensortoll.capture.runtime.selections import UNKNOWN, chosen, is_basic, pattern
from tensortoll.capture.runtime.stores import judge_store, lends

RULES: Final = ("store", "store result")
"""The rules of expressions that are a `Storing`; the second one's value was just computed."""
_COMPLETE: Final = 5
"""Parts of the note on a store: what was given and when, in short or in full, the array, the
index."""


class Storing(Expression):
    """One such store. Value, array and index are seen in the order in which they are evaluated."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as a store that records nothing."""
        return _inert, ()

    def _noted(self, value: Any) -> list[Any] | None:
        """Return the note on what is to be stored: in full or in short, and when."""
        placed = familiar.placed(value)
        if placed is not None:
            return [None, 0, placed]
        seen = RUNNING.describe(value) or lends(value)
        return None if seen is None else [[seen], 0, None]

    def base(self, value: Any) -> Any:
        """Take note of the array that is stored into; return it."""
        entry = self._pending(sys._getframe(1))
        if entry is not None:
            try:
                indexer = RUNNING.columns.get(type(value))
                if indexer is not None:
                    entry.append(Columns(weakref.ref(indexer.table(value)), indexer.slot))
                elif type(value) is RUNNING.plain_array:
                    entry.append(familiar.placed(value))
                else:
                    seen = RUNNING.describe(value)
                    if seen is not None and seen.span is not None and seen.kind.library == "numpy":
                        entry.append(seen)
            except Exception as error:
                self._fault(error)
        return value

    def index(self, value: Any) -> Any:
        """Take note of where in the array is stored; return it."""
        entry = self._pending(sys._getframe(1))
        if entry is not None and len(entry) == _COMPLETE - 1:
            try:
                base = entry[-1]
                if isinstance(base, Columns):
                    entry.append(base.target(value))
                elif is_basic(value):
                    entry.append(value)
                elif type(value) is str:
                    field = familiar.field_of(base, value)
                    entry[-1] = field or base
                    entry.append(UNKNOWN if field is None else ...)
                else:
                    entry.append(chosen(familiar.seen_of(base), value))
                if RUNNING.recorder is not None:
                    RUNNING.recorder.local.table.lent = []
            except Exception as error:
                self._fault(error)
            entry[1] = time.perf_counter_ns()  # what comes next is the store itself
        return value

    @staticmethod
    def slice(start: Any, stop: Any, step: Any) -> slice:
        """Return `start:stop:step` as a value."""
        return slice(start, stop, step)

    def stored(self) -> None:
        """Judge a store that has just been made."""
        ended_ns = time.perf_counter_ns()
        recorder = RUNNING.recorder
        if recorder is None:
            return
        try:
            table = recorder.local.table
            lent, table.lent = table.lent, None
            table.given = None
            if table.pending:
                entry = table.pending.pop((id(sys._getframe(1)), self.number), None)
                if entry is not None and len(entry) == _COMPLETE and not table.quiet:
                    self._judge_stored(table, entry, lent or [], ended_ns - entry[1])
        except Exception as error:
            recorder.fault("store", error)

    def _judge_stored(self, table: Table, entry: list[Any], lent: Lent, elapsed_ns: int) -> None:
        inputs, _, placed, base, index = entry
        site = self._site(table)
        if isinstance(base, Columns):
            if index is not None:
                source = inputs[0] if inputs else familiar.seen_of(placed)
                index.judge(site, source, lent, elapsed_ns, self.rule)
            return
        key = None
        if placed is not None and familiar.is_placed(base) and not lent:
            key = placed[0], base[0], pattern(index, base[0].shape)
            if familiar.is_known(site, key, elapsed_ns):
                return
        source = inputs[0] if inputs else familiar.seen_of(placed)
        base = familiar.seen_of(base)
        added = judge_store(site, source, lent, base, index, elapsed_ns, self.rule)
        if key is not None:
            familiar.keep(site, key, added)


class _Inert(Storing):
    __slots__ = ()

    def given(self, value: Any) -> Any:
        return value

    base = index = given

    def stored(self) -> None:
        """Record nothing."""


def _inert() -> Expression:
    return _Inert(-1, NOWHERE, RULES[0])
