"""Runs both forms of an expression on arrays made for the purpose, and says which one wins.

Nothing of the user's is touched: what their expression names is replaced by stand-ins, and only
calls are run that are known to convert, to look or to lay out, and to do nothing else.
"""

from __future__ import annotations

import ast
import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tensortoll.advice import standins
from tensortoll.advice.budget import Clock
from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.results import alike
from tensortoll.advice.standins import CannotMakeError
from tensortoll.capture.arrays.facts import Fact
from tensortoll.capture.patching import silenced
from tensortoll.capture.running import run

NAME: Final = "<trial>"
_RESULTS: Final = ("_old", "_new")
MOST_BYTES: Final = 512 * 1024 * 1024
"""Memory for the stand-ins of one trial."""
SHARE_OF_MEMORY: Final = 4
"""A trial takes no more than one part in so many of the memory that is free."""
LEAST_ROUNDS, ROUNDS, MOST_ROUNDS = 2, 5, 15
"""A trial ends after `ROUNDS` where all runs of one form are quicker than all of the other, and
after the least number where they are so by a factor of `DECISIVE`."""
DECISIVE: Final = 2
AT_ONCE, LONG_NS = 4, 20_000_000
"""A factor that one round tells, where that took so long that no hiccup can be the reason."""
QUICK_NS: Final = 100_000
"""A form that is quicker is run several times in a row, so that the clock does not count."""
TIME_RATIO: Final = 0.85
"""A form wins by time if it takes so much of the other's, by its least and by its middle time.
Two runs of the same form differed by up to a tenth of their least time on a busy machine."""
TIME_MIDDLE: Final = 0.92
BYTES_RATIO: Final = 0.9
SLOWER: Final = 1.25
"""A form that writes less may take so much longer and still win."""

PURE: Final = frozenset(
    (
        "tensor as_tensor asarray asanyarray array from_numpy frombuffer ascontiguousarray "
        "asfortranarray stack constant convert_to_tensor cast identity to type float double half "
        "bfloat16 int long short bool byte char clone contiguous copy astype reshape ravel "
        "flatten transpose permute t view squeeze unsqueeze expand_dims swapaxes moveaxis numpy "
        "detach cpu cuda tolist item from_dlpack device_put vstack concatenate cat Identity "
        "DoubleTensor FloatTensor LongTensor IntTensor HalfTensor Tensor require read_value "
        "to_numpy flip flipud fliplr float32 float64 int64 int32 float16 pin_memory "
        "convert_to_numpy zeros ones full linspace eye identity list"
    ).split()
)
"""Names of calls that may be run again."""


class CannotTryError(Exception):
    """Says why two forms can't be compared."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial found, for one evaluation."""

    saved_ns: int
    saved_bytes: int
    wins: bool
    rounding: float
    """The largest relative difference between the results."""


def tried(case: Case, proposal: Proposal, clock: Clock, deadline: float) -> Result:
    """Compare the two forms.

    Args:
        case: The expression as it was run.
        proposal: What to write instead.
        clock: Counts the time.
        deadline: Of that clock.

    Raises:
        CannotTryError: If they can't be run again, or not in time, or not in memory.
    """
    facts: dict[str, Fact] = {**case.facts, **proposal.fresh}
    bench = _Bench(case, facts)
    node = ast.parse(proposal.old, mode="eval").body if proposal.old else proposal.node
    old = bench.prepared(node)
    hoisted = proposal.hoisted_from is not None
    new = old if hoisted else bench.prepared(ast.parse(proposal.new, mode="eval").body)
    bench.fill()
    with silenced():
        old_bytes, new_bytes = bench.watched(old, new)
        old_bytes += proposal.also_saved_bytes
        one, other = (bench.namespace.pop(name) for name in _RESULTS)
        difference = alike(one, other, proposal.rounding)
        del one, other
        if difference is None:
            return Result(0, 0, wins=False, rounding=0.0)
        if hoisted:
            # The other form is not to run it at all, but for once.
            times = bench.timed((old,), clock, deadline)[0]
            return Result(int(statistics.median(times)), old_bytes, wins=True, rounding=0.0)
        before, after = bench.timed((old, new), clock, deadline)
    less = new_bytes < BYTES_RATIO * old_bytes and min(after) < SLOWER * min(before)
    saved = int(statistics.median(before) - statistics.median(after))
    wins = less or _is_quicker(after, before)
    return Result(saved, old_bytes - new_bytes, wins=wins, rounding=difference)


def _is_quicker(one: list[float], other: list[float]) -> bool:
    return min(one) < TIME_RATIO * min(other) and (
        statistics.median(one) < TIME_MIDDLE * statistics.median(other)
    )


