"""What a copy inside torch was: no conversion, a cast, a new layout, a move, a duplicate."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Hashable
from types import FrameType
from typing import TYPE_CHECKING, Final

from tensortoll.capture.counting.recorder import Located, Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes.torch.borrowed import lender_of
from tensortoll.capture.probes.torch.kinds import (
    ASKS_FOR_A_COPY,
    CASTS,
    CASTS_INDICES,
    DUPLICATES_INSIDE_TORCH,
    kind_of,
    on_the_side_of_numpy,
    tensor_address,
    tensor_span,
    transfer,
)
from tensortoll.capture.probes.torch.wrapping import asked_of_subclass
from tensortoll.model import Effect, Kind, Proof

if TYPE_CHECKING:
    import torch

STORAGE_DEPTH: Final = 12
"""Frames between a kernel and the tensor's method that copies its storage, at most."""


def group_of(
    table: Table, site: Site, target: torch.Tensor, source: torch.Tensor, non_blocking: bool
) -> Sums | None:
    """Return the sums that a copy of ``source`` into ``target`` counts towards.

    None where it was no conversion: a number that fills a tensor, or a temporary of a kernel's.
    A contiguous copy on the CPU that changes the dtype is found by its dtypes alone next time.
    """
    wrapped, table.wrapped = table.wrapped, None
    imported, table.imported = table.imported, None
    if source.numel() == 1 < target.numel() or not source.numel():
        return None
    # The same instruction wrapped an array a moment ago: one border, one conversion.
    from_array = (
        wrapped is not None
        and wrapped.count > 0
        and _is_of(wrapped, site, table, source.dtype)
        and not source.untyped_storage().resizable()
    )
    dtypes = source.dtype, target.dtype
    devices = source.device, target.device
    moved = devices[0] != devices[1]
    lender = None if from_array else lender_of(table, site, source, wrapped, imported)
    if not moved and not from_array and lender is None:
        if dtypes[0] is not dtypes[1]:
            if is_of_its_own(site, source):
                return None
        elif not asked_for(site, source, target) or in_place(source, target):
            return None
        elif site.located.operation == "[]=" and not source.dim():
            return None  # a number, or cannot be told from one
    if site.located.inside == "torch/storage.py":
        tensor = _tensor_of_storage()
        if tensor is not None:  # all of its memory is copied, as bytes
            return _of_storage(site, tensor, source, target)
    layout = laid_out_anew(source, target)
    non_blocking = non_blocking and moved  # on one device, it waits all the same
    plain = not (layout or moved or from_array or non_blocking or lender)
    key: Hashable = dtypes
    if not (plain and devices[0].type == "cpu" and target.is_contiguous()):
        key = (dtypes, devices, non_blocking, layout, from_array, lender)
    sums = site.groups.get(key)
    if sums is None:
        lender = on_the_side_of_numpy(source.dtype) if from_array else lender
        new = _start_copy(site.located, source, target, non_blocking, layout, lender)
        sums = site.add(key, new)
    if from_array and wrapped is not None:
        wrapped.count -= 1
        if not (layout or moved or non_blocking):
            site.from_array = {**(site.from_array or {}), dtypes: sums}
    if devices[1].type == "meta":
        sums.written -= target.nbytes  # there is no memory behind it
        sums.read -= source.nbytes
    elif 0 in source.stride() and source.numel():
        # Of what was expanded, each byte is read once.
        span = tensor_span(source)
        sums.read -= source.nbytes - min(span.stop - span.start, source.nbytes)
    return sums


def _is_of(wrapped: Sums, site: Site, table: Table, dtype: torch.dtype) -> bool:
    """Say whether an array was wrapped at this place.

    The line that waits for a thread may have become another one between the wrap and the copy.
    """
    if site.groups.get(dtype) is wrapped:
        return True
    located = site.located
    return located.waiting and any(
        one is not None
        and one.located.waiting
        and one.located.via == located.via
        and one.groups.get(dtype) is wrapped
        for one in tuple(table.deep.values())
    )


