"""How long expressions take, each run in turn, in memory such as the user's line found it.

A line that runs once gets memory that nobody has touched yet, and a copy into it takes twice the
time of one into memory that was in use a moment ago. Run again and again, a trial would find the
memory that its last run gave back, and promise half of what there is to save.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tensortoll.advice.bench import NAME, Bench, CannotTryError
from tensortoll.advice.budget import Clock

LEAST_ROUNDS, ROUNDS, MOST_ROUNDS = 2, 5, 15
"""A trial ends after `ROUNDS` where all runs of one form are quicker than all of the other, and
after the least number where they are so by a factor of `DECISIVE` and `SETTLED_NS` were spent."""
DECISIVE: Final = 2
SETTLED_NS: Final = 100_000_000
"""A tenth of the time for all trials. Less than that is spent on five rounds in any case: who wins
may be plain after two, but how much is told as a median."""
AT_ONCE, LONG_NS = 4, 20_000_000
"""A factor that one round tells, where that took so long that no hiccup can be the reason."""
QUICK_NS: Final = 100_000
"""A form that is quicker is run several times in a row, so that the clock does not count."""

Times = tuple[list[float], ...]


def timed(
    bench: Bench, nodes: tuple[ast.expr, ...], clock: Clock, deadline: float, *, repeated: bool
) -> Times:
    """Return the times of expressions in nanoseconds, each one run in turn.

    Args:
        bench: What they run on.
        nodes: One expression, or two to compare.
        clock: Counts the time.
        deadline: Of that clock.
        repeated: Whether the user's line ran again and again: the result of one turn is then
            held until the next one has its own, and memory is taken as it was given back.

    Raises:
        CannotTryError: If time runs out before they can be told apart.
    """
    codes = [compile(ast.Expression(one), NAME, "eval") for one in nodes]
    loops = [1] * len(codes)
    times: Times = tuple([] for _ in codes)
    held: list[Any] = [None] * len(codes)
    spent = 0
    for rounds in range(1, MOST_ROUNDS + 1):
        for number, (code, count) in enumerate(zip(codes, loops, strict=True)):
            if not repeated:
                held[number] = None
                _give_memory_back()
            started = time.perf_counter_ns()
            for _ in range(count):
                held[number] = eval(code, bench.namespace)
            bench.wait(held[number])
            took = time.perf_counter_ns() - started
            times[number].append(took / count)
            spent += took
        if rounds == 1:
            loops = [max(1, min(int(QUICK_NS / max(found[0], 1)), 200)) for found in times]
        late = clock.now() > deadline
        settled = late or spent > SETTLED_NS
        if _is_decided(times, settled=settled) or (late and _is_told_late(times)):
            break
        if late:
            msg = "the time for trying ran out"
            raise CannotTryError(msg)
    return times


def _is_told_late(times: Times) -> bool:
    """Say whether what was seen will do when there is no time for more."""
    one, other = sorted((min(times[0]), min(times[-1])))
    at_once = AT_ONCE * one < other and other > LONG_NS
    return len(times[0]) > LEAST_ROUNDS or at_once


def _is_decided(times: Times, *, settled: bool) -> bool:
    """Say whether another round would tell nothing new."""
    rounds = len(times[0])
    if rounds < LEAST_ROUNDS or rounds == MOST_ROUNDS:
        return rounds == MOST_ROUNDS
    if rounds < ROUNDS and not settled:
        return False
    one, other = sorted((times[0], times[-1]), key=min)
    if len(times) == 1 or DECISIVE * max(one) < min(other):
        return True
    return rounds >= ROUNDS and max(one) < min(other)


def _give_memory_back() -> None:
    """Have the allocator return what is free to the system, where there is a way to ask for it."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], object] | None:
    if sys.platform != "linux":
        return None
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc
    return trim
