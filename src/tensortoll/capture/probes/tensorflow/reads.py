"""Out of TensorFlow: `numpy()`, the views that iterators hand out, and single numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.arrays.addresses import array_span
from tensortoll.capture.counting.presumed import Presumed
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import (
    array_kind,
    dtype_name,
    effects_between,
    is_implicit,
    is_index,
    itemsize,
    kind_of,
    payload,
)
from tensortoll.capture.probes.tensorflow.memory import Memory, is_awaited
from tensortoll.capture.probes.tensorflow.transfers import Devices
from tensortoll.model import Kind, Outcome, Proof

TENSOR_READS: Final = ("__float__", "__int__", "__bool__", "__index__", "__complex__")
VARIABLE_READS: Final = ("__float__", "__int__", "__complex__")
_UNKNOWN: Final[Any] = object()


def install_reads(context: Context, memory: Memory) -> None:
    """Replace the methods through which data leaves eager tensors and variables."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import resource_variable_ops

    replace = context.patches.replace
    base, variable = ops._EagerTensorBase, resource_variable_ops.BaseResourceVariable
    replace(base, "numpy", lambda original: _numpy(context, original, memory))
    replace(ops.EagerTensor, "_numpy_internal", lambda original: _wrap(context, original, memory))
    for name in TENSOR_READS:
        replace(base, name, lambda original: _unbox(context, original, _tensor_kind))
    replace(variable, "__array__", lambda original: _array_of_variable(context, original))
    for name in VARIABLE_READS:
        replace(variable, name, lambda original: _unbox(context, original, _variable_kind))


