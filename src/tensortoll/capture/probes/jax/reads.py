"""The ways out of a JAX array that Python code of JAX's own goes: single numbers, lists, DLPack.

`np.asarray(array)` reads the array's memory in C; that is seen in the user's own expressions, like
all of NumPy's. An array on several devices has no memory of one piece: it is gathered first, by
`__array__`.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.arrays.addresses import overlap
from tensortoll.capture.arrays.seen import transfer
from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.kinds import (
    array_type,
    describe_array,
    describe_first,
    described,
    devices_of,
    effects_between,
    is_by_jax,
    kind_of,
)
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.runtime.judging import add
from tensortoll.model import Effect, Kind

SCALARS: Final = ("__float__", "__int__", "__bool__", "__index__", "__complex__")
READS: Final = (*SCALARS, "item", "tolist")
DUPLICATES: Final = ("astype", "copy", "to_device")
SAME_ELEMENTS: Final = ("reshape", "ravel", "flatten")
"""Methods that other libraries' arrays have too, but that compute a result in JAX."""


def install_reads(context: Context) -> None:
    """Replace methods of JAX's arrays."""
    owner = array_type()
    hooks = {
        **dict.fromkeys(READS, _read),
        **dict.fromkeys(DUPLICATES, _duplicate),
        **dict.fromkeys(SAME_ELEMENTS, _left_alone),
        "__array__": _array,
        "__dlpack__": _dlpack,
    }
    for name, hook in hooks.items():
        if hasattr(owner, name):
            context.patches.replace(owner, name, functools.partial(hook, context))


def _take_over(table: Table, array: object) -> None:
    """Take back what a rewritten expression has noted of a call that a hook counts by itself."""
    for key, entry in tuple(table.pending.items()):
        if entry[0] and entry[0][0].identity == id(array):
            del table.pending[key]


def _read(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        table.quiet = 1
        try:
            began = time.perf_counter_ns()
            result = original(self, *args, **kwargs)
            elapsed = time.perf_counter_ns() - began
            try:
                frame = sys._getframe(1)
                if table.pending:
                    _take_over(table, self)
                if not is_by_jax(frame):
                    site = places.site(table, frame)
                    if site is not None:
                        _count_read(site, self, result, elapsed)
            except Exception as error:
                context.recorder.fault("jax reads", error)
        finally:
            table.quiet = 0
        return result

    return read


def _count_read(site: Site, array: Any, result: Any, elapsed_ns: int) -> None:
    device = devices_of(array)[0]
    key = (array.dtype, device, "unbox")
    sums = site.groups.get(key)
    if sums is None:
        kind = kind_of(array.dtype, device)
        effects: list[Effect] = ["unbox"]
        moved = transfer(kind.device, "cpu")
        if moved == "d2h":
            effects.append(moved)
        new = Sums(
            "copy",
            kind,
            Kind("python", kind.dtype),
            tuple(sorted(effects)),
            shape=tuple(array.shape),
        )
        sums = site.add(key, new)
    sums.count += 1
    sums.copies += 1
    sums.read += array.size * array.dtype.itemsize if type(result) is list else array.dtype.itemsize
    sums.elapsed_ns += elapsed_ns


def _duplicate(context: Context, original: Callable[..., Any]) -> Any:
    """Return an `astype` or `copy` that counts where it made another array."""
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def duplicate(self: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        began = time.perf_counter_ns()
        result = original(self, *args, **kwargs)
        elapsed = time.perf_counter_ns() - began
        try:
            frame = sys._getframe(1)
            if is_by_jax(frame):
                return result  # a part of some operation
            if table.pending:
                _take_over(table, self)
            if type(result) is array_type() and result is not self and self.shape:
                site = places.site(table, frame)
                if site is not None:
                    _count_duplicate(site, self, result, elapsed)
        except Exception as error:
            context.recorder.fault("jax duplicates", error)
        return result

    return duplicate


def _count_duplicate(site: Site, array: Any, result: Any, elapsed_ns: int) -> None:
    seen, out = describe_array(array), describe_array(result)
    if seen is None or out is None:
        seen = described(array, 0, devices_of(array)[0])
        out = described(result, 0, devices_of(result)[0])
    elif seen.span is not None and out.span is not None and seen.span.start == out.span.start:
        return
    effects = effects_between(seen, out)
    add(site, seen, out, "copy", effects, seen.nbytes, out.nbytes, elapsed_ns)


def _left_alone(context: Context, original: Callable[..., Any]) -> Any:
    local = context.recorder.local

    @functools.wraps(original)
    def left_alone(self: Any, *args: Any, **kwargs: Any) -> Any:
        if local.table.pending:
            _take_over(local.table, self)
        return original(self, *args, **kwargs)

    return left_alone


def _array(context: Context, original: Callable[..., Any]) -> Any:
    """Return an `__array__` that counts where an array on several devices is gathered.

    Any other array is asked for its memory in C before NumPy comes here.
    """
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def __array__(self: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        gathered = len(self.sharding.device_set) > 1 and self._npy_value is None
        if gathered and table.pending:
            _take_over(table, self)
        result = original(self, *args, **kwargs)
        try:
            if gathered and self.shape:
                site = places.site(table, sys._getframe(1))
                if site is not None:
                    _count_gathered(site, self, result)
        except Exception as error:
            context.recorder.fault("jax __array__", error)
        return result

    return __array__


def _count_gathered(site: Site, array: Any, result: Any) -> None:
    out = RUNNING.describe(result)
    first = describe_first(array)
    seen = first or described(array, 0, devices_of(array)[0])
    if out is None or out.span is None or seen.span is None:
        return
    if first is not None and overlap(seen.span, out.span):
        add(site, seen, out, "view", (), 0, 0, 0)
    else:
        effects = effects_between(seen, out)
        add(site, seen, out, "copy", effects, seen.nbytes, out.nbytes, 0)


def _dlpack(context: Context, original: Callable[..., Any]) -> Any:
    """Return a `__dlpack__` that notes whose memory the capsule speaks of."""

    @functools.wraps(original)
    def __dlpack__(self: Any, *args: Any, **kwargs: Any) -> Any:
        capsule = original(self, *args, **kwargs)
        try:
            context.exports.add(capsule, kind_of(self.dtype, devices_of(self)[0]))
        except Exception as error:
            context.recorder.fault("jax __dlpack__", error)
        return capsule

    return __dlpack__
