"""Arrays on their way into JAX: who was handed what, and what became of it.

An array that a compiled function takes in is converted in C. An array that is given to operations
one by one, as under `grad` and `vmap`, passes through Python at each: there it is counted as often
as it is taken in. Both are charged to the call that was handed the array.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from tensortoll.capture.arrays.addresses import array_address, overlap
from tensortoll.capture.arrays.seen import Seen, bytes_read
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.probes.jax.kinds import effects_between, in_c_order
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.runtime.judging import add
from tensortoll.model import Kind, Span

DEEPEST: Final = 200
"""Calls noted at once in a thread. More are left over only from calls that raised."""


class Passes:
    """How often the data of one array was written on its way, and how much that was."""

    __slots__ = ("copies", "read", "taken", "temporaries", "written")

    def __init__(self) -> None:
        """Start with nothing written."""
        self.copies = self.read = self.written = self.taken = 0
        self.temporaries: set[int] = set()

    def arrived(self, seen: Seen, array: Any, sharing: Sharing, made: int | None) -> None:
        """Take in that an operation was given the array.

        Args:
            seen: The array as it was handed over.
            array: What arrived: the same memory, or a temporary array that was cast from it.
            sharing: Tells whether that is copied once more.
            made: Bytes that the operation itself writes, where it is one that only copies.
        """
        self.taken += 1
        address = array_address()(array)
        same = seen.span is not None and seen.span.start <= address < seen.span.stop
        if not same and address not in self.temporaries:
            self.temporaries.add(address)
            self._wrote(array.nbytes, bytes_read(seen))
        read = bytes_read(seen) if same else 0
        lies_well = array.flags.c_contiguous
        if not sharing.shares(address, array.dtype, contiguous=lies_well):
            self._wrote(array.nbytes, read)
            read = 0
        if made is not None:
            self._wrote(made, read)

    def _wrote(self, written: int, read: int) -> None:
        self.copies += 1
        self.written += written
        self.read += read


class Leaf:
    """One array that a call was handed."""

    __slots__ = ("dtype", "passes", "seen")

    def __init__(self, seen: Seen, dtype: Any) -> None:
        """Start before anything took the array in."""
        self.seen = seen
        self.dtype = dtype
        self.passes = Passes()


class Note:
    """A call that is running, with the arrays it was handed."""

    __slots__ = ("certain", "frame", "leaves", "number")

    def __init__(self, frame: int, number: int, *, certain: bool) -> None:
        """Start without arrays.

        Args:
            frame: The address of the frame that calls; 0 where nobody will look for the note.
            number: The call's own among those of the frame.
            certain: Whether all that it is handed is taken in, seen or not.
        """
        self.frame = frame
        self.number = number
        self.certain = certain
        self.leaves: list[Leaf] = []


class Arrival(NamedTuple):
    """An ndarray that JAX took in while a maker ran."""

    array: Any
    how: Literal["copied", "taken", "put"]
    """By an operation that only copies it, by any other, or to be put on a device."""


class Now(threading.local):
    """What is going on in the thread that asks."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.notes: list[Note] = []
        self.arrivals: list[Arrival] | None = None
        """What arrived in the call of a maker that runs; None where none does."""

    def push(self, note: Note) -> None:
        """Note a call; what an earlier one of the same place left by raising is dropped."""
        for place, other in enumerate(self.notes):
            if note.frame and other.frame == note.frame and other.number == note.number:
                del self.notes[place:]
                break
        if len(self.notes) >= DEEPEST:
            self.notes.clear()
        self.notes.append(note)

    def find(self, frame: int, number: int) -> Note | None:
        """Return the note on a call."""
        for note in reversed(self.notes):
            if note.frame == frame and note.number == number:
                return note
        return None

    def pop(self, note: Note) -> None:
        """Drop a note, and all that calls inside of it have left by raising."""
        if note in self.notes:
            del self.notes[self.notes.index(note) :]

    def leaf_of(self, array: Any) -> Leaf | None:
        """Return the innermost array handed over that this one is, or was cast from."""
        start = array_address()(array)
        span = Span(start, start + max(array.nbytes, 1))
        for note in reversed(self.notes):
            same = [one for one in note.leaves if one.seen.span and overlap(one.seen.span, span)]
            found = same or [one for one in note.leaves if _is_cast(one, array)]
            if found:
                return min(found, key=lambda leaf: leaf.passes.taken)
        return None


def _is_cast(leaf: Leaf, array: Any) -> bool:
    """Say whether an array can be what JAX has cast from one that was handed over."""
    if leaf.seen.shape != array.shape or leaf.dtype == array.dtype:
        return False
    return bool(canonical(leaf.dtype, x64=x64()) == array.dtype)


def settle(site: Site, note: Note, device: str, sharing: Sharing) -> None:
    """Add up the arrays that a call was handed, once it has returned."""
    for leaf in note.leaves:
        seen, passes = leaf.seen, leaf.passes
        if not passes.taken and not note.certain:
            continue
        dtype = canonical(leaf.dtype, x64=x64())
        if not passes.taken:
            _reckon(leaf, dtype, sharing)
        items = seen.nbytes // leaf.dtype.itemsize
        out = Seen(
            Kind("jax", dtype.name, device),
            None,
            items * dtype.itemsize,
            seen.shape,
            in_c_order(seen.shape) if passes.copies else seen.strides,
            swapped=False,
            identity=0,
        )
        if passes.copies:
            effects = effects_between(seen, out)
            copies = passes.copies
            add(site, seen, out, "copy", effects, passes.read, passes.written, 0, copies=copies)
        else:
            add(site, seen, out, "view", (), 0, 0, 0)


def _reckon(leaf: Leaf, dtype: Any, sharing: Sharing) -> None:
    """Reckon what a compiled function did to take an array in."""
    seen, passes = leaf.seen, leaf.passes
    if dtype != leaf.dtype:
        # Into a temporary array, that may be copied once more or not, as its own memory lies:
        # only the cast is certain.
        passes.copies = 1
        passes.written = seen.nbytes // leaf.dtype.itemsize * dtype.itemsize
        passes.read = bytes_read(seen)
    elif not sharing.shares_seen(seen, dtype):
        passes.copies = 1
        passes.written = seen.nbytes
        passes.read = bytes_read(seen)


def x64() -> bool:
    """Say whether JAX keeps 64-bit numbers as they are."""
    import jax

    return bool(jax.config.jax_enable_x64)


@cache
def canonical(dtype: Any, *, x64: bool) -> Any:  # noqa: ARG001 - part of the key
    """Return the dtype that JAX makes of an ndarray's."""
    import jax

    return jax.dtypes.canonicalize_dtype(dtype)
