"""Runs both forms of an expression on arrays made for the purpose, and says which one wins."""

from __future__ import annotations

import ast
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tensortoll.advice.bench import NAME, Bench, CannotTryError
from tensortoll.advice.budget import Clock
from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.results import alike, keeps
from tensortoll.advice.standins import Likeness
from tensortoll.capture.patching import silenced

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


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial found, for one evaluation."""

    saved_ns: int
    saved_bytes: int
    wins: bool
    rounding: float = 0.0
    """The largest relative difference between the results."""
    proven: bool = True
    """Whether both forms were run, and gave what was to be shown."""


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
    facts: Mapping[str, Likeness] = {**case.facts, **proposal.fresh}
    bench = Bench(case, facts)
    old = bench.prepared(_parsed(proposal.old) if proposal.old else proposal.node)
    hoisted = proposal.hoisted_from is not None
    new = old if hoisted else bench.prepared(_parsed(proposal.new))
    bench.fill()
    with silenced():
        old_bytes, new_bytes = bench.watched(_old=old, _new=new)
        old_bytes += proposal.also_saved_bytes
        one, other = (bench.namespace.pop(name) for name in ("_old", "_new"))
        difference = alike(one, other, proposal.rounding, values=not proposal.draws_anew)
        del one, other
        if difference is None:
            return Result(0, 0, wins=False)
        if hoisted:
            # The other form is not to run it at all, but for once.
            times = _timed(bench, (old,), clock, deadline)[0]
            return Result(int(statistics.median(times)), old_bytes, wins=True)
        before, after = _timed(bench, (old, new), clock, deadline)
    less = new_bytes < BYTES_RATIO * old_bytes and min(after) < SLOWER * min(before)
    saved = int(statistics.median(before) - statistics.median(after))
    wins = less or _is_quicker(after, before)
    return Result(saved, old_bytes - new_bytes, wins, difference, not proposal.draws_anew)


def warned(case: Case, proposal: Proposal) -> Result:
    """Say whether a warning could be shown on stand-ins with values of the range that was seen.

    What was seen in the user's own values is told anyway. It is proven where both forms were run,
    the old one lost values, and the new one kept them.
    """
    told = Result(0, 0, wins=True, proven=False)
    if not proposal.keeps:
        return told
    bench = Bench(case, {**case.facts, **proposal.fresh}, ranged=True)
    texts = {"_new": proposal.new, "_meant": proposal.keeps}
    try:
        nodes = {name: bench.prepared(_parsed(text)) for name, text in texts.items()}
        nodes["_old"] = bench.prepared(proposal.node)
        bench.fill()
        with silenced():
            bench.watched(**nodes)
    except CannotTryError:
        return told
    old, new, meant = (bench.namespace.pop(name) for name in ("_old", "_new", "_meant"))
    return Result(0, 0, wins=True, proven=keeps(new, meant) and not keeps(old, meant))


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _is_quicker(one: list[float], other: list[float]) -> bool:
    return min(one) < TIME_RATIO * min(other) and (
        statistics.median(one) < TIME_MIDDLE * statistics.median(other)
    )


def _timed(
    bench: Bench, nodes: tuple[ast.expr, ...], clock: Clock, deadline: float
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
                result = eval(code, bench.namespace)
            bench.wait(result)
            found.append((time.perf_counter_ns() - started) / count)
            del result
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
