"""What the names of an expression refer to, looked up without running any code of the user's."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any, Final

NOTHING: Final = object()
"""Stands for what can't be looked up."""
_CO_OPTIMIZED: Final = 1
_LOOKS_AT_LOCALS: Final = frozenset(("locals", "vars", "eval", "exec", "dir"))


class Variables:
    """The variables of a frame, read without keeping alive what they hold."""

    def __init__(self, frame: FrameType) -> None:
        self._globals = frame.f_globals
        self._local: Any = {}
        code = frame.f_code
        self._own = bool(code.co_flags & _CO_OPTIMIZED)
        # Where a function looks at its own variables as a dictionary, reading them would change it.
        if not self._own or _LOOKS_AT_LOCALS.isdisjoint(code.co_names):
            self._local = frame.f_locals

    def get(self, name: str) -> Any:
        """Return the value of a variable, or a mark for none."""
        found = self._local.get(name, NOTHING)
        return self._globals.get(name, NOTHING) if found is NOTHING else found

    def clear(self) -> None:
        """Let go of the copies of a function's variables, which would live as long as its frame."""
        if self._own and type(self._local) is dict:
            self._local.clear()


def paths(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the names, and the attributes and elements of names, that stand in an expression."""
    if _is_path(node):
        yield node
        # Its beginning may be one too: of `x.T` also `x` is worth knowing.
        if isinstance(node, ast.Attribute | ast.Subscript):
            yield from paths(node.value)
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from paths(child)
        elif isinstance(child, ast.keyword):
            yield from paths(child.value)


def _is_path(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name)


def value_of(node: ast.expr, variable: Callable[[str], Any]) -> Any:
    """Return what a path refers to, or a mark for nothing; runs no code of the user's."""
    if isinstance(node, ast.Name):
        return variable(node.id)
    if isinstance(node, ast.Attribute):
        return _attribute(value_of(node.value, variable), node.attr)
    if isinstance(node, ast.Subscript):
        owner = value_of(node.value, variable)
        index = _index(node.slice, variable)
        if type(owner) in (list, tuple, dict) or _is_plain_array(owner):
            if index is NOTHING:
                return NOTHING
            try:
                return owner[index]
            except (LookupError, TypeError, ValueError):
                return NOTHING
    return NOTHING


def _attribute(owner: Any, name: str) -> Any:
    if owner is NOTHING:
        return NOTHING
    if _is_plain_array(owner) and name == "T":
        return owner.T
    if isinstance(owner, ModuleType):
        return vars(owner).get(name, NOTHING)
    try:
        stored = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return NOTHING
    # A descriptor of the class would be asked first, and may be any code.
    hidden = any(hasattr(vars(base).get(name), "__set__") for base in type(owner).__mro__)
    return NOTHING if hidden or type(stored) is not dict else stored.get(name, NOTHING)


def _index(node: ast.expr, variable: Callable[[str], Any]) -> Any:
    if isinstance(node, ast.Slice):
        ends = [None if end is None else _index(end, variable) for end in _ends(node)]
        return NOTHING if NOTHING in ends else slice(*ends)
    if isinstance(node, ast.Tuple):
        parts = [_index(one, variable) for one in node.elts]
        return NOTHING if any(one is NOTHING for one in parts) else tuple(parts)
    if isinstance(node, ast.UnaryOp | ast.Constant):
        try:
            return ast.literal_eval(node)
        except ValueError:
            return NOTHING
    value = variable(node.id) if isinstance(node, ast.Name) else NOTHING
    return value if type(value) in (int, str, slice) else NOTHING


def _ends(node: ast.Slice) -> tuple[ast.expr | None, ...]:
    return node.lower, node.upper, node.step


def _is_plain_array(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"
