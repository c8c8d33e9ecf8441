"""An array in numbers, and what can be told of two of them without the arrays themselves."""

from __future__ import annotations

from typing import NamedTuple

from tensortoll.capture.addresses import read_bytes
from tensortoll.model import Effect, Kind, Span


class Seen(NamedTuple):
    """An array in numbers."""

    kind: Kind
    span: Span | None
    """None for Python objects, whose elements lie anywhere."""
    nbytes: int
    shape: tuple[int, ...]
    strides: tuple[float, ...]
    """In elements, so that a cast alone does not change them. Whole but in fields of records."""
    swapped: bool
    """Whether the bytes of an element stand in a foreign order."""
    identity: int


def is_python(value: object) -> bool:
    """Say whether a result consists of Python objects."""
    return type(value) in (list, tuple, float, int, bool, complex, str, bytes)


def changes(seen: Seen, out: Seen) -> tuple[Effect, ...]:
    """Return what differs between two arrays of the same elements, beside their memory."""
    effects: list[Effect] = []
    if seen.kind.dtype != out.kind.dtype:
        effects.append("cast")
    if seen.swapped != out.swapped or _laid_out_anew(seen, out):
        effects.append("layout")
    return tuple(effects)


def _laid_out_anew(seen: Seen, out: Seen) -> bool:
    """Say whether elements that follow one another did not do so before."""
    if seen.shape == out.shape:
        both = zip(seen.shape, seen.strides, out.strides, strict=True)
        return any(n > 1 and before != after for n, before, after in both)
    # Reshaped: a C-contiguous array keeps the order of its elements, any other loses it.
    return not is_c_contiguous(seen)


def is_one_run(seen: Seen) -> bool:
    """Say whether the elements have one order only, whichever axis goes first."""
    return is_c_contiguous(seen) and sum(n > 1 for n in seen.shape) <= 1


def is_c_contiguous(seen: Seen) -> bool:
    """Say whether the elements lie in C order without gaps."""
    expected = 1
    for n, step in zip(reversed(seen.shape), reversed(seen.strides), strict=True):
        if n > 1 and step != expected:
            return False
        expected *= n
    return True


def bytes_read(seen: Seen) -> int:
    """Return how many bytes a pass over the elements reads."""
    if seen.span is None:
        return 0
    return read_bytes(seen.span, (seen.nbytes,), 1)
