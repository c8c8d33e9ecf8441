"""The arrays that `default_collate` wraps, a batch at a time.

A `DataLoader` over arrays wraps every row by itself, and the wrap costs about as much as seeing
it does. So the rows of a batch are counted together: the override of `lift_fresh` is lifted while
torch wraps them, and the tensors are looked at when torch hands them on as a list.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import PROVEN_FIRST, Override, start_view

if TYPE_CHECKING:
    import torch

WORTH: Final = 8
"""Rows from which on lifting the override costs less than counting each row."""


def install_batches(context: Context, wrapping: Override) -> None:
    """Replace two entries of the table that `default_collate` looks its work up in."""
    import numpy as np
    import torch
    from torch.utils.data._utils import collate

    table = collate.default_collate_fn_map
    if np.ndarray in table and torch.Tensor in table:
        replace = context.patches.replace_item
        replace(table, torch.Tensor, lambda original: _of_tensors(context, original))
        handed_on = table[torch.Tensor]
        replace(
            table, np.ndarray, lambda original: _of_arrays(context, wrapping, original, handed_on)
        )


def _of_arrays(
    context: Context, wrapping: Override, original: Callable[..., Any], handed_on: object
) -> Callable[..., Any]:
    import torch

    local = context.recorder.local

    def collate_arrays(batch: Any, *, collate_fn_map: Any = None) -> Any:
        table = local.table
        if (
            table.quiet
            or len(batch) < WORTH
            # Other threads may wrap arrays meanwhile, and must not go unseen.
            or threading.active_count() > 1
            or (collate_fn_map or {}).get(torch.Tensor) is not handed_on
        ):
            return original(batch, collate_fn_map=collate_fn_map)
        try:
            table.batch = context.places.site(table, sys._getframe(1))
        except Exception as error:
            context.recorder.fault("torch default_collate", error)
        wrapping.stop()
        try:
            return original(batch, collate_fn_map=collate_fn_map)
        finally:
            wrapping.start()
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