def _tensor_of_storage() -> torch.Tensor | None:
    """Return the tensor whose storage torch's own Python is copying; None where there is none.

    The frames are torch's and end at once: reading their variables keeps nothing alive.
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(STORAGE_DEPTH):
        if frame is None:
            break
        code = frame.f_code
        if code.co_name in {"__deepcopy__", "share_memory_"} and code.co_filename.endswith(
            "_tensor.py"
        ):
            tensor: torch.Tensor = frame.f_locals["self"]
            return tensor
        frame = frame.f_back
    return None


def _of_storage(
    site: Site, tensor: torch.Tensor, source: torch.Tensor, target: torch.Tensor
) -> Sums:
    kind = kind_of(tensor.dtype, tensor.device)
    key = ("storage", tensor.dtype, tensor.device)
    sums = site.groups.get(key)
    if sums is None:
        proof = Proof(tensor_span(source), tensor_span(target))
        sums = site.add(key, Sums("copy", kind, kind, shape=tuple(tensor.shape), proof=proof))
    return sums


def is_of_its_own(site: Site, source: torch.Tensor) -> bool:
    """Say whether what was cast is a number or an index that an operation made for itself."""
    located = site.located
    return located.implicit and (source.numel() == 1 or located.name in CASTS_INDICES)


def in_place(source: torch.Tensor, target: torch.Tensor) -> bool:
    """Say whether both are the same elements, as after `a[i] += 1`, which stores what stands."""
    start = tensor_address(source)
    # A device may keep its addresses to itself.
    return start != 0 and start == tensor_address(target) and source.stride() == target.stride()


def asked_for(site: Site, source: torch.Tensor, target: torch.Tensor) -> bool:
    """Say whether the call that copied was one that duplicates data on purpose."""
    located = site.located
    if located.name == "func" and located.inside == "torch/_tensor.py":
        return asked_of_subclass() in ASKS_FOR_A_COPY
    if located.inside is not None and located.inside.startswith("torch/"):
        if located.name.startswith("_share_"):
            return not located.implicit  # workers hand their batches over in this way
        return located.name in DUPLICATES_INSIDE_TORCH.get(located.inside, ())
    if located.name in CASTS or (located.name == "to" and source.is_conj()):
        return laid_out_anew(source, target)
    return located.name in ASKS_FOR_A_COPY


def may_be_asked_for(site: Site) -> bool:
    """Say whether there are copies at a place that `asked_for` would say yes of; asked once."""
    if site.duplicates is None:
        site.duplicates = _may_duplicate(site.located)
    return site.duplicates


def _may_duplicate(located: Located) -> bool:
    name, inside = located.name, located.inside or ""
    if inside.startswith("torch/"):
        asks = name in DUPLICATES_INSIDE_TORCH.get(inside, ())
        return asks or name == "func" or name.startswith("_share_")
    return name in ASKS_FOR_A_COPY or name in CASTS


def laid_out_anew(source: torch.Tensor, target: torch.Tensor) -> bool:
    """Say whether the elements lie in another order or at other distances than before."""
    shape = source.shape
    if shape != target.shape:
        return False
    before, after = source.stride(), target.stride()
    if before == after:
        return False
    return any(n > 1 and one != other for n, one, other in zip(shape, before, after, strict=True))


def _start_copy(
    located: Located,
    source: torch.Tensor,
    target: torch.Tensor,
    non_blocking: bool,
    layout: bool,
    lender: Kind | None,
) -> Sums:
    effects: list[Effect] = []
    if source.dtype is not target.dtype:
        effects.append("cast")
    if layout:
        effects.append("layout")
    moved = transfer(source.device, target.device)
    if moved is not None:
        effects.append(moved)
        if any(side.device.type == "cpu" and side.is_pinned() for side in (source, target)):
            effects.append("pinned")
    elif located.name == "pin_memory" and target.is_pinned():
        effects.append("pinned")
    if non_blocking:
        effects.append("non_blocking")
    origin = lender or kind_of(source.dtype, source.device)
    proof = None
    with contextlib.suppress(RuntimeError, NotImplementedError):
        if tensor_address(source) and tensor_address(target):
            proof = Proof(tensor_span(source), tensor_span(target))
    named = {one.device.type for one in (source, target)}  # `tensor.cuda()`
    return Sums(
        "copy",
        origin,
        kind_of(target.dtype, target.device),
        tuple(sorted(effects)),
        implicit=False if located.operation.removeprefix(".") in named else None,
        shape=tuple(source.shape),
        proof=proof,
    )