class _Bench:
    """The stand-ins, and what runs on them."""

    def __init__(self, case: Case, facts: Mapping[str, Fact]) -> None:
        self._case = case
        self._facts = facts
        self._wanted: dict[str, Fact] = {}
        self.namespace: dict[str, Any] = {}

    def prepared(self, node: ast.expr) -> ast.expr:
        """Return an expression with stand-ins for what it names.

        Raises:
            CannotTryError: If it may do something else than convert.
        """
        again = ast.parse(ast.unparse(node), mode="eval").body
        changed: ast.expr = _Replacing(self).visit(again)
        return ast.fix_missing_locations(changed)

    def stand_in(self, written: str) -> ast.expr | None:
        """Return the name of the stand-in for what is written so; None where none is known."""
        fact = self._facts.get(written)
        if fact is None:
            return None
        name = f"_{list(self._facts).index(written)}"
        self._wanted[name] = fact
        return ast.Name(name, ast.Load())

    def library(self, node: ast.Name) -> bool:
        """Make a library's name known under which the source has it; say whether it is one."""
        known = self._case.script.names.resolve(node)
        if known is None:
            return False
        module, _, rest = known.partition(".")
        found: Any = sys.modules.get(module)
        for part in filter(None, rest.split(".")):
            found = getattr(found, part, None)
        if found is None or module not in {"numpy", "torch", "tensorflow", "jax", "keras", "copy"}:
            return False
        self.namespace[node.id] = found
        return True

    def fill(self) -> None:
        """Make the stand-ins.

        Raises:
            CannotTryError: If they would take too much memory, or can't be made.
        """
        needed = sum(map(standins.needed_bytes, self._wanted.values()))
        if needed > min(MOST_BYTES, _free_bytes() // SHARE_OF_MEMORY):
            msg = f"its arrays of {needed // 1_000_000:,} MB are too large to make again"
            raise CannotTryError(msg)
        try:
            for name, fact in self._wanted.items():
                self.namespace[name] = standins.made(fact)
        except CannotMakeError as error:
            raise CannotTryError(str(error)) from error

    def watched(self, *nodes: ast.expr) -> list[int]:
        """Run expressions once each, keep their results, and return the bytes that each wrote.

        Raises:
            CannotTryError: If one fails.
        """
        lines = [
            f"{name} = {ast.unparse(node)}" for name, node in zip(_RESULTS, nodes, strict=True)
        ]
        try:
            outcome = run("\n".join(lines), NAME, self.namespace)
        except SyntaxError as error:  # an expression over several lines
            raise CannotTryError(str(error)) from error
        if outcome.error is not None:
            msg = f"it raised {type(outcome.error).__name__}: {outcome.error}"
            raise CannotTryError(msg) from outcome.error
        of_line = outcome.recording.of_line
        return [
            sum(one.totals.bytes_written for one in of_line(number + 1))
            for number in range(len(nodes))
        ]

    def timed(
        self, nodes: tuple[ast.expr, ...], clock: Clock, deadline: float
    ) -> tuple[list[float], ...]:
        """Return the times of expressions in nanoseconds, each one run in turn.

        Raises:
            CannotTryError: If time runs out before they can be told apart.
        """
        codes = [compile(ast.Expression(one), NAME, "eval") for one in nodes]
        loops = [1] * len(codes)
        times: tuple[list[float], ...] = tuple([] for _ in codes)
        for number in range(MOST_ROUNDS):
            for code, count, found in zip(codes, loops, times, strict=True):
                started = time.perf_counter_ns()
                for _ in range(count):
                    eval(code, self.namespace)
                found.append((time.perf_counter_ns() - started) / count)
            if not number:
                loops = [max(1, min(int(QUICK_NS / max(found[0], 1)), 200)) for found in times]
            late = clock.now() > deadline
            if _is_decided(times, number + 1) or (late and _is_told_late(times, number + 1)):
                break
            if late:
                msg = "the time for trying ran out"
                raise CannotTryError(msg)
        return times


def _is_told_late(times: tuple[list[float], ...], rounds: int) -> bool:
    """Say whether what was seen will do when there is no time for more."""
    one, other = sorted((min(times[0]), min(times[-1])))
    at_once = AT_ONCE * one < other and other > LONG_NS
    return rounds > LEAST_ROUNDS or at_once


def _is_decided(times: tuple[list[float], ...], rounds: int) -> bool:
    """Say whether another round would tell nothing new."""
    if rounds < LEAST_ROUNDS or rounds == MOST_ROUNDS:
        return rounds == MOST_ROUNDS
    one, other = sorted((times[0], times[-1]), key=min)
    if len(times) == 1 or DECISIVE * max(one) < min(other):
        return True
    return rounds >= ROUNDS and max(one) < min(other)


class _Replacing(ast.NodeTransformer):
    """Puts stand-ins in place of what an expression names."""

    def __init__(self, bench: _Bench) -> None:
        self._bench = bench

    def visit(self, node: ast.AST) -> Any:
        """Replace the largest part that there is a stand-in for."""
        if isinstance(node, ast.expr):
            found = self._bench.stand_in(ast.unparse(node))
            if found is not None:
                return found
            if isinstance(node, ast.Call) and _name(node) not in PURE:
                msg = f"`{_name(node)}(…)` may do more than convert"
                raise CannotTryError(msg)
            if isinstance(node, ast.NamedExpr | ast.Await | ast.Lambda | ast.ListComp):
                msg = f"`{ast.unparse(node)}` can't be run again"
                raise CannotTryError(msg)
        if isinstance(node, ast.Name) and not self._bench.library(node):
            msg = f"nothing is known of `{node.id}`"
            raise CannotTryError(msg)
        return super().visit(node)


def _name(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def _free_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return MOST_BYTES * SHARE_OF_MEMORY
