"""The half of the rewriter that deals in statements: where moments stand in the user's code."""

from __future__ import annotations

import ast
from typing import Final

from tensortoll.capture.calls import dotted
from tensortoll.capture.moments import Moment
from tensortoll.capture.nodes import Text, at_start
from tensortoll.capture.placeholders import Baked, new_number, placeholder


def statement(placeholder: str, method: str, like: ast.stmt | ast.ExceptHandler) -> ast.stmt:
    """Return `placeholder.method()` as a statement that stands where ``like`` starts."""
    call = ast.Call(ast.Attribute(ast.Constant(placeholder), method, ast.Load()), [], [])
    return at_start(ast.Expr(call), like)


SWALLOWING: Final = frozenset(
    "suppress raises assertRaises assertRaisesRegex warns assertWarns".split()
)
"""Names of context managers that swallow errors or may do so."""


class Statements(ast.NodeTransformer):
    """Puts moments into a tree: the half of the rewriter that deals in statements."""

    def __init__(self, text: Text) -> None:
        """Start with nothing rewritten."""
        self.expressions: dict[str, Baked] = {}
        self._text = text

    def _moment(self, method: str, like: ast.stmt | ast.ExceptHandler) -> ast.stmt:
        name = placeholder(new_number())
        self.expressions[name] = Moment(self._text.place(like))
        return statement(name, method, like)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Have each error looked at that the user's code catches."""
        self.generic_visit(node)
        node.body.insert(0, self._moment("caught", node))
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        """Have an error looked at before a context manager swallows it."""
        self.generic_visit(node)
        if any(_swallows(one.context_expr) for one in node.items):
            noticing = [self._moment("caught", node), at_start(ast.Raise(), node)]
            handler = ast.copy_location(ast.ExceptHandler(None, None, noticing), node)
            node.body = [ast.copy_location(ast.Try(node.body, [handler], [], []), node)]
        return node


def _swallows(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    parts = dotted(function) if function is not None else None
    return parts is not None and parts[-1] in SWALLOWING
