"""Python functions that TensorFlow calls back: `numpy_function`, `from_generator`.

The runtime hands them ndarrays and takes ndarrays back, on threads of its own; what a generator
yields is brought to the dtype that was announced before. A `numpy_function` outside of a graph is
called at once, with copies. A `py_function` gets tensors instead, and what it makes of them passes
through the other borders.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tensortoll.capture.arrays.addresses import array_span, overlap
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import array_kind
from tensortoll.capture.probes.tensorflow.memory import Memory, can_be_shared
from tensortoll.capture.probes.tensorflow.pulls import Pulls
from tensortoll.model import Effect, Kind, Outcome, Proof

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def install_callbacks(context: Context, memory: Memory) -> None:
    """Replace what the runtime calls, what brings results into form, and the call outside of it."""
    from tensorflow.python.ops import script_ops

    replace, registry = context.patches.replace, script_ops.FuncRegistry
    pulls = Pulls(context)
    pulls.install()
    replace(registry, "__call__", lambda original: _call(context, original, memory, pulls))
    replace(registry, "_convert", lambda original: staticmethod(_in_form(context, original, pulls)))
    replace(script_ops, "py_func_common", lambda original: _at_once(context, original, memory))


def _call(context: Context, original: Callable[..., Any], memory: Memory, pulls: Pulls) -> Any:
    from tensorflow.python.ops import script_ops

    local, site_of, running = context.recorder.local, pulls.site, pulls.running
    of_tensors = script_ops.EagerFunc

    def __call__(self: Any, token: Any, device: Any, args: Any) -> Any:
        running.token = token
        result = original(self, token, device, args)
        try:
            table = local.table
            if not table.quiet and not isinstance(self.get(token, None), of_tensors):
                # On a thread of the runtime's there is no frame below.
                site = site_of(table, sys._getframe(0).f_back)
                if site is not None:
                    for array in _arrays(args):
                        _count_in(site, array)
                    for array in _arrays(result):
                        _count_out(site, array, memory)
        except Exception as error:
            context.recorder.fault("tensorflow numpy_function", error)
        return result

    return __call__


def _in_form(context: Context, original: Callable[..., Any], pulls: Pulls) -> Callable[..., Any]:
    """Return a function that counts results which NumPy had to cast, to lay out or to parse."""
    import numpy as np

    local, site_of = context.recorder.local, pulls.site

    def convert(value: Any, dtype: Any = None) -> Any:
        result = original(value, dtype)
        try:
            table = local.table
            if not table.quiet and result is not value and result.ndim and result.nbytes:
                if not isinstance(value, np.ndarray | list | tuple):
                    return result
                site = site_of(table, sys._getframe(1))
                if site is not None:
                    _count_in_form(site, value, result)
        except Exception as error:
            context.recorder.fault("tensorflow numpy_function", error)
        return result

    return convert


def _count_in_form(site: Site, value: Any, result: Array) -> None:
    parsed = isinstance(value, list | tuple)
    span = None if parsed else array_span(value)
    if span is not None and overlap(span, array_span(result)):
        return
    key = ("in form", None if span is None else value.dtype, result.dtype)
    sums = site.groups.get(key)
    if sums is None:
        target = array_kind(result.dtype)
        effects: tuple[Effect, ...] = ("parse",)
        if span is not None:
            effects = ("layout",) if value.dtype == result.dtype else ("cast",)
        sums = Sums(
            "copy",
            Kind("python", target.dtype) if span is None else array_kind(value.dtype),
            target,
            effects,
            implicit=True,
            shape=result.shape,
            proof=None if span is None else Proof(span, array_span(result)),
        )
        sums = site.add(key, sums)
    sums.count += 1
    sums.copies += 1
    sums.read += 0 if parsed else value.nbytes
    sums.written += result.nbytes


def _at_once(context: Context, original: Callable[..., Any], memory: Memory) -> Callable[..., Any]:
    """Return a `numpy_function` that counts what it hands over, where it calls at once."""
    from tensorflow.python.eager import context as eager

    local, site_of = context.recorder.local, context.places.site

    def py_func_common(func: Any, inp: Any, *args: Any, **kwargs: Any) -> Any:
        site = None
        try:
            table = local.table
            if not table.quiet and eager.executing_eagerly():
                site = site_of(table, sys._getframe(1))
        except Exception as error:
            context.recorder.fault("tensorflow numpy_function", error)
        if site is None:
            return original(func, inp, *args, **kwargs)

        def called(*arrays: Any) -> Any:
            try:
                for given, array in zip(inp, arrays, strict=True):
                    if hasattr(given, "_datatype_enum") and array.ndim:
                        shared = memory.address(given) == memory.array_address(array)
                        key = ("numpy_function", array.dtype, shared)
                        _count(site, array, key, shared=shared, inward=True)
            except Exception as error:
                context.recorder.fault("tensorflow numpy_function", error)
            return func(*arrays)

        return original(called, inp, *args, **kwargs)

    return py_func_common


def _arrays(values: Any) -> Iterator[Array]:
    import numpy as np

    for one in values if isinstance(values, list | tuple) else (values,):
        if isinstance(one, np.ndarray) and one.ndim:
            yield one


def _count_in(site: Site, array: Array) -> None:
    """Add up an argument: memory that the ndarray does not own is the tensor's."""
    shared = array.base is not None
    _count(site, array, ("numpy_function", array.dtype, shared), shared=shared, inward=True)


def _count_out(site: Site, array: Array, memory: Memory) -> None:
    """Add up a result, which the runtime adopts where it can use its memory."""
    shared = can_be_shared(array, memory.array_address(array))
    _count(site, array, ("returned", array.dtype, shared), shared=shared, inward=False)


def _count(
    site: Site, array: Array, key: tuple[object, ...], *, shared: bool, inward: bool
) -> None:
    sums = site.groups.get(key)
    if sums is None:
        of_numpy = array_kind(array.dtype)
        objects = of_numpy.dtype == "object"
        of_tensorflow = Kind("tensorflow", "str" if objects else of_numpy.dtype)
        effects: tuple[Effect, ...] = ()
        if objects:
            effects = ("unbox",) if inward else ("parse",)
        span = array_span(array)
        outcome: Outcome = "view" if shared else "copy"
        new = Sums(
            outcome,
            of_tensorflow if inward else of_numpy,
            of_numpy if inward else of_tensorflow,
            effects,
            implicit=None if inward else True,
            shape=array.shape,
            proof=Proof(span, span) if shared else None,
        )
        sums = site.add(key, new)
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += array.nbytes
        sums.written += array.nbytes
