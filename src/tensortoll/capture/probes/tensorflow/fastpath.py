"""Operations that are given ndarrays as they are, and convert them in C.

A generated operation first tries `TFE_Py_FastPathExecute`, which takes an ndarray's memory over
where it can, and copies it where it can't; the tensor in between is never seen in Python. Where
the attempt fails, the operation converts its arguments in Python and starts again: nothing may be
counted here before the original has returned.

That memory was taken over shows in the array's reference count: TensorFlow gives the reference
back no sooner than when a later tensor dies. While a tape records, the tensor in between dies
within the call, and the count says nothing. Then the rule that the kernels go by has to do, with
the array's address put in: borders of 64 bytes, contiguous, native, of the dtype wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from tensortoll.capture.arrays.addresses import array_span
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import (
    array_kind,
    device_name,
    dtype_name,
    effects_between,
    is_implicit,
    is_index,
    itemsize,
)
from tensortoll.capture.probes.tensorflow.memory import HOST, Memory, can_be_shared
from tensortoll.capture.probes.tensorflow.transfers import Devices, count_cast, count_moves, tensors
from tensortoll.model import Kind, Proof

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def install_fast_path(context: Context, memory: Memory) -> None:
    """Replace the one function that all generated operations look up when they run."""
    from tensorflow.python import pywrap_tfe

    context.patches.replace(
        pywrap_tfe,
        "TFE_Py_FastPathExecute",
        lambda original: _fast_path(context, original, memory),
    )


def _fast_path(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    import numpy as np
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import resource_variable_ops

    local, site_of = context.recorder.local, context.places.site
    get_frame, array = sys._getframe, np.ndarray
    devices, offers = Devices(), _Offers(memory)
    # What no ndarray is in; told by a look at the class, as nearly all arguments are such.
    plain = frozenset(
        (
            ops.EagerTensor,
            resource_variable_ops.ResourceVariable,
            type(None),
            str,
            bytes,
            int,
            float,
            bool,
        )
    )

    def holds_array(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return array in map(type, value)
        return isinstance(value, array)

    def with_arrays(frame: FrameType, ctx: Any, op: str, name: Any, args: tuple[Any, ...]) -> Any:
        table = local.table
        found: list[_Offer] = []
        if not table.quiet:
            try:
                found = offers.of(op, ctx, args)
                _count_references(found)  # by now no frame of ours holds an array but the list
            except Exception as error:
                context.recorder.fault("tensorflow fast path", error)
        result = original(ctx, op, name, *args)
        try:
            if found and (site := site_of(table, frame)) is not None:
                offers.count(site, found, result)
        except Exception as error:
            context.recorder.fault("tensorflow fast path", error)
        return result

    def watched(frame: FrameType, op: str, args: tuple[Any, ...], result: Any) -> None:
        try:
            table = local.table
            if table.quiet:
                return
            if op == "Cast":
                count_cast(site_of, table, frame, args[0], result)
            elif devices.look():
                count_moves(site_of, table, frame, memory, op, args, result)
        except Exception as error:
            context.recorder.fault("tensorflow operation", error)

    def TFE_Py_FastPathExecute(ctx: Any, op: str, name: Any, *args: Any) -> Any:
        for value in args:
            if type(value) not in plain and holds_array(value):
                result = with_arrays(get_frame(1), ctx, op, name, args)
                break
        else:
            result = original(ctx, op, name, *args)
        if op == "Cast" or devices.several:
            watched(get_frame(1), op, args, result)
        return result

    return TFE_Py_FastPathExecute


@dataclass(slots=True)
class _Offer:
    """An ndarray that an operation was given. Lives no longer than the call."""

    array: Array
    number: int | None
    """The dtype that the operation wants, where that is known before it runs."""
    shareable: bool
    references: int = 0
    """How many there were before the call."""


def _count_references(found: list[_Offer]) -> list[bool]:
    """Say of each array whether there are more references than the last time, and take note."""
    more = []
    for offer in found:
        now = sys.getrefcount(offer.array)
        more.append(now > offer.references)
        offer.references = now
    return more


class _Offers:
    """Finds out what became of ndarrays that an operation was given."""

    def __init__(self, memory: Memory) -> None:
        from tensorflow.python import pywrap_tfe
        from tensorflow.python.framework import ops

        self._memory = memory
        self._make = ops.EagerTensor
        self._no_tape = pywrap_tfe.TFE_Py_TapeSetIsEmpty

    def of(self, op: str, ctx: Any, args: tuple[Any, ...]) -> list[_Offer]:
        """Return the arrays among the arguments, with what can be known before the call."""
        found = []
        for index, array in _arrays(args):
            number = _wanted(op, index, args)
            same = number is None or dtype_name(number) == array_kind(array.dtype).dtype
            address = self._memory.array_address(array)
            found.append(_Offer(array, number, same and can_be_shared(array, address)))
        if any(offer.shareable for offer in found) and ctx._context_handle is not None:
            # As a tensor dies, references are given back that are owed from earlier calls.
            self._make(0.0, HOST, None)
        return found

    def count(self, site: Site, found: list[_Offer], result: Any) -> None:
        """Add up what became of each."""
        taken = _count_references(found)
        silent_tape = not self._no_tape()
        device = next((device_name(one.device) for one in tensors(result)), "cpu")
        on_host = device.startswith("cpu")
        for offer, is_taken in zip(found, taken, strict=True):
            array = offer.array
            if array.ndim == 1 and array.dtype.kind == "i" and is_index(site, array.size):
                continue
            shared = offer.shareable and on_host and (is_taken or silent_tape)
            _count(site, offer, device, shared=shared)


def _count(site: Site, offer: _Offer, device: str, *, shared: bool) -> None:
    array = offer.array
    key = (array.dtype, offer.number, device, array.flags.c_contiguous, shared, "raw")
    sums = site.groups.get(key)
    if sums is None:
        sums = site.add(key, _start(site, offer, device, shared=shared))
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += array.nbytes
        sums.written += array.size * (
            array.itemsize if offer.number is None else itemsize(offer.number)
        )


def _start(site: Site, offer: _Offer, device: str, *, shared: bool) -> Sums:
    array = offer.array
    origin = array_kind(array.dtype)
    objects = array.dtype.kind == "O"
    own = "str" if objects else origin.dtype
    target = Kind("tensorflow", own if offer.number is None else dtype_name(offer.number), device)
    anew = not array.flags.c_contiguous or not array.dtype.isnative
    span = array_span(array)
    return Sums(
        "view" if shared else "copy",
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
        shape=array.shape,
        proof=Proof(span, span) if shared else None,
    )


def _arrays(args: tuple[Any, ...]) -> Iterator[tuple[int, Array]]:
    """Yield the ndarrays among the arguments and one list in, with the argument's number."""
    import numpy as np

    for index, value in enumerate(args):
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, np.ndarray) and one.ndim:
                yield index, one


