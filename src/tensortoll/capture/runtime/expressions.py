"""The run-time side of a rewritten expression: sees what goes in and what comes out.

`a.astype(t)` becomes `E.made(E.given(a).astype(t))`, where `E` is an object of this module that
the compiled code holds as a constant. The call itself stays in the user's frame, so tracebacks,
`super()`, stack levels of warnings and everything else that looks at frames find what they
expect, and no name is added anywhere.

What goes in is described in numbers at once and never held: a reference would change when arrays
die. The numbers are proof enough. The caller's own stack keeps the inputs alive until the call
returns, so a result that lies in the same memory was made while they were alive, and shares it.
"""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import NOWHERE, Located, Site, Table
from tensortoll.capture.runtime import familiar
from tensortoll.capture.runtime.containers import Gathered, is_container, objects
from tensortoll.capture.runtime.judging import Added, Lent, judge, judge_lent
from tensortoll.capture.runtime.known import RUNNING, Describe
from tensortoll.capture.runtime.stores import judge_into, judge_lent_into
from tensortoll.capture.text.sources import is_own

__all__ = ["FUNCTIONS", "MAX_PENDING", "RUNNING", "Describe", "Expression", "inert"]

MAX_PENDING: Final = 10_000
"""Descriptions kept of calls that have not returned. Only calls that raise leave one behind."""


FUNCTIONS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""The living functions that rewritten code has defined."""


class Expression:
    """One rewritten expression of the user's source."""

    __slots__ = ("__weakref__", "located", "number", "rule")

    def __init__(self, number: int, located: Located, rule: str) -> None:
        """Stand for an expression.

        Args:
            number: Unique in the process.
            located: Where it is and what it calls.
            rule: What the call does with its arrays; see `rewrites.Rewrites`.
        """
        self.number = number
        self.located = located
        self.rule = rule

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as an expression that does nothing."""
        return inert, ()

    def given(self, value: Any) -> Any:
        """Take note of the first array that goes in; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            try:
                table = recorder.local.table
                pending = table.pending
                table.lent = []
                table.hold_given(self.located.place, value)
                entry = self._noted(value)
                if entry is not None:
                    if len(pending) > MAX_PENDING:
                        pending.clear()
                    pending[id(sys._getframe(1)), self.number] = entry
                    entry[1] = time.perf_counter_ns()
                elif pending:
                    # What a call that raised has left here must not pass for this one's input.
                    pending.pop((id(sys._getframe(1)), self.number), None)
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def _noted(self, value: Any) -> list[Any] | None:
        """Return the note on what goes in, for as long as the call runs; None for what is no array.

        It holds what goes in, and when the call began. What is told in short, as what comes of it
        may be known from the last time, stands behind these; so do the arrays that it holds.
        """
        if self.rule in familiar.RULES and (
            self.rule != "gather" or type(value) is RUNNING.plain_array
        ):
            placed = familiar.placed(value)
            if placed is not None:
                return [None, 0, placed]
        seen = RUNNING.describe(value)
        if self.rule == "gather" and is_container(value):
            held = Gathered()
            held.add(value, RUNNING.describe)
            if type(value) is dict or (type(value) is tuple and held.arrays):
                seen = objects(value)
            elif type(value) is tuple:  # a shape
                return None
            return None if seen is None else [[seen], 0, held]
        return None if seen is None else [[seen], 0]

    def also(self, value: Any) -> Any:
        """Take note of another array that goes in; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            try:
                pending = recorder.local.table.pending
                entry = pending.get((id(sys._getframe(1)), self.number)) if pending else None
                if entry is not None:
                    # Of what else goes in, only what is written somewhere counts.
                    seen = RUNNING.describe(value) if self.rule == "into" else None
                    if seen is not None:
                        entry[0].append(seen)
                    entry[1] = time.perf_counter_ns()
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def made(self, result: Any) -> Any:
        """Judge what came out, and return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            ended_ns = time.perf_counter_ns()
            try:
                table = recorder.local.table
                entry = table.pending.pop((id(sys._getframe(1)), self.number), None)
                lent, table.lent = table.lent, None
                given, table.given = table.given, None
                placed = None
                if entry is not None and entry[0] is None:
                    site = table.expressions.get(self.number)
                    _, began_ns, placed = entry
                    if (
                        site is not None
                        and not (lent or table.quiet)
                        and familiar.is_settled(site, placed, result, ended_ns - began_ns)
                    ):
                        return result
                    entry = [[familiar.seen_of(placed)], began_ns]
                if given is not None and RUNNING.writes is not None:
                    RUNNING.writes.shared_across(self.located, given, result)
                if (lent or entry is not None) and not table.quiet:
                    added = self._judge(table, entry, lent, result, ended_ns)
                    if placed is not None and not lent:
                        familiar.learn(table.expressions[self.number], placed, result, added)
            except Exception as error:
                recorder.fault("expression", error)
        return result

    def defined(self, function: Any) -> Any:
        """Take note of a function whose code was rewritten; return it."""
        with contextlib.suppress(TypeError):  # not a plain function after all
            FUNCTIONS.add(function)
        return function

    def _judge(
        self,
        table: Table,
        entry: list[Any] | None,
        lent: Lent | None,
        result: object,
        ended_ns: int,
    ) -> Added | None:
        site = self._site(table)
        inputs: list[Seen] = [] if entry is None else entry[0]
        elapsed = 0 if entry is None else ended_ns - entry[1]
        if self.rule == "into":
            if lent:
                judge_lent_into(site, lent, inputs)
            judge_into(site, inputs, elapsed)
            return None
        if self.rule == "export":
            if inputs:
                RUNNING.exports.add(result, inputs[0].kind)
            return None
        out = RUNNING.describe(result)
        if self.rule == "gather" and out is not None and out.memory:
            held: Gathered = entry[2] if entry is not None and entry[2:] else Gathered()
            held.take(lent or [])
            if held.arrays:
                held.judge(site, out, elapsed)
                return None
        elif lent:
            judge_lent(site, lent, inputs[0] if inputs else None, out)
        # What a sequence has by a name of its own, as a named tuple has, was not made of it.
        if inputs and (inputs[0].memory or not self.located.operation.startswith(".")):
            return judge(site, inputs[0], out, result, elapsed, self.rule)
        return None

    def _pending(self, frame: object) -> list[Any] | None:
        recorder = RUNNING.recorder
        if recorder is None:
            return None
        pending = recorder.local.table.pending
        return pending.get((id(frame), self.number)) if pending else None

    @staticmethod
    def _fault(error: Exception) -> None:
        recorder = RUNNING.recorder
        if recorder is not None:
            recorder.fault("expression", error)

    def _site(self, table: Table) -> Site:
        site = table.expressions.get(self.number)
        if site is None:
            site = table.expressions[self.number] = Site(self.located, table)
            frame = sys._getframe(1)
            while is_own(frame.f_code.co_filename) and frame.f_back is not None:
                frame = frame.f_back
            if RUNNING.evidence is not None:
                RUNNING.evidence.note(self.located.place, frame)
        return site


def inert() -> Expression:
    """Return an expression that records nothing, for code that travelled to another process."""
    return _Inert(-1, NOWHERE, "none")


class _Inert(Expression):
    __slots__ = ()

    def given(self, value: Any) -> Any:
        return value

    also = made = defined = given  # type: ignore[assignment]
