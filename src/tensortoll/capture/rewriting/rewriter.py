"""Rewrites the expressions of a cell that can convert, so that what goes in and out is seen.

NumPy's methods are C code that nothing can be hooked into, but the cell's own source is ours to
compile. Only expressions that can convert are touched: the rest runs at its own speed.

A rewritten expression refers to its `Expression` by a placeholder, a constant string; once the
code is compiled, the placeholder is replaced by the object itself (`baked`). So the code needs no
name from us: `globals()`, `locals()` and `dir()` are what they were.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tensortoll.capture.counting.recorder import Located
from tensortoll.capture.hazards.writes import is_watching
from tensortoll.capture.rewriting import handing
from tensortoll.capture.rewriting.kinds import CONVERTING, expression_of
from tensortoll.capture.rewriting.placeholders import Baked, new_number, placeholder
from tensortoll.capture.rewriting.rewrites import LOOKS_ONLY, Rewrites, data_argument, ruled
from tensortoll.capture.rewriting.statements import Statements, can_share
from tensortoll.capture.runtime import naming, reading
from tensortoll.capture.text.calls import computes, dotted
from tensortoll.capture.text.compilers import handed_to_compilers, is_compiler
from tensortoll.capture.text.names import Names
from tensortoll.capture.text.nodes import (
    Text,
    as_value,
    at_start,
    can_be_array,
    constant,
    is_key,
    is_plain,
    told,
)
from tensortoll.model import Source


@dataclass
class Rewritten:
    """A text, ready to be compiled."""

    tree: ast.Module
    original: ast.Module
    expressions: dict[str, Baked]
    """By placeholder."""
    left: int = 0
    """Functions that were left as written though expressions in them can convert."""
    error: Exception | None = None
    """Why nothing was rewritten, if we failed; the text runs all the same."""


def rewrite(
    tree: ast.Module,
    source: Source,
    rewrites: Rewrites,
    explicit: frozenset[str],
    namespace: Mapping[str, Any],
    *,
    functions: bool = True,
) -> Rewritten:
    """Return ``tree`` with the expressions that can convert rewritten.

    Args:
        tree: Of the text that will run; positions are those of ``source``. It is changed.
        source: What the user sees.
        rewrites: What can convert.
        explicit: Names of calls that ask for a conversion.
        namespace: The globals that the code will run in.
        functions: Whether to rewrite the bodies of functions too; see `compilers`.
    """
    try:
        original = copy.deepcopy(tree)
    except RecursionError as error:  # an expression of hundreds of parts
        return Rewritten(tree, tree, {}, error=error)
    try:
        names = Names(tree, namespace)
        rewriter = _Rewriter(source, rewrites, explicit, names, functions=functions)
        changed = rewriter.visit(tree)
        ast.fix_missing_locations(changed)
    except Exception as error:
        return Rewritten(original, original, {}, error=error)
    return Rewritten(changed, original, rewriter.expressions, rewriter.left)


_Node = TypeVar("_Node", bound=ast.AST)


class _Rewriter(Statements):
    def __init__(
        self,
        source: Source,
        rewrites: Rewrites,
        explicit: frozenset[str],
        names: Names,
        *,
        functions: bool,
    ) -> None:
        known = rewrites.where(names.in_play)
        looks = can_share(names.tree, known, names.resolve) or is_watching()
        super().__init__(Text(source), names.resolve, looks=looks, attributes=known.attributes)
        self.left = 0
        self._functions = functions
        self._rewrites = known
        self._explicit = explicit
        self._names = names
        self._keyed = any(map(names.in_play, self._rewrites.keyed)) or names.tells_of_records()
        self._reads = any(map(names.in_play, rewrites.read_from))
        self._hands = any(map(names.reaches, rewrites.takers))
        self._compiled = handed_to_compilers(names.tree)

    # ------------------------------------------------------------------- expressions

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Rewrite a call that converts its receiver or one of its arguments."""
        known = self._names.resolve(node.func)
        method = node.func
        if isinstance(method, ast.Attribute):  # is called, and no attribute that is read
            method.value = self.visit(method.value)
            node.func = ast.Constant(None)
        self.generic_visit(node)
        node.func = method if isinstance(method, ast.Attribute) else node.func
        if known is not None:
            rule = self._rewrites.functions.get(known)
            if rule is not None:
                if rule == "take" and self._hands and isinstance(node.func, ast.Name):
                    # A hook stands in for what was named before the watch.
                    name = self._expression(node, handing.RULE, "", known)
                    node.func = told(name, "callee", node.func)
                return self._function(node, known, ruled(node, rule, known.rpartition(".")[2]))
            if self._reads and known.partition(".")[0] in self._rewrites.readers:
                return self._reader(node, known)
        # A function of some module is no method.
        named = known is not None and known.rpartition(".")[0] in sys.modules
        if isinstance(node.func, ast.Attribute) and not named:
            rule = self._rewrites.methods.get(node.func.attr)
            if rule == naming.RULE:
                name = self._expression(node, rule, node.func.attr, f".{node.func.attr}")
                return naming.rewritten(node, node.func, name)
            if rule is not None:
                return self._method(node, node.func, ruled(node, rule, node.func.attr))
        return handing.rewritten(node, self._expression) if self._hands else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Rewrite an attribute that converts when it is read."""
        self.generic_visit(node)
        rule = self._rewrites.attributes.get(node.attr)
        if rule is None or not isinstance(node.ctx, ast.Load):
            return node
        name = self._expression(node, rule, node.attr, f".{node.attr}")
        node.value = told(name, "given", node.value)
        return told(name, "made", node)

    def _method(self, node: ast.Call, function: ast.Attribute, rule: str) -> ast.expr:
        name = self._expression(node, rule, function.attr, f".{function.attr}")
        function.value = told(name, "given", function.value)
        into = rule == "into"
        node.args = [self._argument(name, one, matters=into) for one in node.args]
        return told(name, "made", node)

    def _function(self, node: ast.Call, known: str, rule: str) -> ast.expr:
        last = known.rpartition(".")[2]
        parts = dotted(node.func)
        shown = ".".join(parts) if parts and len(parts) > 1 else known
        data = data_argument(node, self._rewrites.positions.get(known, 0))
        if data is None:
            return node
        name = self._expression(node, rule, last, shown)
        node.args = [
            told(name, "given" if one is data else "also", one)
            if (one is data or not is_plain(one)) and not isinstance(one, ast.Starred)
            else one
            for one in node.args
        ]
        for keyword in node.keywords:
            if keyword.value is data:
                keyword.value = told(name, "given", keyword.value)
        return told(name, "made", node)

    def _reader(self, node: ast.Call, known: str) -> ast.expr:
        own = known.rpartition(".")[2]
        if all(map(is_plain, node.args)) or own in LOOKS_ONLY:
            return node
        shown = ".".join(dotted(node.func) or [known])
        return reading.rewritten(node, self._expression(node, reading.RULE, own, shown))

    @staticmethod
    def _argument(name: str, node: ast.expr, *, matters: bool) -> ast.expr:
        # Else only for the clock: time spent on making the arguments is not the conversion's.
        worth = matters or isinstance(node, ast.Call | ast.BinOp | ast.ListComp)
        return told(name, "also", node) if worth else node

    # ------------------------------------------------------------------------ stores

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Rewrite `array[index] = value` where the value can be an array.

        Value, array and index are still evaluated once each, in that order.
        """
        target = node.targets[0]
        if (
            len(node.targets) != 1
            or not isinstance(target, ast.Subscript)
            or (is_key(target.slice) and not self._keyed)
            or not can_be_array(node.value)
        ):
            return self.generic_visit(node)
        rule = "store result" if computes(node.value) else "store"
        name = self._expression(target, rule, "[]=", "[]=")
        self.generic_visit(node)
        node.value = told(name, "given", node.value)
        target.value = told(name, "base", target.value)
        target.slice = told(name, "index", as_value(target.slice, name))
        after = ast.Call(ast.Attribute(ast.Constant(name), "stored", ast.Load()), [], [])
        return [node, at_start(ast.Expr(after), node)]

    # --------------------------------------------------------- functions and scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Rewrite a function's body, unless a compiler will read its bytecode."""
        return self._defined(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Rewrite a coroutine's body."""
        return self._defined(node)

    def _defined(self, node: Any) -> ast.AST:
        if node.name in self._compiled or any(map(is_compiler, node.decorator_list)):
            return node  # type: ignore[no-any-return]
        before = len(self.expressions)
        self._visit_arguments(node.args)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        outside = len(self.expressions)
        if not self._functions:
            self._leave(node.body)
            return node  # type: ignore[no-any-return]
        node.body = self._entered(self._visit_body(node.body), node)
        if len(self.expressions) > max(before, outside):
            name = self._expression(node, "define", "def", "def")
            # The innermost decorator, at the place of `def`: what stands above is not moved.
            mark = ast.Attribute(constant(name, node), "defined", ast.Load())
            node.decorator_list.append(at_start(mark, node))
        return node  # type: ignore[no-any-return]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        """Rewrite a lambda's body."""
        self._visit_arguments(node.args)
        if not self._functions:
            self._leave([ast.Expr(node.body)])
            return node
        before = len(self.expressions)
        node.body = self._passed(self.visit(node.body), node)
        if len(self.expressions) == before:
            return node
        return told(self._expression(node, "define", "lambda", "lambda"), "defined", node)

    def _leave(self, body: list[ast.stmt]) -> None:
        """Leave a function's body as written, and count it if there was something to see."""
        known = dict(self.expressions)
        self._visit_body(copy.deepcopy(body))
        self.left += any(
            type(one) in CONVERTING for key, one in self.expressions.items() if key not in known
        )
        self.expressions = known

    def _visit_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        changed: list[ast.stmt] = []
        for statement in body:
            result = self.visit(statement)
            changed += result if isinstance(result, list) else [result]
        return changed

    def _visit_arguments(self, arguments: ast.arguments) -> None:
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one and self.visit(one) for one in arguments.kw_defaults]

    # ------------------------------------------------- what must stay as it is written

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Leave the annotation."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        """Leave the pattern."""
        if node.guard is not None:
            node.guard = self.visit(node.guard)
        node.body = self._visit_body(node.body)
        return node

    def visit_TypeVar(self, node: _Node) -> _Node:
        """Leave a type parameter."""
        return node

    def visit_TypeAlias(self, node: _Node) -> _Node:
        """Leave a `type` statement."""
        return node

    # ------------------------------------------------------------------------ places

    def _expression(self, node: Any, rule: str, name: str, operation: str) -> str:
        number = new_number()
        located = Located(
            self._text.place(node), operation, implicit=name not in self._explicit, name=name
        )
        self.expressions[placeholder(number)] = expression_of(number, located, rule)
        return placeholder(number)
