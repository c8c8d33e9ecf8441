"""Stores into arrays: `array[index] = value`, `np.copyto(array, value)`."""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen, bytes_read, changes
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.runtime.judging import Added, Lent, add, with_transfer
from tensortoll.capture.runtime.selections import selected
from tensortoll.model import Kind

UNKNOWN: Final = Seen(Kind("", ""), None, 0, (), (), swapped=False, identity=0)
"""Stands for what tells what it is once it is asked for its elements."""


def judge_store(
    site: Site, source: Seen, lent: Lent, base: Seen, index: Any, elapsed_ns: int, rule: str
) -> Added | None:
    """Add up `array[index] = source`; return None where nothing was converted, or is told alone.

    Args:
        site: Where.
        source: What was to be stored, as far as it was known before.
        lent: What other libraries handed NumPy while it stored: also of an index.
        base: The array.
        index: Of it, or how much it selects.
        elapsed_ns: How long it took.
        rule: Whether the source was just computed.
    """
    target = selected(base, index)
    for sums, seen in lent:
        if seen.identity == source.identity:
            _settle(site, sums, seen, target, elapsed_ns)
            return None
    if target is None or not target.shape or source.kind is UNKNOWN.kind:
        return None
    if rule == "store result" and source.kind == target.kind:
        return None  # a result of arithmetic, put where it belongs: nothing was converted
    return count_store(site, source, target, elapsed_ns)


def lends(value: object) -> Seen | None:
    """Return what stands for an object that NumPy asks for its elements once it stores them.

    It tells what they are when it lends them, as a tensor does. None for plain values.
    """
    kind = type(value)
    if kind.__module__ in {"builtins", "numpy"} or not hasattr(kind, "__array__"):
        return None
    return UNKNOWN._replace(identity=id(value))


def judge_into(site: Site, inputs: list[Seen], elapsed_ns: int) -> None:
    """Add up `np.copyto(target, source)`."""
    if len(inputs) > 1 and inputs[0].span is not None:
        target, source = inputs[:2]
        count_store(site, source, target, elapsed_ns)


def judge_lent_into(site: Site, lent: Lent, inputs: list[Seen]) -> None:
    """Take back the view of another library's array that `np.copyto(target, source)` read."""
    if len(inputs) == 1:  # the target: the source is not one of NumPy's
        _settle(site, *lent[-1], inputs[0], 0)


def _settle(site: Site, sums: Sums, seen: Seen, target: Seen | None, elapsed_ns: int) -> None:
    """Add up what was handed to NumPy and stored: NumPy read it where it lay, or a copy of it."""
    if sums.outcome == "view":
        sums.count -= 1
        if target is not None and target.shape:
            count_store(site, seen, target, elapsed_ns)
    elif target is not None:
        sums.copies += 1
        sums.read += seen.handed
        sums.written += target.nbytes
        sums.elapsed_ns += elapsed_ns


def count_store(site: Site, source: Seen, target: Seen, elapsed_ns: int) -> Added | None:
    """Add up elements that were written into an array that stands."""
    if source.span is None:
        if not (target.shape and source.shape):
            return None
        return add(site, source, target, "copy", ("parse",), 0, target.nbytes, elapsed_ns)
    if source.nbytes == 0 or not source.shape:
        return None
    effects = changes(source, target) if source.shape == target.shape else ()
    if source.kind.dtype != target.kind.dtype and "cast" not in effects:
        effects = ("cast", *effects)
    effects = with_transfer(source, target, effects)
    read = bytes_read(source)
    return add(site, source, target, "copy", effects, read, target.nbytes, elapsed_ns)
