"""Calls that are handed arrays, in texts that use a library whose compiled functions convert them.

A function that JAX has compiled takes ndarrays in C, where nothing can be hooked into. Only the
user's own call tells of it: `f(a, b)` becomes `E.returned(E.callee(f)(E.handed(a), E.handed(b)))`.
What the function does with its arrays the library's probe knows, which is `HANDED.to`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Protocol

from tensortoll.capture.counting.recorder import NOWHERE, Site, Table
from tensortoll.capture.runtime.expressions import RUNNING, Expression
from tensortoll.capture.text.calls import dotted
from tensortoll.capture.text.nodes import is_plain, told

RULE: Final = "hand"
"""The rule of an expression that is a `Handing`."""
_TAKES_NONE: Final = frozenset(
    "print len isinstance issubclass type id repr str hash getattr hasattr setattr range super "
    "enumerate zip locals globals vars dir eval exec open format callable next iter".split()
)
"""Builtins that hand no array on to a library."""


class Taker(Protocol):
    """What a probe does with calls that may hand arrays to its library."""

    def called(self, call: Handing, frame: FrameType, function: Any) -> Any:
        """Take note of a function that is about to be called; return what to call."""

    def handed(self, call: Handing, frame: FrameType, value: Any) -> None:
        """Take note of an argument of the call."""

    def returned(self, call: Handing, frame: FrameType, result: Any) -> None:
        """Judge the call by what came out."""


class Handed:
    """Who is told of such calls, while a watch is on."""

    __slots__ = ("to",)

    def __init__(self) -> None:
        """Start without anyone."""
        self.to: Taker | None = None

    def clear(self) -> None:
        """Tell nobody any more."""
        self.to = None


HANDED: Final = Handed()


class Handing(Expression):
    """One call of the user's source that may hand arrays to a compiled function."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as an expression that does nothing."""
        return _inert, ()

    def callee(self, function: Any) -> Any:
        """Take note of what is called; return what to call in its place, mostly itself."""
        taker = HANDED.to
        if taker is not None:
            try:
                return taker.called(self, sys._getframe(1), function)
            except Exception as error:
                self._fault(error)
        return function

    def handed(self, value: Any) -> Any:
        """Take note of an argument; return it."""
        taker = HANDED.to
        if taker is not None:
            try:
                taker.handed(self, sys._getframe(1), value)
            except Exception as error:
                self._fault(error)
        return value

    def returned(self, result: Any) -> Any:
        """Judge the call; return what it returned."""
        taker = HANDED.to
        if taker is not None and RUNNING.recorder is not None:
            try:
                taker.returned(self, sys._getframe(1), result)
            except Exception as error:
                self._fault(error)
        return result

    def site(self, table: Table) -> Site:
        """Return where the call's conversions are added up."""
        return self._site(table)


class _Inert(Handing):
    __slots__ = ()

    def callee(self, function: Any) -> Any:
        return function

    def handed(self, value: Any) -> Any:
        return value

    def returned(self, result: Any) -> Any:
        return result


def _inert() -> Expression:
    return _Inert(-1, NOWHERE, RULE)


def rewritten(node: ast.Call, expression: Callable[[ast.expr, str, str, str], str]) -> ast.expr:
    """Return a call whose function, arguments and result are seen, where it takes any array.

    Args:
        node: Changed.
        expression: Makes the expression for a node, by its rule, name and operation.
    """
    if _hands_nothing_on(node):
        return node
    # The name of a function of the user's own says nothing: what it converts is implicit.
    name = expression(node, RULE, "", _shown(node.func))
    node.func = told(name, "callee", node.func)
    for one in (*node.args, *node.keywords):
        # Of `*values`, what is unpacked is seen as a whole.
        if isinstance(one, ast.Starred | ast.keyword):
            one.value = one.value if is_plain(one.value) else told(name, "handed", one.value)
    node.args = [
        one if is_plain(one) or isinstance(one, ast.Starred) else told(name, "handed", one)
        for one in node.args
    ]
    return told(name, "returned", node)


def _hands_nothing_on(node: ast.Call) -> bool:
    if isinstance(node.func, ast.Name) and node.func.id in _TAKES_NONE:
        return True
    values = (*node.args, *(one.value for one in node.keywords))
    return all(map(is_plain, values))


def _as_written(node: ast.expr) -> ast.expr:
    """Return an expression without what stands around it to tell of it."""
    while (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Constant)
        and node.args
    ):
        node = node.args[0]
    return node


def _shown(function: ast.expr) -> str:
    function = _as_written(function)
    parts = dotted(function)
    if parts is not None:
        return ".".join(parts)
    if isinstance(function, ast.Call):
        return f"{_shown(function.func)}(…)"
    return f".{function.attr}" if isinstance(function, ast.Attribute) else ""
