"""Pieces of a syntax tree: made, placed and told apart."""

from __future__ import annotations

import ast
from typing import Any, Final, TypeVar

from tensortoll.model import Place, Source

SCALAR_FUNCTIONS: Final = frozenset(
    "abs bool chr complex dict float frozenset hash hex id int len max min next open ord repr "
    "round set sorted str sum tuple type zip".split()
)
"""Builtins whose result is no array: storing it converts nothing."""

_Node = TypeVar("_Node", bound=ast.AST)


class Text:
    """What the user sees, to tell where a piece of it stands."""

    def __init__(self, source: Source) -> None:
        """Split a source into its lines."""
        self._source = source
        self._lines = (source.text or "").splitlines()

    def place(self, node: Any) -> Place:
        """Return where an expression of the source stands, as written there."""
        first, last = node.lineno, node.end_lineno or node.lineno
        if not 1 <= first <= last <= len(self._lines):
            return Place(self._source, first, last, None, None, "")
        head = self._lines[first - 1].encode()[: node.col_offset].decode(errors="replace")
        tail = self._lines[last - 1].encode()[: node.end_col_offset].decode(errors="replace")
        cut = self._lines[first - 1 : last]
        cut[-1] = cut[-1][: len(tail)]
        cut[0] = cut[0][len(head) :]
        return self._chained(
            node, Place(self._source, first, last, len(head), len(tail), "\n".join(cut))
        )

    def first_line(self, node: Any) -> str:
        """Return the line that a statement begins on."""
        return self._lines[node.lineno - 1].strip() if node.lineno <= len(self._lines) else ""

    def _chained(self, node: Any, place: Place) -> Place:
        """Charge a method of a chain over several lines to its own line, as tracebacks do."""
        function = getattr(node, "func", node)
        if not isinstance(function, ast.Attribute) or function.end_lineno == place.line:
            return place
        line = function.end_lineno or place.line
        text = self._lines[line - 1]
        name = text.encode()[: function.end_col_offset].decode(errors="replace")
        column = len(name) - len(function.attr)
        column -= text[:column].endswith(".")
        cut = self._lines[line - 1 : place.end_line]
        cut[-1] = cut[-1][: place.end_column]
        cut[0] = cut[0][column:]
        return Place(place.source, line, place.end_line, column, place.end_column, "\n".join(cut))


def told(name: str, method: str, node: ast.expr, *, like: ast.AST | None = None) -> ast.expr:
    """Return `placeholder.method(node)`, standing where ``node`` stands."""
    like = like or node
    function = ast.copy_location(ast.Attribute(constant(name, like), method, ast.Load()), like)
    return ast.copy_location(ast.Call(function, [node], []), like)


def constant(name: str, like: ast.AST) -> ast.Constant:
    """Return a constant that stands where ``like`` stands."""
    return ast.copy_location(ast.Constant(name), like)


def at_start(node: _Node, like: Any) -> _Node:
    """Put ``node`` and what is in it where a statement starts."""
    for one in ast.walk(node):
        if isinstance(one, ast.expr | ast.stmt):
            one.lineno = one.end_lineno = like.lineno
            one.col_offset = one.end_col_offset = like.col_offset
    return node


def as_value(node: ast.expr, name: str) -> ast.expr:
    """Return an index as a value: a bare slice can stand only inside brackets."""
    if isinstance(node, ast.Slice):
        parts = [
            part or ast.copy_location(ast.Constant(None), node)
            for part in (node.lower, node.upper, node.step)
        ]
        make = ast.Attribute(constant(name, node), "slice", ast.Load())
        return ast.copy_location(ast.Call(ast.copy_location(make, node), parts, []), node)
    if isinstance(node, ast.Tuple):
        node.elts = [as_value(one, name) for one in node.elts]
    return node


def is_plain(node: ast.expr) -> bool:
    """Say whether an argument can be no array."""
    if isinstance(node, ast.Compare):  # elements are compared into an array
        of_elements = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
        return not any(isinstance(one, of_elements) for one in node.ops)
    return isinstance(
        node, ast.Constant | ast.Lambda | ast.GeneratorExp | ast.JoinedStr | ast.BoolOp
    )


def is_key(node: ast.expr) -> bool:
    """Say whether an index can only be a dictionary's key."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | float)


def spells_fields(tree: ast.AST) -> bool:
    """Say whether a text names fields of records: `[("age", "i4")]`, or a dictionary of formats."""
    return any(map(_spells_fields, ast.walk(tree)))


def _spells_fields(node: ast.AST) -> bool:
    if isinstance(node, ast.Dict):
        return any(isinstance(key, ast.Constant) and key.value == "formats" for key in node.keys)
    pairs = node.elts if isinstance(node, ast.List) else []
    return bool(pairs) and all(
        isinstance(one, ast.Tuple) and bool(one.elts) and _is_text(one.elts[0]) for one in pairs
    )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def can_be_array(node: ast.expr) -> bool:
    """Say whether a value that is stored can be an array of several elements."""
    if isinstance(node, ast.Call):
        return not isinstance(node.func, ast.Name) or node.func.id not in SCALAR_FUNCTIONS
    kinds = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.List)
    return isinstance(node, kinds)
