"""The ways out of torch, and into it, that no kernel sees: NumPy, Python objects, DLPack, buffers.

A wrapped method carries the marks that `torch._dynamo.disable(…, recursive=False)` would set. The
wrapper that that function puts around costs half a microsecond a call, and importing it costs
seconds; without the marks a compiled function that calls the method would recurse for ever.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.addresses import array_address, array_span
from tensortoll.capture.exports import Exports
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import next_proof
from tensortoll.capture.probes.torch.kinds import (
    dtype_name,
    kind_of,
    on_the_side_of_numpy,
    seen_tensor,
    tensor_address,
    tensor_span,
    transfer,
)
from tensortoll.capture.recorder import Site, Sums, Table
from tensortoll.model import Effect, Kind, Proof

if TYPE_CHECKING:
    import torch

SCALAR_READS: Final = ("item", "__float__", "__int__", "__bool__", "__index__", "__complex__")


def install_borders(context: Context) -> None:
    """Replace the methods and functions through which data leaves or enters torch."""
    import torch
    import torch.utils.dlpack

    replace = context.patches.replace
    replace(torch.Tensor, "numpy", lambda original: _numpy(context, original))
    replace(torch.Tensor, "__array__", lambda original: _array(context, original))
    replace(torch.Tensor, "tolist", lambda original: _unbox(context, original))
    for name in SCALAR_READS:
        replace(torch.Tensor, name, lambda original: _unbox(context, original))
    replace(torch.Tensor, "__dlpack__", lambda original: _dlpack(context, original))
    replace(torch._C, "_to_dlpack", lambda original: _exported(context, original))
    replace(torch._C, "_to_dlpack_versioned", lambda original: _exported(context, original))
    replace(torch.utils.dlpack, "to_dlpack", lambda original: _exported(context, original))
    replace(torch._C, "_from_dlpack", lambda original: _from_dlpack(context, original))
    replace(torch, "frombuffer", lambda original: _from_buffer(context, original))


def _unseen_by_subclasses(function: Callable[..., None]) -> Callable[..., None]:
    """Have ``function`` ask tensors for attributes without telling `__torch_function__`."""

    def asking(*args: Any, **kwargs: Any) -> None:
        import torch

        with torch._C.DisableTorchFunctionSubclass():
            function(*args, **kwargs)

    return asking


def _left_alone_by_dynamo(function: Any, original: Any) -> Any:
    function._torchdynamo_disable = True
    function._torchdynamo_disable_msg = None
    function._torchdynamo_disable_recursive = False
    function._torchdynamo_orig_callable = original
    function.__name__ = getattr(original, "__name__", function.__name__)
    function.__doc__ = getattr(original, "__doc__", None)
    return function


def _numpy(context: Context, original: Callable[..., Any]) -> Any:
    """Return a `numpy` that counts views, and copies where `force` made one.

    Without arguments it shares the tensor's memory or raises. That is proven by addresses for the
    first calls at a place and for every 64th one after: the proof takes as long as the call.
    """
    import torch

    plain = torch.Tensor
    local, find_site = context.recorder.local, context.places.site
    get_frame = sys._getframe

    def numpy(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            return _forced(context, original, get_frame(1), self, args, kwargs)
        result = original(self)
        try:
            table = local.table
            if table.quiet:
                return result
            frame = get_frame(1)
            site = table.sites.get(id(frame.f_code) + frame.f_lasti) or find_site(table, frame)
            if site is None:
                return result
            if type(self) is not plain:
                _count_array(site, self, result, copied_after=False)
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

    return _left_alone_by_dynamo(numpy, original)


def _forced(
    context: Context,
    original: Callable[..., Any],
    frame: FrameType,
    tensor: torch.Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call `numpy(force=…)`, which may move, cast or resolve on the way: one border in all."""
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
                site = places.site(table, sys._getframe(1))
                if site is not None:
                    _count_array(site, self, result, copied_after)
            except Exception as error:
                context.recorder.fault("torch.Tensor.__array__", error)
        finally:
            table.quiet = 0
        return result

    return _left_alone_by_dynamo(__array__, original)


