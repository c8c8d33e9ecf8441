"""What an argument was, found again from its text after the call has raised.

Only what runs no code of the user's is evaluated: names, constants, displays, attributes of
modules, and views of arrays. Everything else is `UNKNOWN`.
"""

from __future__ import annotations

import ast
import inspect
import operator
import sys
from collections.abc import Callable, Mapping
from types import FrameType, ModuleType
from typing import Any, Final

UNKNOWN: Final[Any] = object()
"""Stands for what can't be found out without running the user's code."""

_LARGEST_EXPONENT: Final = 1_000
_VIEWS: Final = frozenset(("T", "mT", "data", "real", "imag", "dtype", "shape", "values"))
_SIGNS: Final[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Div: operator.truediv,
}


def variables(frame: FrameType) -> Mapping[str, Any]:
    """Return what a frame's variables stand for, and leave no copy of them on the frame."""
    known = frame.f_locals
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED or not isinstance(known, dict):
        return known
    # Up to Python 3.12 the frame keeps the dictionary, and with it all that is in it.
    copied = dict(known)
    known.clear()
    return copied


class Scope:
    """The names that a frame knew."""

    def __init__(self, frame: FrameType) -> None:
        """Look at a frame of a traceback, which may still be running."""
        self._locals = variables(frame)
        self._globals: Mapping[str, Any] = frame.f_globals

    def value(self, node: ast.expr | None) -> Any:
        """Return what an expression stands for, or `UNKNOWN`."""
        try:
            return self._value(node)
        except Exception:
            return UNKNOWN

    def _value(self, node: ast.expr | None) -> Any:  # noqa: PLR0911 - one for each kind of node
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return _attribute(self._value(node.value), node.attr)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._display(node)
            case ast.Dict():
                return {}  # whatever is in it, it is a dictionary
            case ast.GeneratorExp():
                return (part for part in tuple[object, ...]())
            case ast.UnaryOp(op=ast.USub()):
                return _number(operator.neg, self._value(node.operand))
            case ast.BinOp() if type(node.op) in _SIGNS:
                return _number(
                    _SIGNS[type(node.op)], self._value(node.left), self._value(node.right)
                )
            case ast.Subscript():
                return self._item(self._value(node.value), node.slice)
        return UNKNOWN

    def _name(self, name: str) -> Any:
        for names in (self._locals, self._globals):
            if name in names:
                return names[name]
        return {"None": None, "float": float, "int": int, "bool": bool, "complex": complex}.get(
            name, UNKNOWN
        )

    def _display(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        values = [self._value(one) for one in node.elts]
        if any(one is UNKNOWN for one in values):
            return UNKNOWN
        if isinstance(node, ast.Set):
            return set(values)
        return values if isinstance(node, ast.List) else tuple(values)

    def _item(self, holder: Any, index: ast.expr) -> Any:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        chosen = tuple(self._index(one) for one in parts)
        if any(one is UNKNOWN for one in chosen):
            return UNKNOWN
        key = chosen if isinstance(index, ast.Tuple) else chosen[0]
        if type(holder) in (dict, list, tuple) or is_array(holder) or _is_of(holder, "pandas"):
            return holder[key]
        return UNKNOWN

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Slice):
            parts = [one and self._value(one) for one in (node.lower, node.upper, node.step)]
            return UNKNOWN if any(one is UNKNOWN for one in parts) else slice(*parts)
        found = self._value(node)
        return found if type(found) in (int, str, type(None), type(...)) else UNKNOWN


def _attribute(holder: Any, name: str) -> Any:
    if isinstance(holder, ModuleType):
        return vars(holder).get(name, UNKNOWN)
    if name in _VIEWS and (is_array(holder) or _is_of(holder, "pandas")):
        return getattr(holder, name)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(holder, torch.nn.Module):
        parts = holder._parameters, holder._buffers, holder._modules
        for named in parts:
            if name in named:
                return named[name]
    try:
        own = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return UNKNOWN
    return own.get(name, UNKNOWN)


def is_array(value: Any) -> bool:
    """Say whether a value is a plain array of NumPy's or torch's, whose views run no code."""
    kind = type(value)
    return (kind.__module__, kind.__name__) in {
        ("numpy", "ndarray"),
        ("torch", "Tensor"),
        ("torch.nn.parameter", "Parameter"),
    }


def _is_of(value: Any, library: str) -> bool:
    return type(value).__module__.partition(".")[0] == library


def _number(sign: Callable[..., Any], *values: Any) -> Any:
    if any(type(one) not in (int, float, complex, bool) for one in values):
        return UNKNOWN
    if sign is operator.pow and abs(values[1]) > _LARGEST_EXPONENT:
        return UNKNOWN
    return sign(*values)
