"""Into TensorFlow: arrays, lists and tensors of other libraries that become eager tensors.

`convert_to_eager_tensor` is where `tf.constant`, `convert_to_tensor`, `Variable`, `assign`,
operators, datasets, the arguments of a `tf.function` and Keras all end. It copies an ndarray, and
`EagerTensor.__init__` then either adopts that copy or copies once more. Only the addresses of both
tell which, so the constructor leaves a note of what it was given.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.addresses import array_span, read_bytes
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.foreign import count_foreign
from tensortoll.capture.probes.tensorflow.kinds import (
    INTEGERS,
    SHORT,
    array_kind,
    dtype_name,
    effects_between,
    is_implicit,
    kind_of,
    payload,
)
from tensortoll.capture.probes.tensorflow.memory import ALIGNMENT, Memory
from tensortoll.capture.probes.tensorflow.transfers import Devices
from tensortoll.model import Kind, Proof

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_PYTHON: Final = (list, tuple, bytes, bytearray, memoryview, range)


class _Adopted(threading.local):
    """The address of the array that the last tensor of this thread was made of."""

    address = 0


def install_conversions(context: Context, memory: Memory) -> None:
    """Replace the function, and the constructor below it."""
    from tensorflow.python.framework import constant_op, ops

    adopted = _Adopted()
    replace = context.patches.replace
    replace(ops.EagerTensor, "__init__", lambda original: _init(original, memory, adopted))
    replace(
        constant_op,
        "convert_to_eager_tensor",
        lambda original: _convert(context, original, _Counting(memory, adopted, Devices())),
    )


def _init(original: Callable[..., None], memory: Memory, adopted: _Adopted) -> Callable[..., None]:
    import numpy as np

    array, address_of = np.ndarray, memory.array_address

    def __init__(self: Any, value: Any, device: Any, dtype: Any = None) -> None:
        original(self, value, device, dtype)
        # Only memory on a border can have been adopted, and most is told by its class.
        if type(value) is array or isinstance(value, array):
            adopted.address = address_of(value)

    return __init__


def _convert(context: Context, original: Callable[..., Any], counting: _Counting) -> Any:
    import numpy as np
    from tensorflow.python.framework import ops, tensor_shape

    local, site_of = context.recorder.local, context.places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns
    array, count_array, count_other = np.ndarray, counting.array, counting.other
    # Wrapped numbers and shapes are no array data, and a tensor comes back as it is.
    silent = frozenset((ops.EagerTensor, float, int, bool, complex, str, tensor_shape.TensorShape))

    def convert_to_eager_tensor(value: Any, ctx: Any, dtype: Any = None) -> Any:
        table = local.table
        if table.quiet or type(value) in silent:
            return original(value, ctx, dtype)
        # Other libraries' hooks stay quiet too: this is the outermost border.
        table.quiet += 1
        try:
            started = clock()
            result = original(value, ctx, dtype)
            elapsed = clock() - started
            try:
                site = site_of(table, get_frame(1))
                if site is not None:
                    if isinstance(value, array):
                        count_array(site, value, result, elapsed)
                    else:
                        count_other(site, value, result, dtype, elapsed)
            except Exception as error:
                context.recorder.fault("tensorflow convert_to_eager_tensor", error)
        finally:
            table.quiet -= 1
        return result

    return convert_to_eager_tensor


class _Counting:
    """Adds conversions into TensorFlow up."""

    def __init__(self, memory: Memory, adopted: _Adopted, devices: Devices) -> None:
        import numpy as np

        self._memory = memory
        self._devices = devices
        self._scalar = np.generic
        self.array = self._array_counter(adopted)

    def _array_counter(self, adopted: _Adopted) -> Callable[[Site, Array, Any, int], None]:
        """Return a function that adds an ndarray up; all it looks up is bound here, once."""
        devices, address_of = self._devices, self._memory.address

        def count(site: Site, value: Array, result: Any, elapsed_ns: int) -> None:
            dtype, number = value.dtype, result._datatype_enum()
            contiguous = value.flags.c_contiguous
            key = (dtype, number, contiguous, devices.several and result.backing_device)
            sums = site.groups.get(key)
            if sums is None:
                devices.look()
                if _is_index(site, value, result):
                    return
                sums = site.add(key, self._start_array(site, value, result))
            elif number in INTEGERS and _is_index(site, value, result):
                return
            nbytes = value.nbytes
            sums.count += 1
            sums.elapsed_ns += elapsed_ns
            if sums.effects and not _is_only_moved(sums, dtype):
                # Copied, then written anew by NumPy. Whether that had to be moved to a better
                # address as well cannot be told, as it is gone.
                sums.copies += 2
                sums.read += _read(value) + nbytes
                sums.written += nbytes + payload(result)
                return
            address = adopted.address
            # No tensor starts between two borders, so only what starts on one is compared.
            copies = 2 if address % ALIGNMENT or address != address_of(result) else 1
            sums.copies += copies
            sums.read += nbytes * copies if contiguous else nbytes * (copies - 1) + _read(value)
            sums.written += nbytes * copies

        return count

    def _start_array(self, site: Site, value: Array, result: Any) -> Sums:
        origin = array_kind(value.dtype)
        target = kind_of(result._datatype_enum(), result.backing_device)
        anew = not value.flags.c_contiguous or not value.dtype.isnative
        objects = value.dtype.kind == "O"
        span = self._memory.span(result)
        return Sums(
            "copy",
            origin,
            target,
            effects_between(
                origin,
                target,
                "layout" if anew else None,
                "parse" if objects else None,
                cast=False if objects else None,
            ),
            implicit=is_implicit(site.located),
            shape=value.shape,
            proof=None if span is None else Proof(array_span(value), span),
        )

    def other(self, site: Site, value: Any, result: Any, dtype: Any, elapsed_ns: int) -> None:
        """Add up what is no ndarray: Python objects, and arrays of other libraries."""
        if result is value or isinstance(value, self._scalar):
            return  # a tensor of another kind, or a number that NumPy wrapped
        if not isinstance(value, _PYTHON):
            count_foreign(site, value, result, self._memory, elapsed_ns)
        # TensorFlow's own functions ask for `int32` of what they take for a shape.
        elif not _is_index(site, value, result, wanted=dtype is not None):
            self._count_parse(site, value, result, elapsed_ns)

    @staticmethod
    def _count_parse(site: Site, value: Any, result: Any, elapsed_ns: int) -> None:
        number, device = result._datatype_enum(), result.backing_device
        key = ("parse", number, device)
        sums = site.groups.get(key)
        if sums is None:
            origin = Kind("python", dtype_name(number))
            target = kind_of(number, device)
            effects = effects_between(origin, target, "parse")
            new = Sums(
                "copy",
                origin,
                target,
                effects,
                implicit=is_implicit(site.located),
                shape=result._shape_tuple(),
            )
            sums = site.add(key, new)
        sums.count += 1
        sums.copies += 1
        # One text is a scalar, whose payload is the text.
        single = not result._rank() and isinstance(value, bytes | bytearray)
        sums.written += len(value) if single else payload(result)
        sums.elapsed_ns += elapsed_ns


def _is_only_moved(sums: Sums, dtype: np.dtype[Any]) -> bool:
    """Say whether the elements stayed as they were, so that the first copy may be the last."""
    return sums.origin.dtype == sums.target.dtype and bool(dtype.isnative)


def _read(array: Array) -> int:
    return read_bytes(array_span(array), array.shape, array.itemsize)


def _is_index(site: Site, value: Any, result: Any, *, wanted: bool = False) -> bool:
    """Say whether a few whole numbers are a shape, axes or an index rather than data."""
    return (
        result._datatype_enum() in INTEGERS
        and result._num_elements() <= SHORT
        and result._rank() <= 1
        and not isinstance(value, bytes | bytearray | memoryview)
        and (wanted or is_implicit(site.located))
    )
