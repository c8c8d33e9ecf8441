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
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.patching import silenced
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kinds import (
    ASKS_FOR_A_COPY,
    DUPLICATES_INSIDE_TORCH,
    dtype_name,
    kind_of,
    on_the_side_of_numpy,
    tensor_span,
    transfer,
)
from tensortoll.capture.recorder import Site, Sums, Table
from tensortoll.model import Effect, Kind, Proof

if TYPE_CHECKING:
    import torch

_ACCELERATOR_KEYS: Final = {"cuda": "CUDA", "mps": "MPS", "xpu": "XPU"}
_UNKNOWN: Final = object()


def install_kernels(context: Context) -> None:
    """Override both kernels, and have them put back at the end."""
    import torch

    library = torch.library.Library("aten", "IMPL")
    context.patches.at_end(library._destroy)
    with silenced():
        # "Overriding a previously registered kernel": that is what this is for.
        library.impl("lift_fresh", _lift_fresh(context), "CPU")
        for key in ("CPU", "Meta", *_accelerator_key()):
            with contextlib.suppress(RuntimeError):  # a backend without a kernel of its own
                kernel = torch.library.get_kernel("aten::copy_", key)
                library.impl("copy_", _copy(context, kernel), key, with_keyset=True)


def _accelerator_key() -> Iterator[str]:
    import torch

    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None:
        yield _ACCELERATOR_KEYS.get(accelerator.type, "PrivateUse1")


def _caller() -> FrameType | None:
    """Return the innermost Python frame outside this file: None on a thread that has none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def _lift_fresh(context: Context) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a kernel that takes note of a tensor that was just made.

    The kernel it stands for returns its argument, so there is nothing to call.
    """
    local = context.recorder.local
    places = context.places
    get_frame = sys._getframe

    def lift_fresh(tensor: torch.Tensor) -> torch.Tensor:
        try:
            table = local.table
            if table.quiet:
                return tensor
            frame = get_frame(1)
            site = table.sites.get(id(frame.f_code) + frame.f_lasti, _UNKNOWN)
            if site is _UNKNOWN:
                site = places.site(table, frame)
            if site is None:
                return tensor
            dtype = tensor.dtype
            # Torch may resize memory of its own; what it borrowed from an array, it may not.
            if not tensor.untyped_storage().resizable():
                sums = site.groups.get(dtype)
                if sums is None:
                    sums = _start_view(site, tensor, dtype)
                sums.count += 1
                table.wrapped = site, tensor.numel(), sums
            elif tensor.dim():
                _count_parse(site, tensor, dtype)
        except Exception as error:
            context.recorder.fault("torch lift_fresh", error)
        return tensor

    return lift_fresh


def _start_view(site: Site, tensor: torch.Tensor, dtype: torch.dtype) -> Sums:
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


def _copy(context: Context, kernel: Any) -> Callable[..., Any]:
    """Return a kernel that copies as before and counts what was converted."""
    import torch

    is_tensor: Any = torch.Tensor
    local = context.recorder.local
    call = kernel.call_boxed
    clock = time.perf_counter_ns
    count = _Counting(context)

    def copy_(keys: Any, target: Any, source: Any, non_blocking: bool = False) -> Any:  # noqa: FBT001, FBT002 - the operator's signature
        if not isinstance(source, is_tensor):
            # A number that was wrapped for the purpose comes back as a plain one.
            return target.fill_(source)
        table = local.table
        if table.quiet:
            return call(keys, target, source, non_blocking)
        table.quiet += 1
        try:
            started = clock()
            result = call(keys, target, source, non_blocking)
            elapsed = clock() - started
            try:
                with torch._C.DisableTorchFunctionSubclass():
                    count(table, _caller(), target, source, non_blocking, elapsed)
            except Exception as error:
                context.recorder.fault("torch copy_", error)
        finally:
            table.quiet -= 1
        return result

    return copy_


class _Counting:
    """Decides whether a copy was a conversion, and adds it up."""

    def __init__(self, context: Context) -> None:
        import torch

        self._places = context.places
        self._tracing = torch._C._get_tracing_state

    def __call__(
        self,
        table: Table,
        frame: FrameType | None,
        target: torch.Tensor,
        source: torch.Tensor,
        non_blocking: bool,  # noqa: FBT001 - passed on from the operator
        elapsed_ns: int,
    ) -> None:
        """Add one copy of ``source`` into ``target`` up, if it was a conversion."""
        if source.numel() == 1 < target.numel() or self._tracing() is not None:
            return  # a number that fills a tensor is no array data
        site = self._places.site(table, frame)
        if site is None:
            return
        wrapped, table.wrapped = table.wrapped, None
        from_array = (
            wrapped is not None
            and wrapped[0] is site
            and wrapped[1] == source.numel()
            and not source.untyped_storage().resizable()
        )
        dtypes = source.dtype, target.dtype
        devices = source.device, target.device
        if (
            dtypes[0] is dtypes[1]
            and devices[0] == devices[1]
            and not from_array
            and not asked_for(site)
        ):
            return
        layout = laid_out_anew(source, target)
        key = (dtypes, devices, non_blocking, layout, from_array)
        sums = site.groups.get(key)
        if sums is None:
            sums = site.add(key, _start_copy(source, target, non_blocking, layout, from_array))
        if from_array and wrapped is not None:
            # The same instruction wrapped the array a moment ago: one border, one conversion.
            wrapped[2].count -= 1
        sums.count += 1
        sums.elapsed_ns += elapsed_ns
        sums.copies += 1
        sums.read += source.nbytes
        if devices[1].type != "meta":
            sums.written += target.nbytes


def asked_for(site: Site) -> bool:
    """Say whether the call that copied was one that duplicates data on purpose."""
    located = site.located
    if located.inside is not None and located.inside.startswith("torch/"):
        return located.name in DUPLICATES_INSIDE_TORCH.get(located.inside, ())
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
    non_blocking: bool,  # noqa: FBT001
    layout: bool,  # noqa: FBT001
    from_array: bool,  # noqa: FBT001
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
