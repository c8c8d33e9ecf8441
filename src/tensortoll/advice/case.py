"""What a rule looks at, and what it may propose."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tensortoll.advice.aliasing import Aliasing
from tensortoll.advice.standins import Likeness
from tensortoll.advice.text import Text
from tensortoll.capture.arrays.facts import Fact, Held
from tensortoll.capture.text.names import Names
from tensortoll.model import Conversion, Place

SHORT: Final = {
    "numpy": "np",
    "torch": "torch",
    "tensorflow": "tf",
    "jax.numpy": "jnp",
    "jax": "jax",
}


@dataclass(frozen=True)
class Script:
    """One source of a recording, with all that rules ask about it."""

    text: Text
    names: Names
    aliasing: Aliasing
    namespace: Mapping[str, Any]
    """The globals as the run left them; looked at, never kept."""

    def spelled(self, library: str) -> str:
        """Return how the source itself refers to a library: `np`."""
        known = (ast.Name(name) for name in (SHORT[library], *self._imported()))
        for name in known:
            if self.names.resolve(name) == library:
                return name.id
        return SHORT[library]

    def _imported(self) -> Iterator[str]:
        for node in ast.walk(self.text.tree):
            if isinstance(node, ast.alias):
                yield (node.asname or node.name).partition(".")[0]

    def uses(self, name: str) -> int:
        """Return how many times a name is read, wherever."""
        every = (one for one in ast.walk(self.text.tree) if isinstance(one, ast.Name))
        return sum(1 for one in every if one.id == name and isinstance(one.ctx, ast.Load))

    def has(self, library: str) -> bool:
        """Say whether the source has a name for a library."""
        return self.names.resolve(ast.Name(self.spelled(library))) == library


@dataclass(frozen=True)
class Case:
    """One expression of the user's that converted."""

    script: Script
    place: Place
    node: ast.expr
    rows: tuple[Conversion, ...]
    """What was counted there."""
    facts: Mapping[str, Fact]
    """What the expression names was like, by how it is written."""
    by_node: Mapping[ast.expr, Case]
    """The other expressions of the source that converted."""

    @property
    def call(self) -> ast.Call | None:
        """The expression, if it is a call."""
        return self.node if isinstance(self.node, ast.Call) else None

    @property
    def function(self) -> str:
        """The dotted name of the function that is called, as its library knows it."""
        return "" if self.call is None else self.script.names.resolve(self.call.func) or ""

    @property
    def method(self) -> str:
        """The name of the method that is called; empty where it is a library's function."""
        if self.call is None or self.function or not isinstance(self.call.func, ast.Attribute):
            return ""
        return self.call.func.attr

    @property
    def receiver(self) -> ast.expr | None:
        """What the method is called on."""
        if self.call is None or not isinstance(self.call.func, ast.Attribute):
            return None
        return self.call.func.value

    @property
    def first(self) -> ast.expr | None:
        """The first argument."""
        if self.call is None or not self.call.args or isinstance(self.call.args[0], ast.Starred):
            return None
        return self.call.args[0]

    def keyword(self, name: str) -> ast.expr | None:
        """Return the argument of that name."""
        given = () if self.call is None else self.call.keywords
        return next((one.value for one in given if one.arg == name), None)

    def fact(self, node: ast.expr | None) -> Fact | None:
        """Return what is known of an array that the expression names."""
        return None if node is None else self.facts.get(ast.unparse(node))

    def array(self, node: ast.expr | None, library: str = "numpy") -> Held | None:
        """Return what is known of an array, if it is one of a library."""
        fact = self.fact(node)
        return fact if isinstance(fact, Held) and fact.library == library else None

    def row(self, chosen: Callable[[Conversion], bool]) -> Conversion | None:
        """Return the largest row that is chosen."""
        found = [one for one in self.rows if chosen(one)]
        return max(found, key=lambda one: one.totals.bytes_written, default=None)

    def with_part(self, part: ast.expr, new: str) -> str:
        """Return the expression as the user wrote it, with something else for a part of it."""
        return self.script.text.swapped(self.node, part, new)

    def written(self, node: ast.AST) -> str:
        """Return a part of the expression as the user wrote it."""
        return self.script.text.segment(node)


def evaluations(rows: Iterable[Conversion]) -> int:
    """Return how often an expression was evaluated, as far as its conversions tell.

    A list that is walked has its elements unboxed one by one: these are no evaluations.
    """
    rows = tuple(rows)
    walked = [one for one in rows if "parse" in one.route.effects]
    return max((one.totals.count for one in walked or rows), default=0)


@dataclass(frozen=True)
class Proposal:
    """Another way to write an expression, not yet tried."""

    rule: str
    node: ast.expr
    """What is replaced."""
    new: str
    """What to write instead."""
    title: str
    count: int
    """How many times it was evaluated."""
    caveats: tuple[str, ...] = ()
    shares: ast.expr | None = None
    """The array of the user's whose memory the result would share; None for none."""
    rounding: float = 0.0
    """By how much the results may differ, relative to their size."""
    fresh: Mapping[str, Likeness] = field(default_factory=dict)
    """Stands for parts that can't be run again, by how they are written."""
    warns: bool = False
    """Whether it is a warning, seen in the user's own values, and nothing is to be saved."""
    keeps: str = ""
    """Of a warning: what has the values that the old form loses and the new one keeps."""
    draws_anew: bool = False
    """Whether the new form draws other random numbers, so that results can't be equal."""
    told: str = ""
    """What to show for the new text, where that stands on another line."""
    old: str = ""
    """What to try against the new text, where that is more than the node."""
    also_saved_bytes: int = 0
    """Written by the old form outside of any conversion, as by the call that made the array; less
    what the new one writes so."""
    hoisted_from: ast.AST | None = None
    """The loop that the expression is to be moved out of."""


Find = Callable[[Case], Iterable[Proposal]]