class _Input(NamedTuple):
    """What an operation declares of one of its inputs."""

    number: int
    """Its dtype, where that is fixed; else 0."""
    attribute: str
    """The attribute that stands for its dtype; inputs that share one are of the same dtype."""


@cache
def _inputs(op: str) -> tuple[_Input, ...]:
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(op)
    if known is None:
        return ()
    return tuple(_Input(int(one.type), str(one.type_attr)) for one in known.input_arg)


def _wanted(op: str, index: int, args: tuple[Any, ...]) -> int | None:
    """Return the dtype that an input must have, as the first tensor among its like has it.

    None stands for the array's own.
    """
    from tensorflow.python.framework import dtypes

    inputs = _inputs(op)
    if index >= len(inputs):
        return None
    number, attribute = inputs[index]
    if number or not attribute:
        return number or None
    alike = [
        one
        for declared, value in zip(inputs, args, strict=False)
        if declared.attribute == attribute
        for one in (value if isinstance(value, list | tuple) else (value,))
    ]
    for one in alike:
        if hasattr(one, "_datatype_enum"):
            return int(one._datatype_enum())
        if isinstance(getattr(one, "dtype", None), dtypes.DType):
            return int(one.dtype.as_datatype_enum)
    # No tensor among them: the first one decides.
    first = getattr(alike[0], "dtype", None)
    if first is None or first.kind in "OSUTV":
        return None
    return int(dtypes.as_dtype(first).as_datatype_enum)
