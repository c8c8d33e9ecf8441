"""The two ATen kernels that see all data come into torch and all data written inside it.

`copy_` is where casts, clones, contiguous copies, device moves, autocast, backward's casts,
`Module.to` and hidden promotions all end. `lift_fresh` runs once for every tensor made of an
ndarray or of Python objects, also through a function that was imported before we came. Both are
overridden at the keys of the backends, below autograd and autocast, so that no other operation
pays anything, and threads, inference mode and compiled functions stay as they are.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.patching import silenced
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kinds import (
    ASKS_FOR_A_COPY,
    CASTS,
    CASTS_INDICES,
    DUPLICATES_INSIDE_TORCH,
    dtype_name,
    kind_of,
    on_the_side_of_numpy,
    tensor_address,
    tensor_span,
    transfer,
)
from tensortoll.capture.probes.torch.wrapping import asked_of_subclass
from tensortoll.capture.recorder import Site, Sums, Table
from tensortoll.model import Effect, Kind, Proof

if TYPE_CHECKING:
    import torch

PROVEN_FIRST: Final = 32
PROVEN_LATER: Final = 64
"""Where a call can only share or raise: how many are proven one by one, and every which after."""
STORAGE_DEPTH: Final = 12
"""Frames between a kernel and the tensor's method that copies its storage, at most."""
_ACCELERATOR_KEYS: Final = {"cuda": "CUDA", "mps": "MPS", "xpu": "XPU"}


def next_proof(count: int) -> int:
    """Return which conversion is to be proven next, after the one that makes ``count`` + 1."""
    return count + (1 if count < PROVEN_FIRST else PROVEN_LATER)


class Override:
    """A Python kernel in place of one of torch's, which can be lifted for a moment.

    To be called at all costs a Python kernel microseconds. Where torch is known to call it by the
    hundred for nothing, or for what can be counted together, it is lifted meanwhile; see
    `batches` and `optimizers`.
    """

    def __init__(self, operator: str, key: str, kernel: Callable[..., Any]) -> None:
        import torch

        self._arguments = operator, key, kernel, False
        self._library = torch._C._dispatch_library("IMPL", "aten", "")

    def start(self) -> None:
        """Put our kernel in place."""
        self._library.impl(*self._arguments)

    def stop(self) -> None:
        """Leave torch's kernel in place."""
        self._library.reset()


@dataclass(frozen=True, slots=True)
class Kernels:
    """The overrides on the CPU."""

    wrapping: Override
    """Of `lift_fresh`."""
    copying: Override
    """Of `copy_`."""


def install_kernels(context: Context) -> Kernels:
    """Override both kernels, and have them put back at the end."""
    kernels = Kernels(
        Override("lift_fresh", "CPU", _lift_fresh(context)),
        Override("copy_", "CPU", _copy(context, "CPU")),
    )
    overrides = [kernels.wrapping, kernels.copying]
    for key in ("Meta", *_accelerator_key()):
        with contextlib.suppress(RuntimeError):  # a backend without a kernel of its own
            overrides.append(Override("copy_", key, _copy(context, key)))
    with silenced():
        # "Overriding a previously registered kernel": that is what this is for.
        for override in overrides:
            context.patches.at_end(override.stop)
            override.start()
    return kernels


def _accelerator_key() -> Iterator[str]:
    import torch

    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None:
        yield _ACCELERATOR_KEYS.get(accelerator.type, "PrivateUse1")


def _lift_fresh(context: Context) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a kernel that takes note of a tensor that was just made.

    The kernel it stands for returns its argument, so there is nothing to call. `from_numpy` takes
    nothing but arrays and shares or raises: there the proof is made for the first calls and for
    every 64th one after.
    """
    local = context.recorder.local
    find_site = context.places.site
    get_frame = sys._getframe

    def lift_fresh(tensor: torch.Tensor) -> torch.Tensor:
        try:
            table = local.table
            if table.quiet:
                return tensor
            frame = get_frame(1)
            site = table.sites.get(id(frame.f_code) + frame.f_lasti) or find_site(table, frame)
            if site is None:
                return tensor
            dtype = tensor.dtype
            sums = site.groups.get(dtype)
            if sums is None or sums.count >= sums.due:
                # Torch may resize memory of its own; what it borrowed from an array, it may not.
                if tensor.untyped_storage().resizable():
                    if tensor.dim():
                        _count_parse(site, tensor, dtype)
                    return tensor
                sums = sums or start_view(site, tensor, dtype)
                if site.takes_arrays_alone:
                    sums.due = next_proof(sums.count)
            sums.count += 1
            table.wrapped = sums
        except Exception as error:
            context.recorder.fault("torch lift_fresh", error)
        return tensor

    return lift_fresh


def start_view(site: Site, tensor: torch.Tensor, dtype: torch.dtype) -> Sums:
    """Start the group of tensors of one dtype that share an ndarray's memory at a place."""
    kind = kind_of(dtype, tensor.device)
    span = tensor_span(tensor)
    sums = Sums(
        "view",
        on_the_side_of_numpy(dtype),
        kind,
        shape=tuple(tensor.shape),
        proof=Proof(span, span),
    )
    return site.add(dtype, sums)


def _count_parse(site: Site, tensor: torch.Tensor, dtype: torch.dtype) -> None:
    key = ("parse", dtype)
    sums = site.groups.get(key)
    if sums is None:
        target = kind_of(dtype, tensor.device)
        origin = Kind("python", dtype_name(dtype))
        new = Sums("copy", origin, target, ("parse",), shape=tuple(tensor.shape))
        sums = site.add(key, new)
    sums.count += 1
    sums.copies += 1
    sums.written += tensor.nbytes


