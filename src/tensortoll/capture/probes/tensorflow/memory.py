"""Where eager tensors lie in memory, read through the methods as TensorFlow made them."""

from __future__ import annotations

from types import FrameType
from typing import Any, Final

from tensortoll.capture.arrays.addresses import array_address
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Table
from tensortoll.capture.probes.tensorflow.kinds import STRING, itemsize, kind_of, payload
from tensortoll.model import Span

ALIGNMENT: Final = 64
"""TensorFlow adopts memory that starts on such a border, and copies all other."""
HOST: Final = "/device:CPU:0"
"""Where tensors of our own are made."""


class Memory:
    """Looks at tensors without copying them. Made before any method is replaced."""

    def __init__(self) -> None:
        """Keep the method that wraps a tensor's memory."""
        from tensorflow.python.framework import ops

        self._wrap = ops.EagerTensor._numpy_internal
        self.array_address = array_address()
        """Returns the address of an ndarray's first element."""

    def address(self, tensor: Any) -> int | None:
        """Return the address of the first element; None where looking would copy, or needs to."""
        if tensor._datatype_enum() == STRING or not on_host(tensor.backing_device):
            return None
        wrapped = self._wrap(tensor)
        # A scalar comes as a NumPy scalar, which has memory of its own.
        return None if getattr(wrapped, "base", None) is None else self.array_address(wrapped)

    def span(self, tensor: Any) -> Span | None:
        """Return the range of addresses of the elements, or None where `address` is None."""
        start = self.address(tensor)
        return None if start is None else Span(start, start + payload(tensor))

    def describe(self, tensor: Any) -> Seen | None:
        """Return a tensor in numbers, for an expression of the user's that takes it."""
        span = self.span(tensor)
        if span is None:
            return None
        number, shape = tensor._datatype_enum(), tuple(tensor._shape_tuple())
        strides = tuple(step // itemsize(number) for step in self._wrap(tensor).strides)
        return Seen(
            kind_of(number, tensor.backing_device),
            span,
            span.stop - span.start,
            shape,
            strides,
            swapped=False,
            identity=id(tensor),
        )


def is_awaited(table: Table, frame: FrameType | None, depth: int = 3) -> bool:
    """Say whether an expression of the user's waits for what is being made, and will count it.

    Args:
        table: The thread's.
        frame: Who called the border.
        depth: How many frames of TensorFlow's may stand between.
    """
    waiting = {key[0] for key in table.pending}
    while waiting and frame is not None and depth:
        if id(frame) in waiting:
            return True
        frame, depth = frame.f_back, depth - 1
    return False


def on_host(device: str) -> bool:
    """Say whether the memory of a device, under TensorFlow's name for it, can be pointed to."""
    return ":CPU:" in device


def can_be_shared(array: Any, address: int) -> bool:
    """Say whether TensorFlow's kernels could read this ndarray's memory as it lies there."""
    return (
        address % ALIGNMENT == 0
        and array.flags.c_contiguous
        and array.dtype.isnative
        and array.dtype.kind not in "OSUTVMm"
    )
