"""Memory that is lent: DLPack capsules in both directions, and buffers of Python objects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.exports import Exports
from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.dangers import warn_of_backward_strides
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kinds import (
    kind_of,
    on_the_side_of_numpy,
    tensor_span,
)
from tensortoll.capture.probes.torch.wrapping import left_alone_by_dynamo, unseen_by_subclasses
from tensortoll.model import Kind, Proof

if TYPE_CHECKING:
    import torch


def install_exchange(context: Context) -> None:
    """Replace the functions and the method through which memory is lent without a kernel."""
    import torch
    import torch.utils.dlpack

    replace = context.patches.replace
    replace(torch.Tensor, "__dlpack__", lambda original: _dlpack(context, original))
    replace(torch._C, "_to_dlpack", lambda original: _exported(context, original))
    replace(torch._C, "_to_dlpack_versioned", lambda original: _exported(context, original))
    replace(torch.utils.dlpack, "to_dlpack", lambda original: _exported(context, original))
    replace(torch._C, "_from_dlpack", lambda original: _from_dlpack(context, original))
    replace(torch, "frombuffer", lambda original: _from_buffer(context, original))


def _dlpack(context: Context, original: Callable[..., Any]) -> Any:
    """Return a `__dlpack__` that counts a view where NumPy asked for it.

    Other consumers count by themselves when they take the capsule in.
    """
    local, places = context.recorder.local, context.places

    def __dlpack__(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        table.quiet = 1
        try:
            capsule = original(self, *args, **kwargs)
            try:
                site = places.site(table, sys._getframe(1))
                _note_export(context.exports, site, self, capsule)
            except Exception as error:
                context.recorder.fault("torch.Tensor.__dlpack__", error)
        finally:
            table.quiet = 0
        return capsule

    return left_alone_by_dynamo(__dlpack__, original)


NUMPY_TAKES: Final = frozenset(("np.from_dlpack", "numpy.from_dlpack"))


@unseen_by_subclasses
def _note_export(
    exports: Exports, site: Site | None, tensor: torch.Tensor, capsule: object
) -> None:
    exports.add(capsule, kind_of(tensor.dtype, tensor.device))
    if site is not None and site.located.operation in NUMPY_TAKES:
        _count_export(exports, site, tensor, capsule)


def _count_export(exports: Exports, site: Site, tensor: torch.Tensor, capsule: object) -> None:
    span = tensor_span(tensor)
    if exports.address(capsule) != span.start:
        return
    key = (tensor.dtype, "__dlpack__")
    sums = site.groups.get(key)
    if sums is None:
        new = Sums(
            "view",
            kind_of(tensor.dtype, tensor.device),
            on_the_side_of_numpy(tensor.dtype),
            shape=tuple(tensor.shape),
            proof=Proof(span, span),
        )
        sums = site.add(key, new)
    sums.count += 1


def _exported(context: Context, original: Callable[..., Any]) -> Any:
    """Return a capsule maker that remembers whose memory the capsule speaks of."""

    def export(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        capsule = original(tensor, *args, **kwargs)
        try:
            context.exports.add(capsule, kind_of(tensor.dtype, tensor.device))
        except Exception as error:
            context.recorder.fault("torch to_dlpack", error)
        return capsule

    return left_alone_by_dynamo(export, original)


def _from_dlpack(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    def from_dlpack(capsule: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(capsule, *args, **kwargs)
        address = origin = None
        try:
            address = context.exports.address(capsule)
            origin = _origin(context.exports.kind(capsule), _exporter(sys._getframe(1)))
            lent = sys._getframe(1).f_locals.get("ext_tensor")
            warn_of_backward_strides(places.site(table, sys._getframe(1)), lent)
            del lent
        except Exception as error:
            context.recorder.fault("torch from_dlpack", error)
        result = original(capsule, *args, **kwargs)
        try:
            if origin is not None and origin.library != "torch":
                site = places.site(table, sys._getframe(1))
                if site is not None:
                    _count_import(table, site, result, origin, address)
        except Exception as error:
            context.recorder.fault("torch from_dlpack", error)
        return result

    return left_alone_by_dynamo(from_dlpack, original)


def _origin(noted: Kind | None, exporter: Kind | None) -> Kind | None:
    """Return what a capsule's memory is. The note may be an older one, on the same address."""
    if exporter is None or (noted is not None and noted.library == exporter.library):
        return noted
    return exporter


def _exporter(frame: FrameType) -> Kind | None:
    """Return whose capsule it is where no note was left, as for an ndarray's, made in C.

    The caller is torch's own `from_dlpack`, which ends at once: reading its variables keeps
    nothing alive.
    """
    value = frame.f_locals.get("ext_tensor")
    library = type(value).__module__.partition(".")[0]
    if library == "builtins":
        return None  # a capsule, which may come from anywhere
    return Kind("jax" if library == "jaxlib" else library, "")


def _count_import(
    table: Table, site: Site, tensor: torch.Tensor, origin: Kind, address: int | None
) -> None:
    span = tensor_span(tensor)
    shared = address == span.start
    key = (tensor.dtype, origin, shared, "from_dlpack")
    sums = site.groups.get(key)
    if sums is None:
        target = kind_of(tensor.dtype, tensor.device)
        new = Sums(
            "view" if shared else "copy",
            origin._replace(dtype=target.dtype),
            target,
            shape=tuple(tensor.shape),
            proof=Proof(span, span) if shared else None,
        )
        sums = site.add(key, new)
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += tensor.nbytes
        sums.written += tensor.nbytes
    elif address is not None:
        # `torch.tensor` may copy at once what it has taken in.
        table.wrapped, table.imported = sums, (site.located.place, address)


def _from_buffer(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    def frombuffer(buffer: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(buffer, *args, **kwargs)
        table = local.table
        if table.quiet:
            return result
        try:
            site = places.site(table, sys._getframe(1))
            if site is not None and not result.untyped_storage().resizable():
                key = (result.dtype, "frombuffer")
                sums = site.groups.get(key)
                if sums is None:
                    target = kind_of(result.dtype, result.device)
                    owner = "numpy" if type(buffer).__module__ == "numpy" else "python"
                    span = tensor_span(result)
                    new = Sums(
                        "view",
                        Kind(owner, target.dtype),
                        target,
                        shape=tuple(result.shape),
                        proof=Proof(span, span),
                    )
                    sums = site.add(key, new)
                sums.count += 1
        except Exception as error:
            context.recorder.fault("torch.frombuffer", error)
        return result

    return left_alone_by_dynamo(frombuffer, original)
