"""Runs both forms of an expression on arrays made for the purpose, and says which one wins."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tensortoll.advice.bench import Bench, CannotTryError
from tensortoll.advice.budget import Clock
from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.results import alike, keeps
from tensortoll.advice.standins import Likeness
from tensortoll.advice.timing import timed
from tensortoll.capture.patching import silenced

TIME_RATIO: Final = 0.85
"""A form wins by time if it takes so much of the other's, by its least and by its middle time.
Two runs of the same form differed by up to a tenth of their least time on a busy machine."""
TIME_MIDDLE: Final = 0.92
BY_LUCK: Final = 3
"""Turns whose mean is taken: TensorFlow copies an array once more where its first copy
does not begin on a border of 64 bytes, and that is for the allocator to decide."""
QUICK_BYTES: Final = 16_000_000
"""Beyond, one turn has to do: it takes a tenth of the time for trying."""
BYTES_RATIO: Final = 0.9
SLOWER: Final = 1.25
"""A form that writes less may take so much longer and still win; it loses where both its least and
its middle time are beyond that."""


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
        by_luck = any(one.route.target.library == "tensorflow" for one in case.rows)
        turns = BY_LUCK if by_luck and bench.nbytes < QUICK_BYTES else 1
        old_bytes, new_bytes = bench.watched(turns, _old=old, _new=new)
        old_bytes += proposal.also_saved_bytes
        one, other = (bench.namespace.pop(name) for name in ("_old", "_new"))
        difference = alike(one, other, proposal.rounding, values=not proposal.draws_anew)
        del one, other
        if difference is None:
            return Result(0, 0, wins=False)
        if hoisted:
            # The other form is not to run it at all, but for once.
            (times,) = timed(bench, (old,), clock, deadline, repeated=True)
            return Result(_middle(times), old_bytes, wins=True)
        before, after = timed(bench, (old, new), clock, deadline, repeated=proposal.count > 1)
    less = new_bytes < BYTES_RATIO * old_bytes and not _is_slower(after, before)
    saved = _middle(before) - _middle(after)
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
            bench.watched(1, **nodes)
    except CannotTryError:
        return told
    old, new, meant = (bench.namespace.pop(name) for name in ("_old", "_new", "_meant"))
    return Result(0, 0, wins=True, proven=keeps(new, meant) and not keeps(old, meant))


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _middle(times: list[float]) -> int:
    """Return the time in the middle; of two the lower one, as hiccups only add."""
    return int(statistics.median_low(times))


def _is_quicker(one: list[float], other: list[float]) -> bool:
    return min(one) < TIME_RATIO * min(other) and (
        statistics.median(one) < TIME_MIDDLE * statistics.median(other)
    )


def _is_slower(one: list[float], other: list[float]) -> bool:
    return min(one) >= SLOWER * min(other) and (
        statistics.median(one) >= SLOWER * statistics.median(other)
    )
