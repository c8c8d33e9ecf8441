"""What all ndarrays of one layout have in common: a loop makes the same again and again."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.seen import Seen
from tensortoll.model import Kind, Span

if TYPE_CHECKING:
    import numpy as np


def in_elements(step: int, size: int) -> float:
    """Return a distance in elements: between the fields of records, it may be no whole number."""
    return step / size if step % size else step // size


class Layout:
    """A dtype, a shape and strides. There is one at a time for each, told by its identity."""

    __slots__ = ("dtype", "kind", "nbytes", "shape", "start", "steps", "stop", "strides", "swapped")

    def __init__(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        """Describe ndarrays whose elements lie ``strides`` bytes apart."""
        size = dtype.itemsize
        self.dtype = dtype
        self.kind = Kind("numpy", dtype_name(dtype))
        self.swapped = not dtype.isnative
        """Whether the bytes of an element stand in a foreign order."""
        self.start, self.stop = reach(0, shape, strides, size)
        """What the elements touch, in bytes from the first element."""
        self.nbytes = math.prod(shape) * size
        self.shape = shape
        self.steps = strides
        """In bytes."""
        self.strides: tuple[float, ...] = strides
        """In elements."""
        if size:
            self.strides = tuple(in_elements(step, size) for step in strides)

    def field(self, name: str) -> tuple[Layout, int] | None:
        """Return how a field of records lies, and how many bytes after the record it begins.

        None where there is no such field, or where its elements are arrays themselves.
        """
        fields = self.dtype.fields
        if fields is None or name not in fields or fields[name][0].subdtype is not None:
            return None
        return layout_of(fields[name][0], self.shape, self.steps), fields[name][1]

    def seen(self, address: int, identity: int) -> Seen:
        """Return an array of this layout in numbers.

        Args:
            address: Of its first element.
            identity: The object's `id`.
        """
        span = Span(address + self.start, address + self.stop)
        return Seen(self.kind, span, self.nbytes, self.shape, self.strides, self.swapped, identity)


layout_of = lru_cache(maxsize=1_024)(Layout)
"""Returns the layout of a dtype, a shape and strides."""


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of a dtype without byte order and length: `float32`, `str`, `object`."""
    import numpy as np

    names = {"U": "str", "S": "bytes", "V": "void", "O": "object", "T": "str"}
    if dtype.kind == "V" and not issubclass(dtype.type, np.void):
        return dtype.name  # of another package's making: `bfloat16`
    return names.get(dtype.kind, dtype.name) if dtype.names is None else "void"
