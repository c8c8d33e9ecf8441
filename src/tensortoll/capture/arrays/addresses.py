"""Where arrays lie in memory, read as cheaply as can be done without copying anything."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tensortoll.model import Span

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@cache
def array_address() -> Callable[[Array], int]:
    """Return a function that reads the address of an ndarray's first element.

    `__array_interface__` builds a dictionary at each look (1 to 2 µs). CPython keeps the pointer
    right behind the object's header, where it is read ten times faster; that it really stands
    there is tried out once, and where it does not, the slow way is taken.
    """
    import numpy as np

    header = object.__basicsize__
    read = ctypes.c_void_p.from_address

    def quick(array: Array) -> int:
        return read(id(array) + header).value or 0

    def slow(array: Array) -> int:
        return int(array.__array_interface__["data"][0])

    samples: list[Array] = [np.zeros(5), np.zeros((3, 4), np.int8)[1:, ::2], np.zeros(9)[::-1]]
    right = all(quick(array) == slow(array) for array in samples)
    return quick if right else slow


def reach(address: int, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> Span:
    """Return the range of addresses that the elements of a strided array touch.

    Args:
        address: Of the first element.
        shape: Elements along each axis.
        strides: Bytes from one element to the next along each axis; may be negative or 0.
        itemsize: Bytes of one element.
    """
    if 0 in shape:
        return Span(address, address)
    steps = [(n - 1) * step for n, step in zip(shape, strides, strict=True)]
    below = sum(step for step in steps if step < 0)
    above = sum(step for step in steps if step > 0)
    return Span(address + below, address + above + itemsize)


def array_span(array: Array) -> Span:
    """Return the range of addresses that an ndarray's elements touch."""
    return reach(array_address()(array), array.shape, array.strides, array.itemsize)


def overlap(one: Span, other: Span) -> bool:
    """Say whether two ranges of addresses have a byte in common."""
    return one.start < other.stop and other.start < one.stop


def read_bytes(span: Span, shape: Sequence[int], itemsize: int) -> int:
    """Return how many bytes a pass over an array reads: of a broadcast one, each byte once."""
    return min(span.stop - span.start, math.prod(shape) * itemsize)
