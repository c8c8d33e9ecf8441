"""Keras: the cast that it makes in NumPy before any backend sees the user's array.

All else passes through the backend's own borders. Arrays given to `fit`, `predict` and `evaluate`
are brought to `floatx` with `ndarray.astype`, which nothing can be hooked into but its one caller.
So it is with `ops.convert_to_numpy` of TensorFlow's tensors, which NumPy reads in C.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.addresses import array_span
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.training import install_training
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.crossing import counted
from tensortoll.model import Kind, Proof

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

OUT: Final = (
    "keras.src.backend",
    "keras.src.backend.tensorflow",
    "keras.src.backend.tensorflow.core",
)
"""Modules through which Keras on TensorFlow calls its own `convert_to_numpy`."""


class KerasProbe:
    """Watches what Keras does with arrays by itself."""

    library = "keras"
    explicit: frozenset[str] = frozenset()
    rewrites = Rewrites()

    def install(self, context: Context) -> None:
        """Replace the two functions; a Keras that has no such files is left as it is."""
        if "keras.src.backend.jax.trainer" in sys.modules:
            install_training(context)
        if "keras.src.backend.tensorflow.trainer" in sys.modules:
            out = partial(counted, context, keyword="x", only_changed=True)
            for module in map(sys.modules.get, OUT):
                if hasattr(module, "convert_to_numpy"):
                    context.patches.replace(module, "convert_to_numpy", out)
        try:
            from keras.src.trainers.data_adapters import array_slicing
        except ImportError:
            context.recorder.blind_spot(
                "This Keras keeps its array adapters elsewhere: casts that it makes in NumPy "
                "before the backend sees the array are not counted."
            )
            return
        context.patches.replace(
            array_slicing.NumpySliceable, "cast", lambda original: _cast(context, original)
        )

    def describe(self, value: Any) -> Seen | None:  # noqa: ARG002 - it has no memory of its own
        """Return None: the memory behind Keras's variables is the backend's."""
        return None


def _cast(context: Context, original: Callable[..., Any]) -> Any:
    def cast(cls: type, x: Any, dtype: Any) -> Any:  # noqa: ARG001 - a class method's own
        started = time.perf_counter_ns()
        result = original(x, dtype)
        elapsed = time.perf_counter_ns() - started
        try:
            table = context.recorder.local.table
            if not table.quiet and result is not x:
                site = context.places.site(table, sys._getframe(1))
                if site is not None:
                    key = (x.dtype, result.dtype, "cast")
                    sums = site.groups.get(key)
                    if sums is None:
                        sums = site.add(key, _start(x, result))
                    sums.count += 1
                    sums.copies += 1
                    sums.read += x.nbytes
                    sums.written += result.nbytes
                    sums.elapsed_ns += elapsed
        except Exception as error:
            context.recorder.fault("keras cast", error)
        return result

    return classmethod(cast)


def _start(source: Array, result: Array) -> Sums:
    return Sums(
        "copy",
        Kind("numpy", source.dtype.name),
        Kind("numpy", result.dtype.name),
        ("cast",) if source.dtype.name != result.dtype.name else (),
        implicit=True,
        shape=source.shape,
        proof=Proof(array_span(source), array_span(result)),
    )
