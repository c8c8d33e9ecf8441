"""Which names of a source may stand for the same memory, and where that memory may be written.

Advice to share memory, or to convert once and not again, is good only where nobody writes. That
is read from the source, and in doubt a name is taken for another's alias and a call for a write:
so advice may be missed, and is not wrong.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from tensortoll.advice.callees import (
    arguments,
    called,
    functions_called,
    harmless,
    is_array,
    is_false,
    is_in_place,
    methods,
    parts,
    roots,
)
from tensortoll.advice.text import Text
from tensortoll.advice.vocabulary import (
    ASKS_TO_WRITE,
    CONTAINERS,
    FRESH,
    NUMBERS,
    WRITING_FUNCTIONS,
    WRITING_METHODS,
)

_ANEW: Final = (ast.UnaryOp, ast.Compare, ast.Constant, ast.JoinedStr)
"""Expressions whose value is nobody else's memory."""
_WRITTEN: Final = frozenset("data flat T real imag grad requires_grad".split())
_YIELDS: Final = (ast.Yield, ast.YieldFrom)
_ENDS: Final = (ast.stmt, ast.comprehension, ast.BinOp, ast.UnaryOp, ast.Compare, *_YIELDS)
"""Where a value is bound to a name, handed out, or read."""


_BOTH: Final = 2


class Write(NamedTuple):
    """Where memory may be written."""

    name: str
    node: ast.AST


