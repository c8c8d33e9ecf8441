"""A source as syntax: from a place to its expression, its statement and the loops around it."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from tensortoll.model import Place, Source

Loop = ast.For | ast.AsyncFor | ast.While | ast.comprehension
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_MAGIC: Final = re.compile(r"(\s*)[%!?]")
_IGNORED: Final = re.compile(r"#\s*tensortoll:\s*ignore(?:\[([A-Z0-9,\s]+)\])?")
LONGEST_LINE: Final = 120
"""Characters of a statement that is shown as a whole; of a longer one, the part that changes."""


class Text:
    """One source, parsed."""

    def __init__(self, source: Source) -> None:
        """Parse a source.

        Raises:
            SyntaxError: If it is no Python; lines of IPython's own are taken for `pass`.
        """
        self.source = source
        self.lines = (source.text or "").splitlines()
        self.tree = ast.parse("\n".join(map(_as_python, self.lines)))
        self.parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    def expression(self, place: Place) -> ast.expr | None:
        """Return the expression that stands at a place."""
        if place.column is None or place.end_column is None:
            return None
        key = (place.line, place.column, place.end_line, place.end_column)
        return self._by_extent.get(key) or self._chained.get((place.line, *key[2:]))

    @cached_property
    def _by_extent(self) -> dict[tuple[int, int, int, int], ast.expr]:
        found: dict[tuple[int, int, int, int], ast.expr] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.expr) and node.end_lineno and node.end_col_offset is not None:
                start = self._column(node.lineno, node.col_offset)
                stop = self._column(node.end_lineno, node.end_col_offset)
                found.setdefault((node.lineno, start, node.end_lineno, stop), node)
        return found

    @cached_property
    def _chained(self) -> dict[tuple[int, int, int], ast.expr]:
        """Calls of a chain over several lines, which stand where their method's name does."""
        return {
            (node.func.end_lineno or 0, *extent[2:]): node
            for extent, node in self._by_extent.items()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }

    def _column(self, line: int, offset: int) -> int:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace"))

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, from the inside out."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Return the innermost statement that a node belongs to."""
        if isinstance(node, ast.stmt):
            return node
        return next((one for one in self.around(node) if isinstance(one, ast.stmt)), None)

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function or class body around a node; None at the top."""
        return next((one for one in self.around(node) if isinstance(one, Function)), None)

    def loops(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the loops around a node within its function, the innermost first.

        What stands in the head of a `for` is evaluated once and not in the loop.
        """
        inner = node
        for one in self.around(node):
            if isinstance(one, Function):
                return
            in_head = isinstance(one, ast.For | ast.AsyncFor) and inner is one.iter
            if isinstance(one, _COMPREHENSIONS):
                in_head = inner is one.generators[0]
            if isinstance(one, (ast.For, ast.AsyncFor, ast.While, *_COMPREHENSIONS)) and (
                not in_head
            ):
                yield one
            inner = one

    def is_ignored(self, line: int, code: str) -> bool:
        """Say whether a line ends in `# tensortoll: ignore[TT101]`, or ignores every rule."""
        found = _IGNORED.search(self.lines[line - 1]) if 0 < line <= len(self.lines) else None
        return found is not None and (found[1] is None or code in re.split(r"[,\s]+", found[1]))

    def segment(self, node: ast.AST) -> str:
        """Return a node as it is written, on one line if it may be."""
        return ast.get_source_segment("\n".join(self.lines), node) or ast.unparse(node)

    def swapped(self, node: ast.expr, part: ast.expr, new: str) -> str:
        """Return a node as it is written, with ``new`` in place of a part of it."""
        whole = "\n".join(self.lines).encode()
        start, stop = self._offsets(node)
        inner_start, inner_stop = self._offsets(part)
        changed = whole[start:inner_start] + new.encode() + whole[inner_stop:stop]
        return changed.decode()

    def _offsets(self, node: ast.expr) -> tuple[int, int]:
        """Return where a node begins and ends in the source, in bytes."""
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[
            end_line - 1
        ] + end_column

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(len(line.encode()) + 1 for line in self.lines)]

    def replaced(self, node: ast.expr, new: str) -> str:
        """Return the line to write instead: the statement of ``node`` with ``new`` in its place.

        The new text alone where the statement is long, or has a body.
        """
        statement = self.statement(node)
        simple = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return)
        if not isinstance(statement, simple) or statement.lineno != statement.end_lineno:
            return new
        if node.lineno != node.end_lineno:
            return new
        line = self.lines[statement.lineno - 1].encode()
        before = line[statement.col_offset : node.col_offset].decode()
        after = line[node.end_col_offset : statement.end_col_offset].decode()
        whole = f"{before}{new}{after}"
        return whole if len(whole) <= LONGEST_LINE else new


def _as_python(line: str) -> str:
    found = _MAGIC.match(line)
    if found is None:
        return line
    return f"{found[1]}pass" if not line.lstrip().startswith("%%") else ""


def of_loop(node: ast.AST, loop: ast.AST) -> bool:
    """Say whether a node stands in a loop."""
    return any(one is node for one in ast.walk(loop))
