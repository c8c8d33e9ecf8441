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
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final, TypeVar

from tensortoll.capture.calls import computes, dotted
from tensortoll.capture.expressions import Expression
from tensortoll.capture.names import Names
from tensortoll.capture.recorder import Located
from tensortoll.model import Place, Source

PLACEHOLDER: Final = "\x00tensortoll expression "
_numbers = itertools.count()

COMPILERS: Final = frozenset(
    "jit njit pjit vectorize guvectorize stencil cfunc compile script trace kernel".split()
)
"""Names of functions that compile what they are given from its bytecode: it must stay as is."""

SCALAR_FUNCTIONS: Final = frozenset(
    "abs bool chr complex dict float frozenset hash hex id int len max min next open ord repr "
    "round set sorted str sum tuple type zip".split()
)
"""Builtins whose result is no array: storing it converts nothing."""


@dataclass(frozen=True)
class Rewrites:
    """Which expressions of a library can convert.

    The rules say what a call does with its arrays: `convert` makes the result of its first one;
    `reorder` likewise, and copies only to change the order of its elements; `swap` turns the bytes
    of its elements round; `into` writes its second one into its first; `export` hands the memory
    of its first one out.
    """

    methods: Mapping[str, str] = field(default_factory=dict)
    """Rule by the name of a method, whatever object it is called on."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Rule by the dotted name of a function, as the library knows it: `numpy.asarray`."""
    readers: frozenset[str] = frozenset()
    """Libraries whose functions read arrays of other libraries through a protocol in C."""
    read_from: frozenset[str] = frozenset()
    """Libraries whose arrays are read in that way: if none is in play, `readers` are let be."""

    def joined(self, other: Rewrites) -> Rewrites:
        """Return what either knows."""
        return Rewrites(
            {**self.methods, **other.methods},
            {**self.functions, **other.functions},
            self.readers | other.readers,
            self.read_from | other.read_from,
        )


@dataclass
class Rewritten:
    """A text, ready to be compiled."""

    tree: ast.Module
    original: ast.Module
    expressions: dict[str, Expression]
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


def baked(code: CodeType, expressions: Mapping[str, Expression]) -> CodeType:
    """Return ``code`` with every placeholder replaced by the expression it stands for."""
    if not expressions:
        return code
    constants = tuple(_baked_constant(constant, expressions) for constant in code.co_consts)
    if all(one is other for one, other in zip(constants, code.co_consts, strict=True)):
        return code
    return code.replace(co_consts=constants)


def _baked_constant(constant: Any, expressions: Mapping[str, Expression]) -> Any:
    if isinstance(constant, CodeType):
        return baked(constant, expressions)
    if isinstance(constant, str) and constant.startswith(PLACEHOLDER):
        return expressions.get(constant, constant)
    return constant


_Node = TypeVar("_Node", bound=ast.AST)