def _copy(context: Context, key: str) -> Callable[..., Any]:
    """Return a kernel for one backend that copies as before and counts what was converted.

    What comes after a large copy runs with cold caches, where each step costs several times what
    it does in a tight loop: hence one lookup by place and dtypes, and the rest once per group.

    Raises:
        RuntimeError: If the backend has no kernel of its own.
    """
    import torch

    plain: Any = torch.Tensor
    local = context.recorder.local
    find_site = context.places.site
    call = torch.library.get_kernel("aten::copy_", key).call_boxed
    # What a backend's kernel is handed is always its own key, so it need not be handed to us.
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))
    clock = time.perf_counter_ns
    get_frame = sys._getframe
    tracing = torch._C._get_tracing_state
    on_cpu = key == "CPU"

    def copy_(target: Any, source: Any, non_blocking: bool = False) -> Any:
        if not isinstance(source, plain):
            # A number that was wrapped for the purpose comes back as a plain one.
            return target.fill_(source)
        table = local.table
        if table.quiet:
            return call(keys, target, source, non_blocking)
        table.quiet = 1
        try:
            started = clock()
            result = call(keys, target, source, non_blocking)
            elapsed = clock() - started
            try:
                frame = get_frame(0).f_back  # None on a thread of autograd's
                site = None
                if frame is not None:
                    site = table.sites.get(id(frame.f_code) + frame.f_lasti)
                site = site or find_site(table, frame)
                if site is None:
                    return result
                read = source.nbytes
                dtypes = source.dtype, target.dtype
                wrapped = table.wrapped
                if wrapped is None:
                    sums = site.groups.get(dtypes)
                elif wrapped is site.groups.get(source.dtype) and site.from_array is not None:
                    # The same instruction wrapped an array a moment ago, as it did before.
                    sums = site.from_array.get(dtypes)
                else:
                    sums = None
                if (
                    sums is None
                    or not on_cpu
                    or read <= _ONE_ELEMENT
                    or type(source) is not plain
                    or not source.is_contiguous()
                ):
                    if tracing() is not None:
                        return result
                    with torch._C.DisableTorchFunctionSubclass():
                        sums = _group(table, site, target, source, non_blocking)
                    if sums is None:
                        return result
                elif wrapped is not None:
                    wrapped.count -= 1
                    table.wrapped = None
                sums.count += 1
                sums.copies += 1
                sums.elapsed_ns += elapsed
                sums.read += read
                sums.written += target.nbytes
            except Exception as error:
                context.recorder.fault("torch copy_", error)
        finally:
            table.quiet = 0
        return result

    return copy_


_ONE_ELEMENT: Final = 16
"""Bytes of one element of the widest dtype: so few may be a number that fills a tensor."""


def _group(
    table: Table, site: Site, target: torch.Tensor, source: torch.Tensor, non_blocking: bool
) -> Sums | None:
    """Return the sums that a copy of ``source`` into ``target`` counts towards.

    None where it was no conversion: a number that fills a tensor, or a temporary of a kernel's.
    A contiguous copy on the CPU that changes the dtype is found by its dtypes alone next time.
    """
    wrapped, table.wrapped = table.wrapped, None
    if source.numel() == 1 < target.numel():
        return None
    # The same instruction wrapped an array a moment ago: one border, one conversion.
    from_array = (
        wrapped is not None
        and site.groups.get(source.dtype) is wrapped
        and wrapped.count > 0
        and not source.untyped_storage().resizable()
    )
    dtypes = source.dtype, target.dtype
    devices = source.device, target.device
    moved = devices[0] != devices[1]
    if not moved and not from_array:
        if dtypes[0] is not dtypes[1]:
            if is_of_its_own(site, source):
                return None
        elif not asked_for(site, source, target) or in_place(source, target):
            return None
    if site.located.inside == "torch/storage.py":
        tensor = _tensor_of_storage()
        if tensor is not None:  # all of its memory is copied, as bytes
            return _of_storage(site, tensor, source, target)
    layout = laid_out_anew(source, target)
    non_blocking = non_blocking and moved  # on one device, it waits all the same
    plain = not (layout or moved or from_array or non_blocking)
    key: Hashable = dtypes
    if not (plain and devices[0].type == "cpu" and target.is_contiguous()):
        key = (dtypes, devices, non_blocking, layout, from_array)
    sums = site.groups.get(key)
    if sums is None:
        sums = site.add(key, _start_copy(source, target, non_blocking, layout, from_array))
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
    same_start = tensor_address(source) == tensor_address(target)
    return same_start and source.stride() == target.stride()


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
    source: torch.Tensor,
    target: torch.Tensor,
    non_blocking: bool,
    layout: bool,
    from_array: bool,
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
    if non_blocking:
        effects.append("non_blocking")
    origin = kind_of(source.dtype, source.device)
    if from_array:
        origin = on_the_side_of_numpy(source.dtype)
    proof = None
    with contextlib.suppress(RuntimeError, NotImplementedError):
        proof = Proof(tensor_span(source), tensor_span(target))
    return Sums(
        "copy",
        origin,
        kind_of(target.dtype, target.device),
        tuple(sorted(effects)),
        shape=tuple(source.shape),
        proof=proof,
    )
