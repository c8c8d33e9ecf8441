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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.patching import silenced
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.borrowed import walked
from tensortoll.capture.probes.torch.copies import group_of, may_be_asked_for
from tensortoll.capture.probes.torch.kinds import (
    kind_of,
    on_the_side_of_numpy,
    tensor_span,
)
from tensortoll.model import Proof

if TYPE_CHECKING:
    import torch

PROVEN_FIRST: Final = 32
PROVEN_LATER: Final = 64
"""Where a call can only share or raise: how many are proven one by one, and every which after."""
_ONE_ELEMENT: Final = 16
"""Bytes of one element of the widest dtype: so few may be a number that fills a tensor."""


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


def kernel_of(operator: str, key: str) -> tuple[Callable[..., Any], Any]:
    """Return torch's own kernel of a backend, and the keys to hand it.

    What a backend's kernel is handed is always its own key, so it need not be handed to us.

    Raises:
        RuntimeError: If the backend has no kernel of its own.
    """
    import torch

    # By its name, torch would list all keys to find this one.
    dispatch_key = getattr(torch._C.DispatchKey, key)
    kernel: Any = torch.library.get_kernel(f"aten::{operator}", dispatch_key)
    return kernel.call_boxed, torch._C.DispatchKeySet(dispatch_key)


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
    with contextlib.suppress(RuntimeError):  # a backend without a kernel of its own
        overrides.append(Override("copy_", "Meta", _copy(context, "Meta")))
    with silenced():
        # "Overriding a previously registered kernel": that is what this is for.
        for override in overrides:
            context.patches.at_end(override.stop)
            override.start()
    return kernels


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
                if not tensor.numel():
                    return tensor  # nothing crosses, and where nothing lies says nothing
                # Torch may resize memory of its own; what it borrowed from an array, it may not.
                if tensor.untyped_storage().resizable():
                    if tensor.dim():
                        _count_parse(table, site, tensor, dtype)
                    return tensor
                sums = sums or start_view(site, tensor, dtype)
                if site.takes_arrays_alone:
                    sums.due = next_proof(sums.count)
            sums.count += 1
            table.wrapped, table.imported = sums, None
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


def _count_parse(table: Table, site: Site, tensor: torch.Tensor, dtype: torch.dtype) -> None:
    origin, effects = walked(table, site, dtype)
    key = ("parse", origin, dtype)
    sums = site.groups.get(key)
    if sums is None:
        target = kind_of(dtype, tensor.device)
        new = Sums("copy", origin, target, effects, shape=tuple(tensor.shape))
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
    call, keys = kernel_of("copy_", key)
    clock = time.perf_counter_ns
    get_frame = sys._getframe
    tracing = torch._C._get_tracing_state
    on_cpu = key == "CPU"

    def copy_(target: Any, source: Any, non_blocking: bool = False) -> Any:
        kind = type(source)
        if kind is not plain and not isinstance(source, plain):
            # A number that was wrapped for the purpose comes back as a plain one.
            return target.fill_(source)
        table = local.table
        if table.quiet:
            return call(keys, target, source, non_blocking)
        site = None
        try:
            frame = get_frame(0).f_back  # None on a thread of autograd's
            instruction = 0 if frame is None else id(frame.f_code) + frame.f_lasti
            dtypes = source.dtype, target.dtype
            wrapped = table.wrapped
            temporary = on_cpu and wrapped is None and dtypes[0] is dtypes[1]
            if not (temporary and instruction in table.own_copies):
                site = table.sites.get(instruction) or find_site(table, frame)
                if site is not None and temporary and not may_be_asked_for(site):
                    # Such as the bias that `linear` spreads out.
                    site = None
                    if frame is not None:
                        table.own_copies.add(instruction)
        except Exception as error:
            site = None
            context.recorder.fault("torch copy_", error)
        if site is None:
            return call(keys, target, source, non_blocking)
        table.quiet = 1
        try:
            started = clock()
            result = call(keys, target, source, non_blocking)
            elapsed = clock() - started
            try:
                read = source.nbytes
                if wrapped is None:
                    sums = site.groups.get(dtypes)
                elif wrapped is site.groups.get(dtypes[0]) and site.from_array is not None:
                    # The same instruction wrapped an array a moment ago, as it did before.
                    sums = site.from_array.get(dtypes)
                else:
                    sums = None
                if (
                    sums is None
                    or not on_cpu
                    or read <= _ONE_ELEMENT
                    or kind is not plain
                    or site.takes_buffers
                    or not source.is_contiguous()
                ):
                    if tracing() is not None:
                        return result
                    with torch._C.DisableTorchFunctionSubclass():
                        sums = group_of(table, site, target, source, non_blocking)
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