class _Rewriter(ast.NodeTransformer):
    def __init__(
        self,
        source: Source,
        rewrites: Rewrites,
        explicit: frozenset[str],
        names: Names,
        *,
        functions: bool,
    ) -> None:
        self.expressions: dict[str, Expression] = {}
        self.left = 0
        self._functions = functions
        self._source = source
        self._lines = (source.text or "").splitlines()
        self._rewrites = rewrites
        self._explicit = explicit
        self._names = names
        self._reads = any(map(names.in_play, rewrites.read_from))
        self._compiled = handed_to_compilers(names.tree)

    # ------------------------------------------------------------------- expressions

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Rewrite a call that converts its receiver or its first argument."""
        known = self._names.resolve(node.func)
        self.generic_visit(node)
        if known is not None:
            rule = self._rewrites.functions.get(known)
            if rule is not None:
                return self._function(node, known, _ruled(node, rule, known.rpartition(".")[2]))
            if self._reads and known.partition(".")[0] in self._rewrites.readers:
                return self._reader(node, known)
            return node
        if isinstance(node.func, ast.Attribute):
            rule = self._rewrites.methods.get(node.func.attr)
            if rule is not None:
                return self._method(node, node.func, _ruled(node, rule, node.func.attr))
        return node

    def _method(self, node: ast.Call, function: ast.Attribute, rule: str) -> ast.expr:
        name = self._expression(node, rule, function.attr, f".{function.attr}")
        function.value = _told(name, "given", function.value)
        node.args = [self._argument(name, one) for one in node.args]
        return _told(name, "made", node)

    def _function(self, node: ast.Call, known: str, rule: str) -> ast.expr:
        last = known.rpartition(".")[2]
        parts = dotted(node.func)
        shown = ".".join(parts) if parts and len(parts) > 1 else known
        first = self._first_argument(node)
        if first is None:
            return node
        name = self._expression(node, rule, last, shown)
        node.args = [
            _told(name, "given" if number == 0 else "also", one)
            if (number == 0 or not _is_plain(one)) and not isinstance(one, ast.Starred)
            else one
            for number, one in enumerate(node.args)
        ]
        for keyword in node.keywords:
            if keyword is first:
                keyword.value = _told(name, "given", keyword.value)
        return _told(name, "made", node)

    @staticmethod
    def _first_argument(node: ast.Call) -> ast.expr | ast.keyword | None:
        if node.args:
            return None if isinstance(node.args[0], ast.Starred) else node.args[0]
        named = [one for one in node.keywords if one.arg in {"a", "object", "arr", "obj", "x"}]
        return named[0] if named else None

    def _reader(self, node: ast.Call, known: str) -> ast.expr:
        if all(map(_is_plain, node.args)):
            return node
        shown = ".".join(dotted(node.func) or [known])
        name = self._expression(node, "read", known.rpartition(".")[2], shown)
        node.args = [
            one if _is_plain(one) or isinstance(one, ast.Starred) else _told(name, "read", one)
            for one in node.args
        ]
        return node

    @staticmethod
    def _argument(name: str, node: ast.expr) -> ast.expr:
        # Only for the clock: time spent on making the arguments is not the conversion's.
        worth = isinstance(node, ast.Call | ast.BinOp | ast.ListComp)
        return _told(name, "also", node) if worth else node

    # ------------------------------------------------------------------------ stores

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Rewrite `array[index] = value` where the value can be an array.

        Value, array and index are still evaluated once each, in that order.
        """
        target = node.targets[0]
        if (
            len(node.targets) != 1
            or not isinstance(target, ast.Subscript)
            or _is_key(target.slice)
            or not self._can_be_array(node.value)
        ):
            return self.generic_visit(node)
        rule = "store result" if computes(node.value) else "store"
        name = self._expression(target, rule, "[]=", "[]=")
        self.generic_visit(node)
        node.value = _told(name, "given", node.value)
        target.value = _told(name, "base", target.value)
        target.slice = _told(name, "index", _as_value(target.slice, name))
        after = ast.Call(ast.Attribute(ast.Constant(name), "stored", ast.Load()), [], [])
        return [node, _at_start(ast.Expr(after), node)]

    def _can_be_array(self, node: ast.expr) -> bool:
        """Say whether a value that is stored can be an array of several elements."""
        if isinstance(node, ast.Call):
            return not isinstance(node.func, ast.Name) or node.func.id not in SCALAR_FUNCTIONS
        kinds = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.List)
        return isinstance(node, kinds)

    # --------------------------------------------------------- functions and scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Rewrite a function's body, unless a compiler will read its bytecode."""
        return self._defined(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Rewrite a coroutine's body."""
        return self._defined(node)

    def _defined(self, node: Any) -> ast.AST:
        if node.name in self._compiled or any(map(_is_compiler, node.decorator_list)):
            return node  # type: ignore[no-any-return]
        before = len(self.expressions)
        self._visit_arguments(node.args)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        outside = len(self.expressions)
        if not self._functions:
            self._leave(node.body)
            return node  # type: ignore[no-any-return]
        node.body = self._visit_body(node.body)
        if len(self.expressions) > max(before, outside):
            name = self._expression(node, "define", "def", "def")
            # The innermost decorator, at the place of `def`: what stands above is not moved.
            mark = ast.Attribute(_constant(name, node), "defined", ast.Load())
            node.decorator_list.append(_at_start(mark, node))
        return node  # type: ignore[no-any-return]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        """Rewrite a lambda's body."""
        self._visit_arguments(node.args)
        if not self._functions:
            self._leave([ast.Expr(node.body)])
            return node
        before = len(self.expressions)
        node.body = self.visit(node.body)
        if len(self.expressions) == before:
            return node
        return _told(self._expression(node, "define", "lambda", "lambda"), "defined", node)

    def _leave(self, body: list[ast.stmt]) -> None:
        """Leave a function's body as written, and count it if there was something to see."""
        known = dict(self.expressions)
        self._visit_body(copy.deepcopy(body))
        self.left += len(self.expressions) > len(known)
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
        number = next(_numbers)
        placeholder = f"{PLACEHOLDER}{number}"
        located = Located(
            self._place(node), operation, implicit=name not in self._explicit, name=name
        )
        self.expressions[placeholder] = Expression(number, located, rule)
        return placeholder

    def _place(self, node: Any) -> Place:
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

    def _chained(self, node: Any, place: Place) -> Place:
        """Charge a method of a chain over several lines to its own line, as tracebacks do."""
        function = getattr(node, "func", None)
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


def _told(name: str, method: str, node: ast.expr, *, like: ast.AST | None = None) -> ast.expr:
    """Return `placeholder.method(node)`, standing where ``node`` stands."""
    like = like or node
    function = ast.copy_location(ast.Attribute(_constant(name, like), method, ast.Load()), like)
    return ast.copy_location(ast.Call(function, [node], []), like)


def _constant(name: str, like: ast.AST) -> ast.Constant:
    return ast.copy_location(ast.Constant(name), like)


def _at_start(node: _Node, like: Any) -> _Node:
    """Put ``node`` and what is in it where a statement starts."""
    for one in ast.walk(node):
        if isinstance(one, ast.expr | ast.stmt):
            one.lineno = one.end_lineno = like.lineno
            one.col_offset = one.end_col_offset = like.col_offset
    return node


def _as_value(node: ast.expr, name: str) -> ast.expr:
    """Return an index as a value: a bare slice can stand only inside brackets."""
    if isinstance(node, ast.Slice):
        parts = [
            part or ast.copy_location(ast.Constant(None), node)
            for part in (node.lower, node.upper, node.step)
        ]
        make = ast.Attribute(_constant(name, node), "slice", ast.Load())
        return ast.copy_location(ast.Call(ast.copy_location(make, node), parts, []), node)
    if isinstance(node, ast.Tuple):
        node.elts = [_as_value(one, name) for one in node.elts]
    return node


def _ruled(node: ast.Call, rule: str, name: str) -> str:
    """Return the rule of a call; one that copies anyway does not show by that what it reorders."""
    if rule != "reorder":
        return rule
    given = [*node.args, *(one.value for one in node.keywords if one.arg == "order")]
    in_columns = any(isinstance(one, ast.Constant) and one.value == "F" for one in given)
    always = name == "flatten" or any(one.arg in {"copy", None} for one in node.keywords)
    return "convert" if always and not in_columns else rule


def _is_plain(node: ast.expr) -> bool:
    """Say whether an argument can be no array."""
    return isinstance(
        node,
        ast.Constant | ast.Lambda | ast.GeneratorExp | ast.JoinedStr | ast.Compare | ast.BoolOp,
    )


def _is_key(node: ast.expr) -> bool:
    """Say whether an index can only be a dictionary's key."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | float)


def _is_compiler(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    parts = dotted(function)
    return parts is not None and not COMPILERS.isdisjoint(parts)


def handed_to_compilers(tree: ast.AST) -> frozenset[str]:
    """Return the names of functions that the text itself has compiled: `f = torch.compile(g)`."""
    return frozenset(_arguments_of_compilers(ast.walk(tree)))


def _arguments_of_compilers(nodes: Iterable[ast.AST]) -> Iterable[str]:
    for node in nodes:
        if isinstance(node, ast.Call) and _is_compiler(node.func):
            for argument in node.args:
                if isinstance(argument, ast.Name):
                    yield argument.id
