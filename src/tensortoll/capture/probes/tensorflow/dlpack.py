"""DLPack in both directions. Who made a capsule is looked up in the notes of the exporters.

NumPy can leave no note, as nothing about an ndarray can be replaced. But its capsules name the
function that frees them, which is the same for all.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from tensortoll.capture.arrays.exports import Exports
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.kinds import kind_of, payload
from tensortoll.capture.probes.tensorflow.memory import Memory, is_awaited
from tensortoll.model import Kind, Outcome, Proof, Span

_NUMPY_TAKES: Final = frozenset(("np.from_dlpack", "numpy.from_dlpack"))
_DELETERS: Final = ((b"dltensor", 56), (b"dltensor_versioned", 16))
"""Where the function that frees a capsule stands behind its pointer, by name (dlpack.h)."""


def install_dlpack(context: Context, memory: Memory) -> None:
    """Replace both functions that deal in capsules."""
    from tensorflow.python import pywrap_tfe

    replace = context.patches.replace
    replace(pywrap_tfe, "TFE_ToDlpackCapsule", lambda original: _export(context, original, memory))
    replace(
        pywrap_tfe, "TFE_FromDlpackCapsule", lambda original: _import(context, original, memory)
    )


def _export(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    """Return an exporter that leaves a note, and counts where NumPy is the one that asks.

    Other consumers count by themselves when they take the capsule in.
    """
    local, site_of = context.recorder.local, context.places.site

    def TFE_ToDlpackCapsule(tensor: Any, *args: Any) -> Any:
        capsule = original(tensor, *args)
        try:
            table = local.table
            number, device = tensor._datatype_enum(), tensor.backing_device
            context.exports.add(capsule, kind_of(number, device))
            frame = sys._getframe(1)
            if not table.quiet and not is_awaited(table, frame):
                site = site_of(table, frame)
                if site is not None and site.located.operation in _NUMPY_TAKES:
                    _count_export(context.exports, site, tensor, capsule, memory)
        except Exception as error:
            context.recorder.fault("tensorflow to_dlpack", error)
        return capsule

    return TFE_ToDlpackCapsule


def _count_export(
    exports: Exports, site: Site, tensor: Any, capsule: object, memory: Memory
) -> None:
    span = memory.span(tensor)
    if span is None or exports.address(capsule) != span.start:
        return
    origin = kind_of(tensor._datatype_enum(), tensor.backing_device)
    target = Kind("numpy", origin.dtype)
    _count(site, origin, target, span, tensor, shared=True)


def _import(context: Context, original: Callable[..., Any], memory: Memory) -> Any:
    local, site_of = context.recorder.local, context.places.site

    def TFE_FromDlpackCapsule(capsule: Any, *args: Any) -> Any:
        table = local.table
        if table.quiet:
            return original(capsule, *args)
        library = address = None
        try:
            known, address = context.exports.kind(capsule), context.exports.address(capsule)
            # The note may be an older one, on the same address: the capsule itself knows better.
            library = _maker(capsule) or (None if known is None else known.library)
        except Exception as error:
            context.recorder.fault("tensorflow from_dlpack", error)
        result = original(capsule, *args)
        try:
            if library is not None and library != "tensorflow":
                site = site_of(table, sys._getframe(1))
                if site is not None:
                    _count_import(site, result, library, address, memory)
        except Exception as error:
            context.recorder.fault("tensorflow from_dlpack", error)
        return result

    return TFE_FromDlpackCapsule


def _count_import(
    site: Site, result: Any, library: str, address: int | None, memory: Memory
) -> None:
    span = memory.span(result)
    target = kind_of(result._datatype_enum(), result.backing_device)
    origin = Kind(library, target.dtype, target.device)
    # On an accelerator there is nothing to look at; a capsule that is taken in is not copied.
    if span is not None or result._rank():
        shared = span is None or span.start == address
        _count(site, origin, target, span, result, shared=shared)


def _count(
    site: Site, origin: Kind, target: Kind, span: Span | None, tensor: Any, *, shared: bool
) -> None:
    key = (origin, target, shared, "dlpack")
    sums = site.groups.get(key)
    if sums is None:
        outcome: Outcome = "view" if shared else "copy"
        proof = Proof(span, span) if shared and span is not None else None
        shape = tensor._shape_tuple()
        sums = site.add(key, Sums(outcome, origin, target, shape=shape, proof=proof))
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += payload(tensor)
        sums.written += payload(tensor)


def _maker(capsule: object) -> str | None:
    """Return who made a capsule that nobody left a note on, where that can be told."""
    found = _deleter(capsule)
    if found in _of_numpy():
        return "numpy"
    return "torch" if "torch" in sys.modules and found in _of_torch() else None


@cache
def _of_numpy() -> frozenset[int | None]:
    """Return the functions that free NumPy's capsules."""
    import numpy as np

    array = np.zeros(1)
    found = [_deleter(array.__dlpack__())]
    with contextlib.suppress(TypeError):  # a NumPy that knows no versions
        found.append(_deleter(array.__dlpack__(max_version=(1, 0))))
    return frozenset(found) - {None}


@cache
def _of_torch() -> frozenset[int | None]:
    """Return the function that frees torch's capsules."""
    from torch.utils import dlpack

    torch = sys.modules["torch"]
    return frozenset((_deleter(dlpack.to_dlpack(torch.zeros(1))),)) - {None}


def _deleter(capsule: object) -> int | None:
    """Return the address of the function that frees what an unused capsule speaks of."""
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
    for name, offset in _DELETERS:
        if api.PyCapsule_IsValid(capsule, name):
            pointer = api.PyCapsule_GetPointer(capsule, name)
            return ctypes.c_void_p.from_address(pointer + offset).value
    return None
