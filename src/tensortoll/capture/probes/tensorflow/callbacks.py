"""Python functions that TensorFlow's runtime calls: `numpy_function`, `from_generator`.

The runtime hands them ndarrays and takes ndarrays back, on threads of its own. A `py_function`
gets tensors instead, and what it makes of them passes through the other borders.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tensortoll.capture.addresses import array_span
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import array_kind
from tensortoll.capture.probes.tensorflow.memory import Memory, can_be_shared
from tensortoll.capture.recorder import Site
from tensortoll.capture.sums import Sums
from tensortoll.model import Effect, Kind, Outcome, Proof

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def install_callbacks(context: Context, memory: Memory) -> None:
    """Replace the method that the runtime calls."""
    from tensorflow.python.ops import script_ops

    context.patches.replace(
        script_ops.FuncRegistry, "__call__", lambda original: _call(context, original, memory)
    )


def _call(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    from tensorflow.python.ops import script_ops

    local, site_of = context.recorder.local, context.places.site
    of_tensors = script_ops.EagerFunc

    def __call__(self: Any, token: Any, device: Any, args: Any) -> Any:
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
