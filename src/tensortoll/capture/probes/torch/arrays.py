"""From tensors to ndarrays: `numpy()`, and `__array__`, which NumPy calls by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.addresses import array_address, array_span
from tensortoll.capture.counting.presumed import Presumed
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import next_proof
from tensortoll.capture.probes.torch.kinds import (
    kind_of,
    seen_tensor,
    tensor_address,
    tensor_span,
)
from tensortoll.capture.probes.torch.wrapping import left_alone_by_dynamo, unseen_by_subclasses
from tensortoll.model import Effect, Kind, Proof

if TYPE_CHECKING:
    import torch


STORES: Final = frozenset(("[]=", "np.copyto", "numpy.copyto"))
"""Operations of NumPy's that copy once more what they are handed, into an array that stands."""


def install_arrays(context: Context) -> None:
    """Replace the two methods that make an ndarray of a tensor."""
    import torch

    replace = context.patches.replace
    replace(torch.Tensor, "numpy", lambda original: _numpy(context, original))
    replace(torch.Tensor, "__array__", lambda original: _array(context, original))


def _numpy(context: Context, original: Callable[..., Any]) -> Any:
    """Return a `numpy` that counts views, and copies where `force` made one.

    Without arguments it shares the tensor's memory or raises. That is proven by addresses for the
    first calls at a place and for every 64th one after: the proof takes as long as the call.
    """
    import torch

    plain = torch.Tensor
    local, find_site = context.recorder.local, context.places.site
    get_frame = sys._getframe

    # With `**kwargs`, Python would make a dictionary for each call.
    def numpy(self: torch.Tensor, *args: Any, force: Any = False) -> Any:
        if args or force is not False or type(self) is not plain:
            # A subclass may come back here from its own `__torch_function__`.
            return _forced(context, original, get_frame(1), self, args, force)
        result = original(self)
        try:
            table = local.table
            if table.quiet:
                return result
            frame = get_frame(1)
            site = table.sites.get(id(frame.f_code) + frame.f_lasti) or find_site(table, frame)
            if site is None:
                return result
            sums = site.groups.get(self.dtype)
            if sums is None or sums.count >= sums.due:
                _count_array(site, self, result, copied_after=False)
                if sums is not None:
                    sums.due = next_proof(sums.count)
            else:
                sums.count += 1
        except Exception as error:
            context.recorder.fault("torch.Tensor.numpy", error)
        return result

    return left_alone_by_dynamo(numpy, original)


def _forced(
    context: Context,
    original: Callable[..., Any],
    frame: FrameType,
    tensor: torch.Tensor,
    args: tuple[Any, ...],
    force: Any,
) -> Any:
    """Call a `numpy` that may do more on the way, as with `force`: one border in all."""
    kwargs = {} if force is False else {"force": force}
    table = context.recorder.local.table
    if table.quiet:
        return original(tensor, *args, **kwargs)
    table.quiet = 1
    try:
        result = original(tensor, *args, **kwargs)
        try:
            site = context.places.site(table, frame)
            if site is not None:
                _count_array(site, tensor, result, copied_after=False)
        except Exception as error:
            context.recorder.fault("torch.Tensor.numpy", error)
    finally:
        table.quiet = 0
    return result


def _array(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places
    refused_copy: set[int] = set()
    presumed = Presumed()

    def __array__(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        table.quiet = 1
        thread = id(table)
        try:
            try:
                result = original(self, *args, **kwargs)
            except TypeError:
                # NumPy asks for a copy first. Torch knows no such argument, so NumPy asks again
                # without it and copies what it gets by itself.
                if kwargs.get("copy"):
                    refused_copy.add(thread)
                raise
            copied_after = thread in refused_copy
            refused_copy.discard(thread)
            try:
                frame = sys._getframe(1)
                site = places.site(table, frame)
                if site is not None:
                    if args and not copied_after:
                        presumed.take_back(thread, frame, self)
                    sums = _count_array(site, self, result, copied_after)
                    if sums is not None and not args:
                        presumed.add(thread, frame, self, sums, result.nbytes, whole=True)
            except Exception as error:
                context.recorder.fault("torch.Tensor.__array__", error)
        finally:
            table.quiet = 0
        return result

    return left_alone_by_dynamo(__array__, original)


@unseen_by_subclasses
def _count_array(site: Site, tensor: torch.Tensor, result: Any, copied_after: bool) -> Sums | None:
    """Add up an ndarray that NumPy was given; return where a copy counts that is only presumed."""
    if not tensor.numel():
        return None  # no byte crosses, and an empty array's address says nothing
    shared = _is_view(tensor, result)
    lent = site.table.lent
    if lent is None and site.located.operation == "[]=":
        return None  # what NumPy writes of it, and where to, is seen in rewritten stores only
    if shared and (not copied_after or (lent is not None and tensor.dim())):
        # What NumPy copies from it is judged once it is there; see `expressions`.
        sums = site.groups.get(tensor.dtype)
        if sums is None:
            sums = site.add(tensor.dtype, _started(tensor, result, "view"))
        sums.count += 1
        if lent is not None:
            lent.append((sums, seen_tensor(tensor)))
        return None
    sums = _count_copy_out(site, tensor, result, extra=copied_after and not shared)
    if lent is not None and site.located.operation in STORES:
        lent.append((sums, seen_tensor(tensor)._replace(handed=result.nbytes)))
    return sums if shared else None


def _is_view(tensor: torch.Tensor, array: Any) -> bool:
    return array_address()(array) == tensor_address(tensor)


def _started(tensor: torch.Tensor, array: Any, outcome: Any) -> Sums:
    effects: list[Effect] = []
    target = Kind("numpy", array.dtype.name)
    origin = kind_of(tensor.dtype, tensor.device)
    if target.dtype != origin.dtype:
        effects.append("cast")
    if tensor.device.type != "cpu":
        effects.append("d2h")
    steps = tuple(step // array.itemsize for step in array.strides)
    if outcome == "copy" and tensor.shape == array.shape:
        before = tensor.stride()
        if any(n > 1 and a != b for n, a, b in zip(array.shape, before, steps, strict=True)):
            effects.append("layout")
    proof = None
    if tensor.device.type == "cpu":
        proof = Proof(tensor_span(tensor), array_span(array))
    return Sums(
        outcome, origin, target, tuple(sorted(effects)), shape=tuple(tensor.shape), proof=proof
    )


def _count_copy_out(site: Site, tensor: torch.Tensor, array: Any, *, extra: bool = False) -> Sums:
    """Add up an ndarray that does not share the tensor's memory, or that NumPy copies at once.

    Args:
        site: Where.
        tensor: What was asked.
        array: What it gave.
        extra: Whether NumPy copies once more what is a copy already.
    """
    key = (tensor.dtype, array.dtype, tensor.device, "out")
    sums = site.groups.get(key)
    if sums is None:
        sums = site.add(key, _started(tensor, array, "copy"))
        if sums.proof is not None and _is_view(tensor, array):
            sums.proof = None  # what NumPy will copy into does not exist yet
    sums.count += 1
    sums.copies += 1 + extra
    sums.read += tensor.nbytes + extra * array.nbytes
    sums.written += array.nbytes * (1 + extra)
    return sums
