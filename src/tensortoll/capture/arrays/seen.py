"""An array in numbers, and what can be told of two of them without the arrays themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from tensortoll.capture.arrays.addresses import overlap, read_bytes
from tensortoll.model import Effect, Kind, Span

MIXED: Final = "mixed"
"""Stands for the dtype of columns that have several."""


class UnknownLayoutError(Exception):
    """Data lie in memory in a way that we can't read, so nothing is said of them."""


class Seen(NamedTuple):
    """An array in numbers."""

    kind: Kind
    span: Span | None
    """None where the elements lie in several pieces, and for Python objects, which lie anywhere."""
    nbytes: int
    shape: tuple[int, ...]
    strides: tuple[float, ...]
    """In elements, so that a cast alone does not change them. Whole but in fields of records.
    Empty where they are not known, as for columns that lie apart."""
    swapped: bool
    """Whether the bytes of an element stand in a foreign order."""
    identity: int
    pieces: tuple[Span, ...] = ()
    """Where the elements lie, if not in one span."""
    dtypes: frozenset[str] = frozenset()
    """Of the columns, where they have several; `kind` says `MIXED` then."""
    order: str = ""
    """In what order the elements lie, where strides can't tell: `csr`."""
    handed: int = 0
    """Bytes that the library writes to hand its elements out, where they can't be read in place."""
    columns: frozenset[tuple[str, int]] = frozenset()
    """How many columns of a table have which dtype, where that is known."""

    @property
    def memory(self) -> tuple[Span, ...]:
        """Where the elements lie; empty for Python objects."""
        return self.pieces if self.span is None else (self.span,)

    @property
    def all_dtypes(self) -> frozenset[str]:
        """The dtype, or those of the columns."""
        return self.dtypes or frozenset((self.kind.dtype,))

    def holds(self, piece: Span) -> bool:
        """Say whether some of the elements lie in ``piece``."""
        return any(overlap(piece, own) for own in self.memory)


def python_objects(shape: tuple[int, ...], identity: int) -> Seen:
    """Return Python objects, of which no more is known without a walk."""
    return Seen(Kind("python", "object"), None, 0, shape, (), swapped=False, identity=identity)


class Part(NamedTuple):
    """A column, or a chunk of one, or several that lie together."""

    dtype: str
    pieces: tuple[Span, ...]
    nbytes: int


def joined(library: str, parts: Sequence[Part], shape: tuple[int, ...], identity: int) -> Seen:
    """Return data that lie in several pieces as one.

    Args:
        library: Whose they are.
        parts: Of them.
        shape: Rows, and columns where it is a table.
        identity: The object's `id`.
    """
    pieces = tuple(piece for part in parts for piece in part.pieces)
    dtypes = frozenset(part.dtype for part in parts)
    kind = Kind(library, common_dtype(dtypes))
    nbytes = sum(part.nbytes for part in parts)
    several = dtypes if len(dtypes) > 1 else frozenset[str]()
    if len(pieces) == 1:
        strides = (1,) if len(shape) == 1 else ()
        return Seen(kind, pieces[0], nbytes, shape, strides, swapped=False, identity=identity)
    return Seen(kind, None, nbytes, shape, (), False, identity, pieces, several)


def common_dtype(dtypes: frozenset[str]) -> str:
    """Return the dtype that all parts have, or `MIXED`; `object` where there are no parts."""
    return MIXED if len(dtypes) > 1 else next(iter(dtypes), "object")


def fresh_bytes(seen: Seen, out: Seen) -> int:
    """Return how many bytes of ``out`` lie outside the memory of ``seen``."""
    if seen.span is not None and out.span is not None:  # nearly always, and ten times as fast
        return 0 if overlap(seen.span, out.span) else out.nbytes
    fresh = [piece for piece in out.memory if not seen.holds(piece)]
    if len(fresh) == len(out.memory):
        return out.nbytes
    return sum(piece.stop - piece.start for piece in fresh)


def is_on_host(device: str) -> bool:
    """Say whether a device's memory is the host's: also that of a second logical CPU."""
    return device.partition(":")[0] == "cpu"


@cache
def transfer(source: str, target: str) -> Effect | None:
    """Return what moving from one device to another is, both named as in a recording.

    None on the same device, and to `meta`, where there is no memory.
    """
    if source == target or "meta" in (source, target):
        return None
    if is_on_host(source) == is_on_host(target):
        return "d2d"
    return "h2d" if is_on_host(source) else "d2h"


def changes(seen: Seen, out: Seen) -> tuple[Effect, ...]:
    """Return what differs between two arrays of the same elements, beside their memory."""
    effects: list[Effect] = []
    # A record takes in elements of all dtypes as they are.
    names_apart = seen.all_dtypes != out.all_dtypes and out.kind.dtype != "void"
    if names_apart or (counts_columns(seen, out) and seen.columns != out.columns):
        effects.append("cast")
    if seen.swapped != out.swapped or _laid_out_anew(seen, out):
        effects.append("layout")
    return tuple(effects)


def counts_columns(seen: Seen, out: Seen) -> bool:
    """Say whether two tables of one library have as many columns, and their dtypes are known."""
    return (
        bool(seen.columns and out.columns)
        and seen.shape == out.shape
        and seen.kind.library == out.kind.library
    )


def _laid_out_anew(seen: Seen, out: Seen) -> bool:
    """Say whether elements that follow one another did not do so before, as far as is known."""
    if seen.order and out.order:
        return seen.order != out.order
    if not _is_strided(seen) or not _is_strided(out):
        return False
    if seen.shape == out.shape:
        both = zip(seen.shape, seen.strides, out.strides, strict=True)
        return any(n > 1 and before != after for n, before, after in both)
    # Reshaped: a C-contiguous array keeps the order of its elements, any other loses it.
    return not is_c_contiguous(seen)


def is_one_run(seen: Seen) -> bool:
    """Say whether the elements have one order only, whichever axis goes first."""
    return is_c_contiguous(seen) and sum(n > 1 for n in seen.shape) <= 1


def _is_strided(seen: Seen) -> bool:
    return len(seen.strides) == len(seen.shape)


def is_c_contiguous(seen: Seen) -> bool:
    """Say whether the elements lie in C order without gaps."""
    if not _is_strided(seen):
        return False
    expected = 1
    for n, step in zip(reversed(seen.shape), reversed(seen.strides), strict=True):
        if n > 1 and step != expected:
            return False
        expected *= n
    return True


def bytes_read(seen: Seen) -> int:
    """Return how many bytes a pass over the elements reads."""
    if seen.span is None:
        return seen.nbytes if seen.pieces else 0
    return read_bytes(seen.span, (seen.nbytes,), 1)
