"""Dicts, lists and tuples of arrays, which tables are made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tensortoll.capture.arrays.seen import (
    Seen,
    bytes_read,
    changes,
    common_dtype,
    fresh_bytes,
    python_objects,
)
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.runtime.judging import Lent, add
from tensortoll.model import Effect, Kind

MOST: Final = 4096
"""Elements of a container that are looked at."""
_DEEPEST: Final = 3
"""Containers in one another: `{"name": (dimensions, array)}`, `((data, (row, column)), shape)`."""
_SAMPLE: Final = 16
"""Elements after which a list that held no array so far is taken to hold none."""

Describe = Callable[[Any], Seen | None]


@dataclass(slots=True)
class Gathered:
    """The arrays in a container."""

    arrays: list[Seen] = field(default_factory=list)
    others: int = 0
    """Elements that are no arrays, as far as they were looked at."""

    def add(self, value: Any, describe: Describe, depth: int = _DEEPEST) -> None:
        """Take in the arrays that a dict, list or tuple holds."""
        elements = value.values() if type(value) is dict else value
        in_vain = 0
        for element in itertools.islice(elements, MOST):
            before = len(self.arrays)
            if is_container(element):
                held = Gathered()
                if depth:
                    held.add(element, describe, depth - 1)
                self.arrays += held.arrays
                self.others += held.others if type(element) is dict else not held.arrays
            else:
                seen = describe(element)
                if seen is not None and seen.memory and seen.nbytes:
                    self.arrays.append(seen)
                else:
                    self.others += 1
            in_vain = 0 if len(self.arrays) > before else in_vain + 1
            if in_vain >= _SAMPLE and type(value) is not dict:
                return

    def take(self, lent: Lent) -> None:
        """Take in arrays that were lent to NumPy on the way, which were counted as views of it."""
        for sums, seen in lent:
            sums.count -= 1
            if all(seen.span != one.span for one in self.arrays):
                self.arrays.append(seen)
                self.others = max(self.others - 1, 0)

    def whole(self) -> Seen | None:
        """Return all arrays as one; None where there are none."""
        return _combined(self.arrays) if self.arrays else None

    def judge(self, site: Site, out: Seen, elapsed_ns: int) -> None:
        """Add up what became of the arrays; there is at least one.

        A frame that is put together of its own library's columns converts nothing.
        """
        own = [one for one in self.arrays if one.kind.library == out.kind.library]
        foreign = [one for one in self.arrays if one.kind.library != out.kind.library]
        if not foreign:
            return
        if own:
            out = _without(out, own)
        seen = _combined(foreign)
        if not out.nbytes:
            return
        fresh = fresh_bytes(seen, out)
        if not fresh or (self.others and all(map(_is_in(out), foreign))):
            add(site, seen, out, "view", (), 0, 0, 0)
        if fresh:
            effects: tuple[Effect, ...] = ()
            if self.others:
                effects = ("parse",)
            elif len(self.arrays) == 1:
                effects = changes(seen, out)
            elif not seen.all_dtypes <= out.all_dtypes:
                effects = ("cast",)
            read = max(bytes_read(seen) - (out.nbytes - fresh), 0)
            add(site, seen, out, "copy", effects, read, fresh, elapsed_ns)


def _is_in(out: Seen) -> Callable[[Seen], bool]:
    return lambda one: fresh_bytes(one, out) < out.nbytes


def is_container(value: object) -> bool:
    """Say whether ``value`` is a plain dict, list or tuple: looking into it runs nobody's code."""
    return type(value) in (dict, list, tuple)


def objects(container: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Seen:
    """Return a container as Python objects, of which nothing is known without a walk."""
    return python_objects((len(container),), id(container))


def _combined(arrays: Sequence[Seen]) -> Seen:
    """Return several arrays as one that lies in pieces; of the library that most bytes are of."""
    first = max(arrays, key=lambda one: one.nbytes)
    if len(arrays) == 1:
        return first._replace(identity=0)
    dtypes = frozenset().union(*(one.all_dtypes for one in arrays))
    return Seen(
        Kind(first.kind.library, common_dtype(dtypes), first.kind.device),
        None,
        sum(one.nbytes for one in arrays),
        first.shape,
        (),
        swapped=False,
        identity=0,
        pieces=tuple(piece for one in arrays for piece in one.memory),
        dtypes=dtypes if len(dtypes) > 1 else frozenset(),
    )


def _without(out: Seen, own: Sequence[Seen]) -> Seen:
    before = _combined(own)
    left = max(out.nbytes - before.nbytes, 0)
    if fresh_bytes(before, out) == out.nbytes:
        return out._replace(nbytes=left)
    pieces = [piece for piece in out.pieces if not before.holds(piece)]
    return out._replace(nbytes=left, pieces=tuple(pieces))
