"""The half of the rewriter that deals in statements: where moments stand in the user's code.

After a statement that can write to an array stands `if FLAG.alive: MOMENT.looked()`; what an error
handler catches is looked at by `MOMENT.caught()`. Between two looks of a thread runs no more than
one statement of the user's, so what changed meanwhile was changed by that one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Iterator
from types import CodeType
from typing import Any, Final

from tensortoll.capture.hazards.writes import FLAG
from tensortoll.capture.rewriting.placeholders import PLACEHOLDER, Baked, new_number, placeholder
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.moments import Moment
from tensortoll.capture.text.calls import dotted
from tensortoll.capture.text.nodes import Text, at_start, told

Resolve = Callable[[ast.expr], str | None]

_FLAG: Final = f"{PLACEHOLDER}flag"
_OF_LOOKS: Final = frozenset(("alive", "caught", "entered", "looked", "raised", "resumed"))
"""All names in what a look is made of."""
_SIMPLE: Final = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Assert, ast.Delete)
SWALLOWING: Final = frozenset(
    "suppress raises assertRaises assertRaisesRegex warns assertWarns".split()
)
"""Names of context managers that swallow errors or may do so."""


class Statements(ast.NodeTransformer):
    """Puts moments into a tree."""

    def __init__(
        self, text: Text, resolve: Resolve, *, looks: bool, attributes: Container[str] = ()
    ) -> None:
        """Start with nothing rewritten.

        Args:
            text: What the user sees.
            resolve: Returns the dotted name of a library's function; None for all else.
            looks: Whether the text can write to memory that is shared.
            attributes: Names of those that share memory when they are read.
        """
        self.expressions: dict[str, Baked] = {}
        self._text = text
        self._resolve = resolve
        self._looks = looks
        self._attributes = attributes
        self._last: ast.stmt | None = None

    # ------------------------------------------------------------------------ errors

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Have each error looked at that the user's code catches."""
        self.generic_visit(node)
        node.body[:0] = [self._moment("caught", node), *self._look("raised", node)]
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        """Have an error looked at before a context manager swallows it."""
        self.generic_visit(node)
        if any(_swallows(one.context_expr) for one in node.items):
            noticing = [
                self._moment("caught", node),
                *self._look("raised", node),
                at_start(ast.Raise(), node),
            ]
            handler = ast.copy_location(ast.ExceptHandler(None, None, noticing), node)
            node.body = [at_start_of(ast.Try(node.body, [handler], [], []), node)]
        return node

    # ------------------------------------------------------------------------ writes

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Know the last statement: what it comes to may be shown."""
        self._last = node.body[-1] if node.body else None
        self.generic_visit(node)
        return node

    def visit(self, node: ast.AST) -> Any:
        """Have the memory that is shared looked at after what can write to it."""
        if not self._looks or not isinstance(node, ast.stmt):
            return super().visit(node)
        # Right after memory is shared its state is taken, which the next write is held against.
        writes = can_write(node) or any(_reads(one, self._attributes) for one in _within(node))
        told_of = self._told_of(node)
        resumed = writes and any(isinstance(one, _SUSPENDING) for one in _within(node))
        result = super().visit(node)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.If | ast.With | ast.AsyncWith):
            if writes or not isinstance(node, ast.If | ast.While):
                node.body[:0] = self._look("looked", node)
                if getattr(node, "orelse", None):
                    node.orelse[:0] = self._look("looked", node)  # type: ignore[union-attr]
                return [node, *self._look("looked", node)]
        elif isinstance(node, ast.Try):
            node.finalbody[:0] = self._look("raised", node) if node.finalbody else []
        elif writes and isinstance(node, ast.Return) and node.value is not None:
            node.value = self._passed(node.value, node, told_of)
        elif writes and isinstance(node, _SIMPLE):
            if node is self._last and isinstance(node, ast.Expr):
                node.value = self._passed(node.value, node, told_of)
                return result
            after = self._look("resumed" if resumed else "looked", node, told_of)
            return [*(result if isinstance(result, list) else [result]), *after]
        return result

    def _entered(self, body: list[ast.stmt], like: ast.stmt) -> list[ast.stmt]:
        """Have a function's body begin with a look: what was written before, its caller wrote."""
        first = 1 if ast.get_docstring(ast.Module(body, []), clean=False) is not None else 0
        # On the line that comes next, or a tracer of the user's would be told of one more.
        body[first:first] = self._look("entered", body[first] if first < len(body) else like)
        return body

    def _passed(self, value: ast.expr, like: Any, told_of: Moment | None = None) -> ast.expr:
        """Have a look after an expression that is no statement of its own."""
        if not self._looks or not any(isinstance(one, ast.Call) for one in ast.walk(value)):
            return value
        return told(self._kept(told_of or self._told_of(like)), "passed", value)

    def _look(self, method: str, like: Any, told_of: Moment | None = None) -> list[ast.stmt]:
        if not self._looks:
            return []
        self.expressions[_FLAG] = FLAG
        alive = ast.Attribute(ast.Constant(_FLAG), "alive", ast.Load())
        return [at_start(ast.If(alive, [self._moment(method, like, told_of)], []), like)]

    def _moment(self, method: str, like: Any, told_of: Moment | None = None) -> ast.stmt:
        name = self._kept(told_of or self._told_of(like))
        call = ast.Call(ast.Attribute(ast.Constant(name), method, ast.Load()), [], [])
        return at_start(ast.Expr(call), like)

    def _kept(self, moment: Moment) -> str:
        name = placeholder(new_number())
        self.expressions[name] = moment
        return name

    def _told_of(self, node: Any) -> Moment:
        """Return what a report tells of a statement: to be asked before it is rewritten."""
        target = target_of(node, self._resolve)
        shown = target or getattr(node, "value", None)
        place = self._text.place(shown if isinstance(shown, ast.expr) else node)
        if isinstance(node, ast.stmt):
            place = place._replace(expression=self._text.first_line(node))
        while isinstance(target, ast.Subscript):
            target = target.value
        return Moment(place, ast.unparse(target) if target else "")


