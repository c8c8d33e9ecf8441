"""The arrays that `default_collate` wraps, a batch at a time.

A `DataLoader` over arrays wraps every row by itself, and the wrap costs about as much as seeing
it does. So the rows of a batch are counted together: the override of `lift_fresh` is lifted while
torch wraps them, and the tensors are looked at when torch hands them on as a list.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import PROVEN_FIRST, Override, start_view

if TYPE_CHECKING:
    import torch

WORTH: Final = 8
"""Rows from which on lifting the override costs less than counting each row."""


def install_batches(context: Context, wrapping: Override) -> None:
    """Replace two entries of the table that `default_collate` looks its work up in; add one."""
    import numpy as np
    import torch
    from torch.utils.data._utils import collate

    table = collate.default_collate_fn_map
    if np.ndarray in table and torch.Tensor in table:
        replace = context.patches.replace_item
        replace(table, torch.Tensor, lambda original: _of_tensors(context, original))
        lifting = _Lifting(wrapping, table[torch.Tensor])
        replace(table, np.ndarray, lambda original: _of_arrays(context, lifting, original))
        if tuple not in table:
            context.patches.add_item(table, tuple, _of_tuples(context, lifting))


class _Lifting:
    """The override of `lift_fresh`, lifted in a `with` block; in a nested one, it is already."""

    def __init__(self, wrapping: Override, handed_on: object) -> None:
        self._wrapping = wrapping
        self._handed_on = handed_on
        """Counts the tensors of a batch."""
        self._depth = 0

    def may(self, table: Table, batch: Sized, collate_fn_map: Any) -> bool:
        """Say whether nothing goes unseen if the override is lifted for a batch."""
        import torch

        return (
            not table.quiet
            and len(batch) >= WORTH
            # Other threads may wrap arrays meanwhile.
            and threading.active_count() == 1
            and (collate_fn_map or {}).get(torch.Tensor) is self._handed_on
        )

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._wrapping.stop()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._wrapping.start()


def _of_tuples(context: Context, lifting: _Lifting) -> Callable[..., Any]:
    """Return a function for rows of several arrays, such as features and target.

    To lift the override takes as long as to wrap some rows: it is done once for all of them.
    """
    import numpy as np
    from torch.utils.data._utils.collate import collate

    local, array = context.recorder.local, np.ndarray

    def collate_tuples(batch: Any, *, collate_fn_map: Any = None) -> Any:
        # Torch treats tuples in its own way where the table has no entry for them.
        rest = {key: one for key, one in collate_fn_map.items() if one is not collate_tuples}
        arrays_only = all(type(one) is array for one in batch[0])
        if not (arrays_only and lifting.may(local.table, batch, rest)):
            return collate(batch, collate_fn_map=rest)
        with lifting:
            return collate(batch, collate_fn_map=rest)

    return collate_tuples


def _of_arrays(
    context: Context, lifting: _Lifting, original: Callable[..., Any]
) -> Callable[..., Any]:
    local = context.recorder.local

    def collate_arrays(batch: Any, *, collate_fn_map: Any = None) -> Any:
        table = local.table
        if not lifting.may(table, batch, collate_fn_map):
            return original(batch, collate_fn_map=collate_fn_map)
        try:
            table.batch = context.places.site(table, sys._getframe(1))
        except Exception as error:
            context.recorder.fault("torch default_collate", error)
        try:
            with lifting:
                return original(batch, collate_fn_map=collate_fn_map)
        finally:
            table.batch = None

    return collate_arrays


def _of_tensors(context: Context, original: Callable[..., Any]) -> Callable[..., Any]:
    local = context.recorder.local

    def collate_tensors(batch: Any, *, collate_fn_map: Any = None) -> Any:
        site, local.table.batch = local.table.batch, None
        if site is not None:
            try:
                _count(site, batch)
            except Exception as error:
                context.recorder.fault("torch default_collate", error)
        return original(batch, collate_fn_map=collate_fn_map)

    return collate_tensors


def _count(site: Site, tensors: list[torch.Tensor]) -> None:
    """Add up the tensors that share an array's memory: torch may not resize what it borrowed.

    All of the first batches at a place are looked at, and one of each later batch: the loader
    makes them all in the same way, from arrays of one data set.
    """
    first = tensors[0]
    sums = site.groups.get(first.dtype) or start_view(site, first, first.dtype)
    if sums.count < PROVEN_FIRST * len(tensors):
        sums.count += sum(not one.untyped_storage().resizable() for one in tensors)
    elif not first.untyped_storage().resizable():
        sums.count += len(tensors)
