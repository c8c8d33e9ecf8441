"""From tensor to tensor: casts, and moves from one device to another."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, Final

from tensortoll.capture.arrays.seen import transfer
from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import (
    INTEGERS,
    device_name,
    effects_between,
    is_implicit,
    is_index,
    itemsize,
    kind_of,
    payload,
)
from tensortoll.capture.probes.tensorflow.memory import Memory
from tensortoll.model import Kind, Outcome, Proof

SiteOf = Callable[[Table, FrameType | None], Site | None]

_CASTS: Final = ("Cast", b"Cast")
_SAME: Final = ("Identity", "IdentityN", b"Identity", b"IdentityN")
"""Operations whose result is what they were given, so that addresses tell whether it moved."""


def install_transfers(context: Context, memory: Memory) -> None:
    """Replace the slower way into an operation, and the method behind `.cpu()` and `.gpu()`."""
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.framework import ops

    replace = context.patches.replace
    for name in ("TFE_Py_Execute", "TFE_Py_ExecuteCancelable"):
        replace(pywrap_tfe, name, lambda original: _execute(context, original, memory))
    replace(
        ops.EagerTensor,
        "_copy_to_device",
        lambda original: _copy_to_device(context, original, memory),
    )


class Devices:
    """Whether there is more than one; known once TensorFlow has run its first operation."""

    def __init__(self) -> None:
        """Start without knowing, so that the first operations are looked at."""
        self.several = True
        self._counted = False

    def look(self) -> bool:
        """Say whether there are several, and remember it once that can't change any more."""
        if not self._counted:
            from tensorflow.python.eager import context

            current = context.context()
            if not current._initialized:
                return False
            self.several = len(current.list_logical_devices()) > 1
            self._counted = True
        return self.several


