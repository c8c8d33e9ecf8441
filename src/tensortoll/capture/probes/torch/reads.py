"""From tensors to Python objects: `tolist()`, and the reads of a single number."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kinds import (
    dtype_name,
    kind_of,
    transfer,
)
from tensortoll.capture.probes.torch.wrapping import left_alone_by_dynamo
from tensortoll.model import Effect, Kind

if TYPE_CHECKING:
    import torch


SCALAR_READS: Final = ("item", "__float__", "__int__", "__bool__", "__index__", "__complex__")


_OF_INDICES: Final = ("torch/utils/data/", "torch/nested/")
"""Folders of torch's that read indices of their own, and no data."""


def install_reads(context: Context) -> None:
    """Replace the methods that make Python objects of a tensor."""
    import torch

    for name in ("tolist", *SCALAR_READS):
        context.patches.replace(torch.Tensor, name, lambda original: _unbox(context, original))


def _unbox(context: Context, original: Callable[..., Any]) -> Any:
    import torch

    plain, unseen = torch.Tensor, torch._C.DisableTorchFunctionSubclass
    places = context.places
    local, find_site = context.recorder.local, places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns

    def unbox(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        frame = get_frame(1)
        if id(frame.f_code) in table.own_reads and not (args or kwargs):
            return original(self)  # an optimizer asks for the step of each parameter
        table.quiet = 1
        try:
            started = clock()
            result = original(self, *args, **kwargs)
            elapsed = clock() - started
            try:
                site = table.sites.get(id(frame.f_code) + frame.f_lasti) or find_site(table, frame)
                if site is None and self.device.type != "cpu":
                    site = places.printing(table, frame)
                if site is not None:
                    if type(self) is plain:
                        _count_unbox(table, site, frame, self, elapsed)
                    else:
                        with unseen():  # by the `__torch_function__` of a subclass
                            _count_unbox(table, site, frame, self, elapsed)
            except Exception as error:
                context.recorder.fault("torch.Tensor reads", error)
        finally:
            table.quiet = 0
        return result

    return left_alone_by_dynamo(unbox, original)


def _count_unbox(
    table: Table, site: Site, frame: FrameType, tensor: torch.Tensor, elapsed_ns: int
) -> None:
    key: Hashable = (tensor.dtype, "unbox" if tensor.is_cpu else tensor.device)
    sums = site.groups.get(key)
    if sums is None:
        if _is_own_affair(site, tensor):
            table.own_reads.add(id(frame.f_code))
            table.codes[id(frame.f_code)] = frame.f_code
            return
        sums = site.add(key, _start_unbox(tensor))
    sums.count += 1
    sums.copies += 1
    sums.read += tensor.nbytes
    sums.elapsed_ns += elapsed_ns


def _is_own_affair(site: Site, tensor: torch.Tensor) -> bool:
    """Say whether it is nobody's data.

    An optimizer looks at its own step counter, a loader at its seed and at the order it takes the
    rows in.
    """
    inside = site.located.inside
    if inside is None or not inside.startswith("torch/") or not tensor.is_cpu:
        return False
    return not tensor.dim() or inside.startswith(_OF_INDICES)


def _start_unbox(tensor: torch.Tensor) -> Sums:
    effects: list[Effect] = ["unbox"]
    import torch

    moved = transfer(tensor.device, torch.device("cpu"))
    if moved is not None:
        effects.append(moved)
    return Sums(
        "copy",
        kind_of(tensor.dtype, tensor.device),
        Kind("python", dtype_name(tensor.dtype)),
        tuple(sorted(effects)),
        shape=tuple(tensor.shape),
    )
