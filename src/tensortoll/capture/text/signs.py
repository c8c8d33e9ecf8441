"""Expressions of a text: parsed, and named by their operator."""

from __future__ import annotations

import ast


def parsed(text: str) -> ast.expr | None:
    """Return the expression that ``text`` is, or None where it is none by itself."""
    try:
        # The brackets let it go over several lines, whatever its indentation was.
        return ast.parse(f"(\n{text}\n)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def sign_of(text: str) -> str:
    """Return the operator of an expression or an augmented assignment: `+`, `+=`."""
    node = parsed(text)
    if isinstance(node, ast.BinOp):
        return _SIGNS.get(type(node.op), "")
    if isinstance(node, ast.Compare) and node.ops:
        return _SIGNS.get(type(node.ops[0]), "compare")
    if node is None and "=" in text:
        return _augmented(text)
    return "operator"


def _augmented(text: str) -> str:
    try:
        statement = ast.parse(text.strip()).body[0]
    except (SyntaxError, IndexError, ValueError):
        return "operator"
    if isinstance(statement, ast.AugAssign):
        return f"{_SIGNS.get(type(statement.op), '')}="
    return "operator"


_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
