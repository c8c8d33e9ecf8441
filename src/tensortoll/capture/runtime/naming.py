"""Calls that take in columns by name: `table.insert(0, "name", array)`, `table.assign(name=array)`.

Many objects have methods of these names: nothing is done unless the receiver is a table.
"""

from __future__ import annotations

import ast
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.counting.recorder import NOWHERE
from tensortoll.capture.runtime.columns import Columns, Target
from tensortoll.capture.runtime.expressions import RUNNING, Expression
from tensortoll.capture.runtime.stores import lends
from tensortoll.capture.text.nodes import is_plain, told

RULE: Final = "name"
"""The rule of an expression that is a `Naming`."""
_INSERTED: Final = 3
"""Arguments of `insert`: where, name, values."""


class Naming(Expression):
    """One such call."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as an expression that does nothing."""
        return _inert, ()

    def given(self, value: Any) -> Any:
        """Take note of the table, if it is one; return it."""
        recorder = RUNNING.recorder
        indexer = RUNNING.columns.get(type(value))
        if recorder is not None and indexer is not None and indexer.table(value) is value:
            key = id(sys._getframe(1)), self.number
            table = Columns(weakref.ref(value), indexer.slot)
            recorder.local.table.pending[key] = [[], 0, table, [], []]
        return value

    def named(self, value: Any) -> Any:
        """Take note of a column's name; return it."""
        entry = self._pending(sys._getframe(1))
        if entry is not None:
            entry[3].append(value)
        return value

    def column(self, value: Any, name: str | None = None) -> Any:
        """Take note of a column's values; return them."""
        entry = self._pending(sys._getframe(1))
        if entry is not None and RUNNING.recorder is not None:
            try:
                if name is not None:
                    entry[3].append(name)
                entry[4].append(RUNNING.describe(value) or lends(value))
                RUNNING.recorder.local.table.lent = []
            except Exception as error:
                self._fault(error)
            entry[1] = time.perf_counter_ns()
        return value

    def made(self, result: Any) -> Any:
        """Judge what came of the columns; return the result."""
        recorder = RUNNING.recorder
        entry = self._pending(sys._getframe(1))
        if recorder is None or entry is None:
            return result
        try:
            table = recorder.local.table
            table.pending.pop((id(sys._getframe(1)), self.number), None)
            lent, table.lent = table.lent, None
            _, began_ns, columns, names, values = entry
            if not table.quiet and values:
                elapsed = (time.perf_counter_ns() - began_ns) // len(values)
                if result is not None:  # `assign` returns another table
                    columns = Columns(weakref.ref(result), columns.slot)
                for name, seen in zip(names, values, strict=False):
                    target = None if seen is None else columns.target(name)
                    if target is not None:
                        new = Target(target.table, target.slot, None)
                        new.judge(self._site(table), seen, lent or [], elapsed, self.rule)
        except Exception as error:
            recorder.fault("columns", error)
        return result


class _Inert(Naming):
    __slots__ = ()

    def given(self, value: Any) -> Any:
        return value

    named = made = given  # type: ignore[assignment]

    def column(self, value: Any, name: str | None = None) -> Any:  # noqa: ARG002
        return value


def _inert() -> Expression:
    return _Inert(-1, NOWHERE, RULE)


def rewritten(node: ast.Call, function: ast.Attribute, name: str) -> ast.expr:
    """Return a call of `insert` or `assign` whose columns are seen.

    Args:
        node: Changed.
        function: What is called.
        name: Stands for the expression.
    """
    function.value = told(name, "given", function.value)
    if function.attr == "insert":
        starred = any(isinstance(one, ast.Starred) for one in node.args)
        if len(node.args) == _INSERTED and not starred:
            where, column, values = node.args
            node.args = [where, told(name, "named", column), told(name, "column", values)]
    else:
        for keyword in node.keywords:
            if keyword.arg is not None and not is_plain(keyword.value):
                call = told(name, "column", keyword.value)
                assert isinstance(call, ast.Call)
                call.args.append(ast.copy_location(ast.Constant(keyword.arg), keyword.value))
                keyword.value = call
    return told(name, "made", node)