@_unseen_by_subclasses
def _count_array(site: Site, tensor: torch.Tensor, result: Any, copied_after: bool) -> None:
    if not tensor.numel():
        return  # no byte crosses, and an empty array's address says nothing
    shared = _is_view(tensor, result)
    if shared and not copied_after:
        sums = site.groups.get(tensor.dtype)
        if sums is None:
            sums = site.add(tensor.dtype, _started(tensor, result, "view"))
        sums.count += 1
        lent = site.table.lent
        if lent is not None:
            lent.append((sums, seen_tensor(tensor)))
        return
    _count_copy_out(site, tensor, result, extra=copied_after and not shared)


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
    proof = None
    if tensor.device.type == "cpu":
        proof = Proof(tensor_span(tensor), array_span(array))
    return Sums(
        outcome, origin, target, tuple(sorted(effects)), shape=tuple(tensor.shape), proof=proof
    )


def _count_copy_out(site: Site, tensor: torch.Tensor, array: Any, *, extra: bool = False) -> None:
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


def _unbox(context: Context, original: Callable[..., Any]) -> Any:
    local, find_site = context.recorder.local, context.places.site
    get_frame, clock = sys._getframe, time.perf_counter_ns

    def unbox(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(self, *args, **kwargs)
        frame = get_frame(1)
        if id(frame.f_code) in table.own_reads:
            return original(self, *args, **kwargs)
        table.quiet = 1
        try:
            started = clock()
            result = original(self, *args, **kwargs)
            elapsed = clock() - started
            try:
                site = table.sites.get(id(frame.f_code) + frame.f_lasti) or find_site(table, frame)
                if site is not None:
                    _count_unbox(table, site, frame, self, elapsed)
            except Exception as error:
                context.recorder.fault("torch.Tensor reads", error)
        finally:
            table.quiet = 0
        return result

    return _left_alone_by_dynamo(unbox, original)


@_unseen_by_subclasses
def _count_unbox(
    table: Table, site: Site, frame: FrameType, tensor: torch.Tensor, elapsed_ns: int
) -> None:
    device = tensor.device
    if (
        site.located.inside is not None
        and site.located.inside.startswith("torch/")
        and device.type == "cpu"
        and not tensor.dim()
    ):
        # An optimizer looks at its own step counter, a loader at its seed: nobody's data.
        table.own_reads.add(id(frame.f_code))
        table.codes[id(frame.f_code)] = frame.f_code
        return
    key = (tensor.dtype, device, "unbox")
    sums = site.groups.get(key)
    if sums is None:
        sums = site.add(key, _start_unbox(tensor))
    sums.count += 1
    sums.copies += 1
    sums.read += tensor.nbytes
    sums.elapsed_ns += elapsed_ns


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

    return _left_alone_by_dynamo(__dlpack__, original)


NUMPY_TAKES: Final = frozenset(("np.from_dlpack", "numpy.from_dlpack"))


@_unseen_by_subclasses
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

    return _left_alone_by_dynamo(export, original)


def _from_dlpack(context: Context, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    def from_dlpack(capsule: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(capsule, *args, **kwargs)
        address = origin = None
        try:
            address = context.exports.address(capsule)
            origin = context.exports.kind(capsule) or _exporter(sys._getframe(1))
        except Exception as error:
            context.recorder.fault("torch from_dlpack", error)
        result = original(capsule, *args, **kwargs)
        try:
            if origin is not None and origin.library != "torch":
                site = places.site(table, sys._getframe(1))
                if site is not None:
                    _count_import(site, result, origin, address)
        except Exception as error:
            context.recorder.fault("torch from_dlpack", error)
        return result

    return _left_alone_by_dynamo(from_dlpack, original)


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


def _count_import(site: Site, tensor: torch.Tensor, origin: Kind, address: int | None) -> None:
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

    return _left_alone_by_dynamo(frombuffer, original)
