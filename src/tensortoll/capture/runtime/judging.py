"""What a call made of the arrays that went into it, added up at its site."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, NamedTuple

from tensortoll.capture.arrays.seen import (
    Seen,
    bytes_read,
    changes,
    counts_columns,
    fresh_bytes,
    is_on_host,
    is_one_run,
    transfer,
)
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.model import Effect, Kind, Outcome, Proof

HOST: Final = "cpu"
OBJECTS: Final = (list, tuple, float, int, bool, complex, str, bytes)
"""What an array taken apart becomes, by type alone."""

Lent = list[tuple[Sums, Seen]]


class Added(NamedTuple):
    """What one conversion was added to, and what of it."""

    sums: Sums
    read: int
    written: int
    copies: int


def judge(
    site: Site, seen: Seen, out: Seen | None, result: object, elapsed_ns: int, rule: str
) -> Added | None:
    """Add up what a call that can convert made of its first array; None where it did not."""
    if id(result) == seen.identity or (
        seen.kind.library == "python"
        and seen.memory
        and (out is None or out.kind.library == "python")
    ):
        return None  # what it was, or of Python's own before and after
    if not seen.memory or rule == "walk":
        return _judge_parsed(site, seen, out, elapsed_ns)
    if out is None or not out.memory:
        return _judge_unboxed(site, seen, result, elapsed_ns)
    if not out.nbytes or (not out.shape and seen.kind.library == "python"):
        return None
    return _judge_made(site, seen, out, result, elapsed_ns, rule)


def _judge_parsed(site: Site, seen: Seen, out: Seen | None, elapsed_ns: int) -> Added | None:
    """Add up an array that was made of Python objects."""
    if out is None or not (out.memory and out.shape and out.nbytes):
        return None
    effects = with_transfer(seen, out, ("parse",))
    return add(site, seen, out, "copy", effects, 0, out.nbytes, elapsed_ns)


def _judge_made(
    site: Site, seen: Seen, out: Seen, result: object, elapsed_ns: int, rule: str
) -> Added | None:
    """Add up an array that was made of one: a copy as far as it lies elsewhere, or a view."""
    apart = is_on_host(seen.kind.device) != is_on_host(out.kind.device)
    fresh = out.nbytes if apart else fresh_bytes(seen, out)
    if not fresh:
        within = seen.kind.library == out.kind.library
        return None if within else add(site, seen, out, "view", (), 0, 0, 0)
    # What is shared was not read: of a table, often only some columns are copied.
    read = max(bytes_read(seen) - (out.nbytes - fresh), 0)
    effects = _effects(seen, out, rule, other_size=read not in {0, fresh})
    copies = 1
    if seen.handed and getattr(result, "base", result) is None:
        # What was handed out was copied once more, into memory of the array's own.
        copies, read, fresh = 2, read + seen.handed, fresh + seen.handed
    return add(site, seen, out, "copy", effects, read, fresh, elapsed_ns, copies=copies)


def _changes_size(seen: Seen, out: Seen) -> bool:
    """Say whether the bytes of columns can only change in number where a dtype does."""
    numbers = ("int", "uint", "float", "bool", "complex")
    return (
        seen.kind.library == out.kind.library
        and not counts_columns(seen, out)  # which tells it, also of columns that lie sparsely
        and bool(seen.dtypes and out.dtypes)
        and all(one.startswith(numbers) for one in seen.dtypes | out.dtypes)
    )


def consists_of_objects(result: object) -> bool:
    """Say whether a result consists of Python objects; a dict of columns does not."""
    if type(result) is dict:
        first = next(iter(result.values()), None)
        return type(first) in (list, dict, tuple, str, float, int, bool)
    return type(result) in OBJECTS


def _judge_unboxed(site: Site, seen: Seen, result: object, elapsed_ns: int) -> Added | None:
    """Add up Python objects that were made of an array: all its elements, or a single one."""
    if not seen.nbytes or not consists_of_objects(result):
        return None
    target = seen._replace(kind=Kind("python", seen.kind.dtype), span=None, pieces=())
    whole = type(result) in (list, tuple, dict)
    read = bytes_read(seen) if whole else seen.nbytes // max(math.prod(seen.shape), 1)
    target = target._replace(kind=target.kind._replace(device=HOST))
    effects = with_transfer(seen, target, ("unbox",))
    return add(site, seen, target, "copy", effects, read, 0, elapsed_ns)


def _effects(seen: Seen, out: Seen, rule: str, *, other_size: bool) -> tuple[Effect, ...]:
    effects = with_transfer(seen, out, changes(seen, out))
    if other_size and "cast" not in effects and _changes_size(seen, out):
        # Of columns with several dtypes, some were copied: in another size, so in another dtype.
        effects += ("cast",)
    if "layout" not in effects and (rule == "swap" or (rule == "reorder" and not is_one_run(seen))):
        # Reshaping shares where the order of the elements stays: a copy shows that it did not.
        effects += ("layout",)
    if out.kind.library == "python":  # bytes, which have no dtype: the same elements as before
        effects = tuple(one for one in effects if one != "cast")
    return tuple(sorted(effects))


def with_transfer(seen: Seen, out: Seen, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Return effects, and the one that moving from device to device is, where they differ."""
    moved = transfer(seen.kind.device, out.kind.device)
    return tuple(sorted(effects if moved is None else (*effects, moved)))