def _numpy(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    local, site_of = context.recorder.local, context.places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns
    devices = Devices()

    def numpy(self: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self)
        table.quiet += 1
        try:
            started = clock()
            result = original(self)
            elapsed = clock() - started
            try:
                frame = get_frame(1)
                site = table.sites.get(id(frame.f_code) + frame.f_lasti, _UNKNOWN)
                if site is _UNKNOWN:
                    site = site_of(table, frame)
                if site is not None:
                    where = devices.several and self.backing_device
                    _count_array(site, self, result, elapsed, memory, where)
                    devices.look()
            except Exception as error:
                context.recorder.fault("tensorflow Tensor.numpy", error)
        finally:
            table.quiet -= 1
        return result

    return numpy


def _is_own_affair(site: Site, result: Any) -> bool:
    """Say whether a library looks at a few numbers that the user's line did not ask for."""
    if not getattr(result, "ndim", 0):
        return is_implicit(site.located)
    return bool(result.ndim == 1 and result.dtype.kind == "i" and is_index(site, result.size))


def _wrap(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    """Return a method that counts a tensor's memory handed out as an ndarray.

    `numpy()` and the reads of single numbers pass through here as well, and keep it quiet.
    """
    import numpy as np

    local, site_of = context.recorder.local, context.places.site
    get_frame, array = sys._getframe, np.ndarray

    def _numpy_internal(self: Any) -> Any:
        table = local.table
        result = original(self)
        if not table.quiet and isinstance(result, array):
            try:
                frame = get_frame(1)
                if not (table.pending and is_awaited(table, frame)):
                    site = site_of(table, frame)
                    if site is not None:
                        _count_array(site, self, result, 0, memory, self.backing_device)
            except Exception as error:
                context.recorder.fault("tensorflow Tensor._numpy", error)
        return result

    return _numpy_internal


def _count_array(
    site: Site, tensor: Any, result: Any, elapsed_ns: int, memory: Memory, where: object
) -> None:
    """Add up an ndarray, or a NumPy scalar, that came out of a tensor.

    Memory that an ndarray owns is its own, so data was written to it.

    Args:
        site: Where.
        tensor: What was asked.
        result: What it gave.
        elapsed_ns: How long it took.
        memory: Looks at tensors.
        where: Tells devices apart, where there are several.
    """
    if site.located.inside is not None and _is_own_affair(site, result):
        return
    owned = getattr(result, "base", None) is None
    key = (tensor._datatype_enum(), where, owned)
    sums = site.groups.get(key)
    if sums is None:
        sums = site.add(key, _start_array(tensor, result, memory, shared=not owned))
    sums.count += 1
    if owned:
        nbytes = len(result) if isinstance(result, bytes) else result.nbytes
        sums.copies += 1
        sums.read += nbytes
        sums.written += nbytes
        sums.elapsed_ns += elapsed_ns


def _start_array(tensor: Any, result: Any, memory: Memory, *, shared: bool) -> Sums:
    origin = kind_of(tensor._datatype_enum(), tensor.backing_device)
    dtype = getattr(result, "dtype", None)
    target = Kind("numpy", "object") if dtype is None else array_kind(dtype)
    objects = target.dtype == "object"
    span = None if dtype is None or not result.ndim else memory.span(tensor)
    outcome: Outcome = "view" if shared else "copy"
    return Sums(
        outcome,
        origin,
        target,
        effects_between(
            origin, target, "unbox" if objects else None, cast=False if objects else None
        ),
        shape=tensor._shape_tuple(),
        proof=None if span is None else Proof(span, array_span(result)),
    )


def _array_of_variable(context: Context, original: Callable[..., Any]) -> Any:
    """Return an `__array__` of variables that counts all copies of one call as one conversion.

    The value is copied out, then cast where NumPy asks for another dtype. `np.array` copies that
    result once more: it first asks for a copy, in words that TensorFlow does not know.
    """
    local, site_of = context.recorder.local, context.places.site
    refused_copy: set[int] = set()
    presumed = Presumed()

    def __array__(self: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        table.quiet += 1
        try:
            try:
                started = time.perf_counter_ns()
                result = original(self, *args, **kwargs)
                elapsed = time.perf_counter_ns() - started
            except TypeError:
                if kwargs.get("copy"):
                    refused_copy.add(id(table))
                raise
            copied_after = id(table) in refused_copy
            refused_copy.discard(id(table))
            try:
                frame = sys._getframe(1)
                site = site_of(table, frame)
                if site is not None and result.ndim:
                    if args and not copied_after:
                        presumed.take_back(id(table), frame, self)
                    sums = _count_variable(site, self, result, elapsed, copied_after=copied_after)
                    if copied_after and not args:
                        size = result.nbytes
                        presumed.add(id(table), frame, self, sums, size, whole=False)
            except Exception as error:
                context.recorder.fault("tensorflow Variable.__array__", error)
        finally:
            table.quiet -= 1
        return result

    return __array__


def _count_variable(
    site: Site, variable: Any, result: Any, elapsed_ns: int, *, copied_after: bool
) -> Sums:
    number = variable.dtype.as_datatype_enum
    origin, target = kind_of(number, variable.device), array_kind(result.dtype)
    key = (number, variable.device, result.dtype, "variable")
    sums = site.groups.get(key)
    if sums is None:
        effects = effects_between(origin, target)
        sums = site.add(key, Sums("copy", origin, target, effects, shape=result.shape))
    out, cast = result.size * itemsize(number), origin.dtype != target.dtype
    sums.count += 1
    sums.copies += 1 + cast + copied_after
    sums.read += out * (1 + cast) + result.nbytes * copied_after
    sums.written += out + result.nbytes * (cast + copied_after)
    sums.elapsed_ns += elapsed_ns
    return sums


def _tensor_kind(tensor: Any) -> tuple[int, str, int]:
    return tensor._datatype_enum(), tensor.backing_device, payload(tensor)


def _variable_kind(variable: Any) -> tuple[int, str, int]:
    number = variable.dtype.as_datatype_enum
    return number, variable.device, itemsize(number)


def _unbox(
    context: Context, original: Callable[..., Any], kind: Callable[[Any], tuple[int, str, int]]
) -> Any:
    """Return a read of a single number that is counted; of a traced tensor, nothing is."""
    local, site_of = context.recorder.local, context.places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns

    def unbox(self: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self)
        table.quiet += 1
        try:
            started = clock()
            result = original(self)
            elapsed = clock() - started
            try:
                frame = get_frame(1)
                site = table.sites.get(id(frame.f_code) + frame.f_lasti, _UNKNOWN)
                if site is _UNKNOWN:
                    site = site_of(table, frame)
                if site is not None and not (
                    site.located.inside is not None and is_implicit(site.located)
                ):
                    number, device, nbytes = kind(self)
                    key = (number, device, "unbox")
                    sums = site.groups.get(key)
                    if sums is None:
                        sums = site.add(key, _start_unbox(number, device))
                    sums.count += 1
                    sums.copies += 1
                    sums.read += nbytes
                    sums.elapsed_ns += elapsed
            except Exception as error:
                context.recorder.fault("tensorflow reads", error)
        finally:
            table.quiet -= 1
        return result

    unbox.__name__ = original.__name__
    return unbox


def _start_unbox(number: int, device: str) -> Sums:
    origin = kind_of(number, device)
    target = Kind("python", dtype_name(number))
    return Sums("copy", origin, target, effects_between(origin, target, "unbox"), shape=())