class Aliasing:
    """What is to be known of the names of one source."""

    def __init__(self, text: Text, namespace: Mapping[str, Any]) -> None:
        """Read a source; its globals, ``namespace``, tell what is called, and are not kept."""
        self._text = text
        self._leaders: dict[str, str] = {}
        self.writes: list[Write] = []
        self._types = {name: type(value) for name, value in namespace.items()}
        self._is_harmless = harmless(namespace)
        self._own = {
            node.name: node
            for node in ast.walk(text.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        self._bodies = methods(text.tree)
        for node in ast.walk(text.tree):
            self._read(node)

    def alike(self, name: str) -> frozenset[str]:
        """Return the names that may stand for the memory of a name, itself included."""
        leader = self._find(name)
        return frozenset((name, *(one for one in self._leaders if self._find(one) == leader)))

    def write_of(self, names: frozenset[str], at: ast.AST) -> Write | None:
        """Return a write to what any of the names stands for that is made once ``at`` has run.

        A write further up that is not repeated does not count.
        """
        aliases = frozenset().union(*(self.alike(name) for name in names))
        for write in self.writes:
            if write.name in aliases and not self._is_over(write.node, at):
                return write
        return None

    def names_of_result(self, node: ast.AST) -> frozenset[str] | None:
        """Return the names that the value of an expression gets, or is held by.

        None where it is handed to something that may write it.
        """
        found: set[str] = set()
        for parent in self._text.around(node):
            if isinstance(parent, ast.Call):
                given = self._given(parent, node)
                if given is None:
                    return None
                found |= given
                if called(parent) in FRESH:
                    break
            elif isinstance(parent, _ENDS) or getattr(parent, "attr", "") in NUMBERS:
                found |= self._bound_by(parent)
                break
            elif isinstance(parent, ast.NamedExpr):
                found |= self._bound_by(parent)
            node = parent
        return frozenset(found - {""})

    def _bound_by(self, node: ast.AST) -> set[str]:
        """Return the names to which a statement gives the value that stands in it."""
        if isinstance(node, (ast.Return, *_YIELDS)):
            return {getattr(self._text.function(node), "name", "")}
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        every = (part for one in targets if one is not None for part in parts(one))
        return {name for part in every for name in roots(part)}

    def _given(self, call: ast.Call, node: ast.AST) -> set[str] | None:
        """Return the names by which a call may hold a value; None if it may write it."""
        name = called(call)
        if node is call.func:  # a method of the value
            return None if is_in_place(name) or name in WRITING_METHODS else set()
        written = isinstance(node, ast.keyword) and node.arg == "out"
        if written or name in WRITING_FUNCTIONS or is_in_place(name):
            return None
        if not self._is_known(call, name):
            return None
        found: set[str] = set()
        if name in CONTAINERS and isinstance(call.func, ast.Attribute):
            found.update(roots(call.func.value))
        for body in self._bodies_of(call, name):
            found.update(one.arg for one in (*body.args.args, *body.args.kwonlyargs))
        return found

    def writes_in(self, names: frozenset[str], loop: ast.AST) -> Write | None:
        """Return a write within a loop to what any of the names stands for."""
        aliases = frozenset().union(*(self.alike(name) for name in names))
        inside = set(map(id, ast.walk(loop)))
        reached = functions_called(loop, self._own, self._bodies)
        for write in self.writes:
            here = id(write.node) in inside or self._text.function(write.node) in reached
            if write.name in aliases and here:
                return write
        return None

    def _is_over(self, write: ast.AST, at: ast.AST) -> bool:
        text = self._text
        if text.function(write) is not None or text.function(at) is not None:
            return False
        loops = set(map(id, text.loops(at)))
        repeated = any(id(loop) in loops for loop in text.loops(write))
        return not repeated and getattr(write, "lineno", 0) < getattr(at, "lineno", 0)

    # ------------------------------------------------------------------- aliases

    def _find(self, name: str) -> str:
        while (leader := self._leaders.setdefault(name, name)) != name:
            name = leader
        return name

    def _join(self, names: Iterator[str]) -> None:
        first = None
        for name in names:
            if first is None:
                first = self._find(name)
            else:
                self._leaders[self._find(name)] = first

    def carried(self, node: ast.AST | None) -> Iterator[str]:
        """Yield the names whose memory the value of an expression may be, or hold."""
        if isinstance(node, ast.Name):
            yield node.id
            return
        if isinstance(node, ast.Call):
            yield from self._carried_by_call(node)
            return
        if node is None or isinstance(node, _ANEW) or getattr(node, "attr", "") in NUMBERS:
            return
        inner: Iterable[ast.AST | None] = ast.iter_child_nodes(node)
        if isinstance(node, ast.Subscript | ast.NamedExpr):
            inner = (node.value,)
        elif isinstance(node, ast.comprehension):
            inner = (node.iter,)
        elif isinstance(node, ast.BinOp):
            # Sums of arrays are new; those of lists hold what the lists hold.
            lists = (ast.List, ast.Tuple, ast.ListComp)
            inner = (one for one in (node.left, node.right) if isinstance(one, lists))
        for part in inner:
            yield from self.carried(part)

    def _carried_by_call(self, node: ast.Call) -> Iterator[str]:
        name = called(node)
        if name in FRESH and name not in self._own:
            return
        if name in self._own or name in self._bodies:
            yield name
        if isinstance(node.func, ast.Attribute):
            yield from self.carried(node.func.value)
        for argument in arguments(node):
            yield from self.carried(argument)

    # -------------------------------------------------------------------- reading

    def _read(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self._bind(target, node.value, node)
        elif isinstance(node, ast.AugAssign):
            for name in roots(node.target):
                self.writes.append(Write(name, node))
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._bind(node.target, node.iter, node)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._bind(node.optional_vars, node.context_expr, node)
        elif isinstance(node, (ast.Return, *_YIELDS)):
            function = self._text.function(node)
            if function is not None and not isinstance(function, ast.Lambda):
                self._join(iter((function.name, *self.carried(node.value))))
        elif isinstance(node, ast.Call):
            self._read_call(node)

    def _bind(self, target: ast.expr, value: ast.expr | None, node: ast.AST) -> None:
        pair = [one.elts for one in (target, value) if isinstance(one, ast.Tuple)]
        if len(pair) == _BOTH and len(pair[0]) == len(pair[1]):
            for one, part in zip(*pair, strict=True):
                self._bind(one, part, node)
            return
        for part in ast.walk(target):
            if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
                self._store(part, value, node)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                if part.attr in _WRITTEN:
                    self.writes += (Write(name, node) for name in roots(part))
                self._join(iter((*roots(part), *self.carried(value))))
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self._join(iter((part.id, *self.carried(value))))

    def _store(self, target: ast.Subscript, value: ast.expr | None, node: ast.AST) -> None:
        names = list(roots(target))
        kinds = {self._types.get(name) for name in names}
        holds = kinds <= {list, dict} and isinstance(target.value, ast.Name)
        if not holds:
            self.writes += (Write(name, node) for name in names)
        # An array takes the elements in, not the memory; of a list or dict it is the other way.
        if holds or not all(is_array(kind) for kind in kinds):
            self._join(iter((*names, *self.carried(value))))

    def _read_call(self, node: ast.Call) -> None:
        name = called(node)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        self._read_keywords(node, receiver)
        in_place = is_in_place(name)
        if receiver is not None:
            if in_place or name in WRITING_METHODS:
                self._write(receiver, node)
            if name in CONTAINERS:
                given = (one for argument in arguments(node) for one in self.carried(argument))
                self._join(iter((*roots(receiver), *given)))
        if in_place or name in WRITING_FUNCTIONS:
            position = WRITING_FUNCTIONS.get(name, 0)
            for argument in node.args[position : position + 1]:
                self._write(argument, node)
        self._read_own_call(node, name)
        if not self._is_known(node, name):
            for argument in arguments(node):
                self._write(argument, node)

    def _read_keywords(self, node: ast.Call, receiver: ast.expr | None) -> None:
        for keyword in node.keywords:
            if keyword.arg == "out":
                self._write(keyword.value, node)
            elif keyword.arg in ASKS_TO_WRITE or (
                keyword.arg == "copy" and is_false(keyword.value)
            ):
                for written in (receiver, *node.args):
                    if written is not None:
                        self._write(written, node)

    def _write(self, written: ast.AST, node: ast.AST) -> None:
        self.writes += (Write(name, node) for name in self.carried(written))

    def _read_own_call(self, node: ast.Call, name: str) -> None:
        """Take the parameters of functions of the source for what they are given."""
        for body in self._bodies_of(node, name):
            every = [*body.args.posonlyargs, *body.args.args, *body.args.kwonlyargs]
            others = (body.args.vararg, body.args.kwarg)
            names = [one.arg for one in (*every, *others) if one is not None]
            for argument in arguments(node):
                for given in list(self.carried(argument)):
                    self._join(iter((given, *names)))

    def _bodies_of(
        self, node: ast.Call, name: str
    ) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        own = self._own.get(name)
        if isinstance(own, ast.FunctionDef | ast.AsyncFunctionDef):
            yield own
        elif isinstance(own, ast.ClassDef):
            yield from (one for one in own.body if isinstance(one, ast.FunctionDef))
        elif isinstance(node.func, ast.Attribute):
            yield from self._bodies.get(name, ())
        else:  # an object of one of the source's classes
            kind = self._own.get(getattr(self._types.get(name), "__name__", ""))
            if isinstance(kind, ast.ClassDef):
                yield from (one for one in kind.body if isinstance(one, ast.FunctionDef))

    def _is_known(self, node: ast.Call, name: str) -> bool:
        """Say whether a call writes nothing but what the tables say, as far as can be told."""
        if name in self._own or name in self._bodies or name in FRESH or name in CONTAINERS:
            return True
        root = next(roots(node.func), "")
        if isinstance(node.func, ast.Name) and hasattr(builtins, name):
            return name not in {"exec", "eval"}
        if isinstance(node.func, ast.Attribute) and not root:
            return True  # a method of a result or a literal, which is nobody's
        return self._is_harmless(root)