_SUSPENDING: Final = (ast.Yield, ast.YieldFrom, ast.Await)
_IN_PLACE: Final = frozenset("fill sort put partition".split())
_FIRST: Final = frozenset("shuffle copyto place putmask fill_diagonal put_along_axis".split())


def can_write(node: ast.stmt) -> bool:
    """Say whether a statement's own expressions can write to an array: by a call or a store."""
    if isinstance(node, ast.AugAssign):
        return True
    return any(_is_call_or_store(one) for one in _within(node))


def _is_call_or_store(node: ast.AST) -> bool:
    # Stores stand in tuples too: `first, a[0] = …`.
    stores = isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
    return stores or isinstance(node, ast.Call)


def _reads(node: ast.AST, attributes: Container[str]) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in attributes


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run with it: not its inner statements and functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case | ast.Lambda):
            yield child
            yield from _within(child)


def target_of(node: ast.AST, resolve: Resolve) -> ast.expr | None:
    """Return what a statement writes to, as far as its text tells."""
    if isinstance(node, ast.AugAssign):
        return node.target
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return node.targets[0]
    value = getattr(node, "value", None)
    return _written_by(value, resolve) if isinstance(value, ast.Call) else None


def _written_by(call: ast.Call, resolve: Resolve) -> ast.expr | None:
    """Return what a call writes to: the array of a method, the first argument of a function."""
    for keyword in call.keywords:
        if keyword.arg == "out":
            return keyword.value
    function = resolve(call.func)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    name = (function or method).rpartition(".")[2]
    in_place = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    if name in _FIRST or (in_place and function is not None):
        return call.args[0] if call.args else None
    return call.func.value if in_place and isinstance(call.func, ast.Attribute) else None


def can_share(tree: ast.AST, rewrites: Rewrites, resolve: Resolve) -> bool:
    """Say whether a text has an expression that can make two arrays share memory."""
    for node in _run(tree):
        if _reads(node, rewrites.attributes):
            return True
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in rewrites.methods:
                return True
            if resolve(node.func) in rewrites.functions:
                return True
    return False


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree but for annotations."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _run(child)


def at_start_of(node: ast.Try, like: ast.stmt) -> ast.Try:
    """Put a statement, but not what is in it, where another one starts."""
    node.lineno = node.end_lineno = like.lineno
    node.col_offset = node.end_col_offset = like.col_offset
    return node


def _swallows(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    parts = dotted(function) if function is not None else None
    return parts is not None and parts[-1] in SWALLOWING


def is_look(code: CodeType) -> bool:
    """Say whether a statement's code, once baked, is a look of ours and nothing of the user's."""
    return FLAG in code.co_consts and _OF_LOOKS.issuperset(code.co_names)
