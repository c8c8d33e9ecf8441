"""Calls of NumPy's that compute with arrays of other libraries: `np.add(jax_array, 1)`.

NumPy reads such an array where it lies, by a protocol in C. But it asks many objects for a method
of their own first: `np.sum(jax_array)` is JAX's sum, and NumPy reads nothing. That shows from what
comes out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.counting.recorder import NOWHERE
from tensortoll.capture.runtime.expressions import RUNNING, Expression
from tensortoll.capture.runtime.judging import count_read
from tensortoll.capture.text.nodes import is_plain, told

RULE: Final = "read"
"""The rule of an expression that is a `Reading`."""


class Reading(Expression):
    """One such call."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as an expression that does nothing."""
        return _inert, ()

    def first_read(self, value: Any) -> Any:
        """Take note of the first array that NumPy may compute with; return it."""
        recorder = RUNNING.recorder
        if recorder is not None and recorder.local.table.pending:
            # What a call that raised has left here must not pass for this one's.
            recorder.local.table.pending.pop((id(sys._getframe(1)), self.number), None)
        return self._read(value, sys._getframe(1))

    def read(self, value: Any) -> Any:
        """Take note of another array that NumPy may compute with; return it."""
        return self._read(value, sys._getframe(1))

    def _read(self, value: Any, frame: object) -> Any:
        describe = RUNNING.readable.get(type(value))
        recorder = RUNNING.recorder
        if describe is not None and recorder is not None:
            try:
                seen = describe(value)
                pending = recorder.local.table.pending
                if seen is not None:
                    pending.setdefault((id(frame), self.number), [[], 0])[0].append(seen)
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def computed(self, result: Any) -> Any:
        """Add up what NumPy has read to compute its result; return that.

        NumPy asks many arrays for a method of their own first: what their library made of them
        NumPy has not read.
        """
        recorder = RUNNING.recorder
        if recorder is not None and recorder.local.table.pending:
            try:
                table = recorder.local.table
                entry = table.pending.pop((id(sys._getframe(1)), self.number), None)
                if entry is not None and type(result) not in RUNNING.readable and not table.quiet:
                    for seen in entry[0]:
                        count_read(self._site(table), seen)
            except Exception as error:
                recorder.fault("expression", error)
        return result


class _Inert(Reading):
    __slots__ = ()

    def read(self, value: Any) -> Any:
        return value

    first_read = computed = read  # type: ignore[assignment]


def _inert() -> Expression:
    return _Inert(-1, NOWHERE, RULE)


def rewritten(node: ast.Call, name: str) -> ast.expr:
    """Return a call of NumPy's whose arguments and result are seen; ``name`` stands for it."""
    method = "first_read"
    for number, one in enumerate(node.args):
        if not is_plain(one) and not isinstance(one, ast.Starred):
            node.args[number] = told(name, method, one)
            method = "read"
    return told(name, "computed", node)
