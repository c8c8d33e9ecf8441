"""Keras on JAX: the batches that `fit`, `evaluate` and `predict` hand to compiled steps.

On a CPU, Keras gives ndarrays to the function that JAX has compiled, from a line of its own. What
it takes out of its iterator for a step is what the step is called with, and nothing else.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.handed import Note, settle
from tensortoll.capture.probes.jax.kinds import array_type, ndarrays
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.probes.jax.operators import add_leaf
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.runtime.judging import judge

STEP: Final = "iterator_step"
"""The function of Keras's that calls `next` only to call a step with what comes."""
OUT: Final = ("keras.src.backend", "keras.src.backend.jax", "keras.src.backend.jax.core")
"""Modules through which Keras calls its own `convert_to_numpy`."""


def install_training(context: Context) -> None:
    """Replace the maker of iterators; a Keras that has no such method is left as it is."""
    import jax

    put = context.patches.original(jax.device_put)
    sharing = Sharing(put)
    trainer = sys.modules.get("keras.src.backend.jax.trainer")
    iterators = getattr(trainer, "JAXEpochIterator", None)
    if iterators is None or not hasattr(iterators, "_get_iterator"):
        context.recorder.blind_spot(
            "This Keras keeps its JAX trainer elsewhere: batches that `fit` hands to compiled "
            "steps are not counted."
        )
    else:
        context.patches.replace(
            iterators, "_get_iterator", lambda original: _batches(context, sharing, original)
        )
    for name in OUT:
        module = sys.modules.get(name)
        if hasattr(module, "convert_to_numpy"):
            context.patches.replace(module, "convert_to_numpy", functools.partial(_out, context))


def _batches(context: Context, sharing: Sharing, original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def _get_iterator(self: Any) -> Any:
        return _Counted(original(self), context, sharing)

    return _get_iterator


class _Counted:
    """An iterator over batches that counts those which a compiled step takes in."""

    def __init__(self, batches: Any, context: Context, sharing: Sharing) -> None:
        self._batches = iter(batches)
        self._context = context
        self._sharing = sharing

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = next(self._batches)
        frame = sys._getframe(1)
        if frame.f_code.co_name == STEP and RUNNING.recorder is self._context.recorder:
            try:
                table = self._context.recorder.local.table
                site = None if table.quiet else self._context.places.site(table, frame)
                if site is not None:
                    note = Note(0, 0, certain=True)
                    for one in ndarrays(batch):
                        add_leaf(note, one)
                    settle(site, note, "cpu", self._sharing)
            except Exception as error:
                self._context.recorder.fault("keras on jax", error)
        return batch


def _is_array(value: Any) -> bool:
    kind: type = type(value)
    return kind is array_type() and bool(value.shape)


def _out(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def convert_to_numpy(x: Any) -> Any:
        table = local.table
        if table.quiet or not _is_array(x):
            return original(x)
        table.quiet = 1
        try:
            seen = RUNNING.describe(x)
            result = original(x)
        finally:
            table.quiet = 0
        try:
            site = places.site(table, sys._getframe(1))
            if site is not None and seen is not None:
                judge(site, seen, RUNNING.describe(result), result, 0, "convert")
        except Exception as error:
            context.recorder.fault("keras on jax", error)
        return result

    return convert_to_numpy