def judge_lent(site: Site, lent: Lent, first: Seen | None, out: Seen | None) -> None:
    """Take back the views of other libraries' arrays that NumPy only read to make a copy.

    Args:
        site: Where.
        lent: The views that were given in the call, and of what.
        first: The first array that went into the call, where that is known otherwise.
        out: What came out.
    """
    if out is None or not out.memory or any(_in_common(one, out) for _, one in lent):
        return
    if first is not None and not first.memory:  # a list of them, which is counted as a whole
        for sums, _ in lent:
            sums.count -= 1
    elif first is None and len(lent) == 1 and lent[0][1].nbytes and out.shape:
        sums, seen = lent[0]
        sums.count -= 1
        add(site, seen, out, "copy", changes(seen, out), bytes_read(seen), out.nbytes, 0)


def _in_common(one: Seen, other: Seen) -> bool:
    return bool(one.memory) and fresh_bytes(one, other) < other.nbytes


def add(
    site: Site,
    seen: Seen,
    out: Seen,
    outcome: Outcome,
    effects: tuple[Effect, ...],
    read: int,
    written: int,
    elapsed_ns: int,
    *,
    copies: int = 1,
) -> Added:
    """Add one conversion to its group.

    Args:
        site: Where.
        seen: What was converted.
        out: What it became.
        outcome: As memory proves it.
        effects: Beside the copying.
        read: Bytes.
        written: Bytes.
        elapsed_ns: How long it took.
        copies: How often the data was written, where it was at all.
    """
    key: Hashable = (seen.kind, out.kind, outcome, effects)
    sums = site.groups.get(key)
    if sums is None:
        proof = None
        if seen.span is not None and out.span is not None:
            proof = Proof(seen.span, out.span)
        new = Sums(
            outcome, seen.kind, out.kind, effects, shape=seen.shape or out.shape, proof=proof
        )
        sums = site.add(key, new)
    sums.count += 1
    sums.read += read
    sums.written += written
    sums.elapsed_ns += elapsed_ns
    copies = copies if outcome == "copy" else 0
    sums.copies += copies
    return Added(sums, read, written, copies)


def count_read(site: Site, seen: Seen | None) -> None:
    """Add up another library's array that NumPy reads where it lies."""
    if seen is not None and seen.nbytes:
        lent = seen._replace(kind=seen.kind._replace(library="numpy"))
        add(site, seen, lent, "view", (), 0, 0, 0)