def _execute(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    local, site_of = context.recorder.local, context.places.site
    get_frame, devices = sys._getframe, Devices()

    def execute(handle: Any, device: Any, op: Any, inputs: Any, *args: Any) -> Any:
        result = original(handle, device, op, inputs, *args)
        if op in _CASTS or devices.several:
            try:
                table = local.table
                if not table.quiet:
                    if op in _CASTS:
                        count_cast(site_of, table, get_frame(1), inputs[0], result[0])
                    elif devices.look() and not _is_function(op):
                        count_moves(site_of, table, get_frame(1), memory, op, inputs, result)
            except Exception as error:
                context.recorder.fault("tensorflow operation", error)
        return result

    return execute


def _is_function(op: Any) -> bool:
    """Say whether a compiled function runs: where it puts its arguments is its own affair."""
    return str(op).removeprefix("b'").startswith("__")


def count_cast(site_of: SiteOf, table: Table, frame: FrameType, source: Any, result: Any) -> None:
    """Add up a cast of whole tensors; of a single number, none.

    Args:
        site_of: Finds the place.
        table: The thread's.
        frame: Who called the operation.
        source: What was cast: a tensor, or an ndarray that was made one on the way.
        result: What came of it.
    """
    number, device = result._datatype_enum(), result.backing_device
    before = _number(source)
    if before is None or before == number or not result._rank():
        return
    elements = result._num_elements()
    site = site_of(table, frame)
    if site is None or (
        result._rank() == 1 and {before, number} <= INTEGERS and is_index(site, elements)
    ):
        return
    key = ("cast", before, number, device)
    sums = site.groups.get(key)
    if sums is None:
        origin, target = kind_of(before, device), kind_of(number, device)
        effects = effects_between(origin, target)
        new = Sums(
            "copy",
            origin,
            target,
            effects,
            implicit=is_implicit(site.located),
            shape=result._shape_tuple(),
        )
        if _is_own_temporary(site, table, frame, source):
            site.groups[key] = _NOTHING
            return
        sums = site.add(key, new)
    elif sums is _NOTHING:
        return
    sums.count += 1
    sums.copies += 1
    sums.read += elements * itemsize(before)
    sums.written += elements * itemsize(number)


_NOTHING: Final = Sums("copy", Kind("tensorflow", ""), Kind("tensorflow", ""))
"""Stands in a site for what is no conversion there. Nothing is ever added to it."""


def _is_own_temporary(site: Site, table: Table, frame: FrameType, source: Any) -> bool:
    """Say whether an operation cast what it had made itself, and not what it was given.

    `tf.linspace` casts a range of its own, `count_nonzero` a mask. What the user gave is among
    the arguments of the function that the user's line called.
    """
    if site.located.inside is None or site.located.via or not is_implicit(site.located):
        return False
    entry: FrameType | None = frame
    distance = table.distances.get(id(frame.f_code) + frame.f_lasti, 1)
    while entry is not None and distance > 1:
        entry, distance = entry.f_back, distance - 1
    return entry is not None and not _holds(tuple(entry.f_locals.values()), source)


def _holds(values: Iterable[Any], wanted: Any, depth: int = 3) -> bool:
    """Say whether ``wanted`` is among ``values``, or some containers in."""
    for one in values:
        if one is wanted:
            return True
        inner = one.values() if isinstance(one, dict) else one
        if depth and isinstance(one, list | tuple | dict) and _holds(inner, wanted, depth - 1):
            return True
    return False


def _number(source: Any) -> int | None:
    if hasattr(source, "_datatype_enum"):
        return int(source._datatype_enum())
    from tensorflow.python.framework import dtypes

    dtype = getattr(source, "dtype", None)
    return None if dtype is None else int(dtypes.as_dtype(dtype).as_datatype_enum)


def tensors(result: Any) -> Iterator[Any]:
    """Yield the eager tensors in what an operation returned."""
    for one in result if isinstance(result, list | tuple) else (result,):
        if hasattr(one, "backing_device"):
            yield one


def count_moves(
    site_of: SiteOf,
    table: Table,
    frame: FrameType,
    memory: Memory,
    op: Any,
    args: Iterable[Any],
    result: Any,
) -> None:
    """Add up the tensors that an operation had brought to its own device.

    Args:
        site_of: Finds the place.
        table: The thread's.
        frame: Who called the operation.
        memory: Looks at tensors.
        op: The operation's name.
        args: What it was given.
        result: What it returned.
    """
    first = next(tensors(result), None)
    if first is None:
        return
    near = {device_name(first.device), device_name(first.backing_device)}
    for value in args:
        for one in tensors(value):
            # Shapes and indices stay on the host, wherever the operation runs.
            if (
                device_name(one.backing_device) not in near
                and one._rank()
                and one._datatype_enum() not in INTEGERS
                and (site := site_of(table, frame)) is not None
            ):
                _count_move(site, memory, one, first, known=op in _SAME)


def _copy_to_device(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    local, site_of = context.recorder.local, context.places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns

    def _copy_to_device(self: Any, *args: Any, **kwargs: Any) -> Any:
        started = clock()
        result = original(self, *args, **kwargs)
        elapsed = clock() - started
        try:
            table = local.table
            if not table.quiet and self.backing_device != result.backing_device:
                site = site_of(table, get_frame(1))
                if site is not None:
                    _count_move(site, memory, self, result, known=True).elapsed_ns += elapsed
        except Exception as error:
            context.recorder.fault("tensorflow _copy_to_device", error)
        return result

    return _copy_to_device


def _count_move(site: Site, memory: Memory, source: Any, result: Any, *, known: bool) -> Sums:
    """Add up one move.

    Args:
        site: Where.
        memory: Looks at tensors.
        source: What was moved.
        result: Something on the device it was moved to.
        known: Whether ``result`` is the moved tensor itself.
    """
    number, before = source._datatype_enum(), source.backing_device
    after = result.backing_device if known else result.device
    if known:
        start = memory.address(source)
        shared = start is not None and start == memory.address(result)
    else:
        # The moved tensor is out of sight. All logical CPUs are one memory, others are not.
        shared = transfer(*map(device_name, (before, after))) == "d2d" and "CPU" in after
    key = ("move", number, before, after, shared)
    sums = site.groups.get(key)
    if sums is None:
        origin, target = kind_of(number, before), kind_of(number, after)
        outcome: Outcome = "view" if shared else "copy"
        span = memory.span(source)
        proof = Proof(span, span) if shared and span is not None else None
        effects = effects_between(origin, target)
        new = Sums(outcome, origin, target, effects, shape=source._shape_tuple(), proof=proof)
        sums = site.add(key, new)
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += payload(source)
        sums.written += payload(source)
    return sums
