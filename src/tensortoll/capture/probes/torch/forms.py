"""Conversions that torch makes without `copy_`: sparse, quantised, and stores at an index.

Each of these operators has a kernel of its own that writes its result. They are overridden as
`copy_` is, but count only where the user's line asks for them by name: torch calls the same
kernels for temporaries of its own.
"""

from __future__ import annotations

import ast
import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.recorder import Located, Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.patching import silenced
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import Override, kernel_of
from tensortoll.capture.probes.torch.kinds import (
    ASKS_FOR_A_COPY,
    CASTS,
    kind_of,
    tensor_address,
    tensor_span,
    transfer,
)
from tensortoll.capture.text.calls import Extent, stored_value
from tensortoll.model import Effect, Proof

if TYPE_CHECKING:
    import torch

_SPARSE_KEYS: Final = ("SparseCPU", "SparseCsrCPU")
_ANY_KEYS: Final = ("CPU", *_SPARSE_KEYS)
OPERATORS: Final = {
    "clone": (*_SPARSE_KEYS, "QuantizedCPU", "NestedTensorCPU"),
    "_to_copy": (*_SPARSE_KEYS, "NestedTensorCPU"),
    "_to_dense": _SPARSE_KEYS,
    "_to_sparse": _ANY_KEYS,
    "_to_sparse.sparse_dim": _ANY_KEYS,
    "_to_sparse_csr": _ANY_KEYS,
    "_to_sparse_csc": _ANY_KEYS,
    "_to_sparse_bsr": _ANY_KEYS,
    "_to_sparse_bsc": _ANY_KEYS,
    "quantize_per_tensor": ("CPU",),
    "quantize_per_tensor_dynamic": ("CPU",),
    "quantize_per_channel": ("CPU",),
    "dequantize.self": ("QuantizedCPU",),
    "int_repr": ("QuantizedCPU",),
}
"""The backends by operator whose first argument is the source."""
ASKED_BY: Final = frozenset(
    (
        "to_dense to_sparse to_sparse_csr to_sparse_csc to_sparse_bsr to_sparse_bsc to_sparse_coo "
        "quantize_per_tensor quantize_per_tensor_dynamic quantize_per_channel dequantize int_repr"
    ).split()
) | (ASKS_FOR_A_COPY | CASTS)
"""Names of calls that ask for another form of the same data."""


def install_forms(context: Context) -> None:
    """Override the operators, where this torch has them."""
    overrides = []
    for operator, keys in OPERATORS.items():
        for key in keys:
            with contextlib.suppress(RuntimeError):  # this backend has no kernel for it
                overrides.append(Override(operator, key, _form(context, operator, key)))
    with contextlib.suppress(RuntimeError):
        overrides.append(Override("_index_put_impl_", "CPU", _index_put(context)))
    with silenced():  # that a kernel is overridden is what this is for
        for override in overrides:
            context.patches.at_end(override.stop)
            override.start()


def _kernel(operator: str, key: str) -> Callable[..., Any]:
    call, keys = kernel_of(operator, key)
    return lambda *args, **kwargs: call(keys, *args, **kwargs)


def _form(context: Context, operator: str, key: str) -> Callable[..., Any]:
    original = _kernel(operator, key)
    local, site_of = context.recorder.local, context.places.site

    def form(source: Any, *args: Any, **kwargs: Any) -> Any:
        table = local.table
        site = None
        if not table.quiet:
            try:
                site = site_of(table, sys._getframe(1))
            except Exception as error:
                context.recorder.fault(f"torch {operator}", error)
        if site is None or not _is_asked(site.located):
            return original(source, *args, **kwargs)
        table.quiet = 1
        try:
            started = time.perf_counter_ns()
            result = original(source, *args, **kwargs)
            elapsed = time.perf_counter_ns() - started
            try:
                _count_form(site, source, result, elapsed)
            except Exception as error:
                context.recorder.fault(f"torch {operator}", error)
        finally:
            table.quiet = 0
        return result

    return form


def _is_asked(located: Located) -> bool:
    inside = located.inside
    return located.name in ASKED_BY and (inside is None or not inside.startswith("torch/"))


def _count_form(site: Site, source: torch.Tensor, result: torch.Tensor, elapsed_ns: int) -> None:
    key = (source.dtype, source.layout, result.dtype, result.layout, source.device, "form")
    sums = site.groups.get(key)
    if sums is None:
        origin, target = (kind_of(one.dtype, one.device) for one in (source, result))
        effects: list[Effect] = []
        if source.dtype is not result.dtype:
            effects.append("cast")
        if source.layout is not result.layout:
            effects.append("layout")
        moved = transfer(source.device, result.device)
        if moved is not None:
            effects.append(moved)
        shape = None if source.is_nested else tuple(source.shape)
        sums = site.add(key, Sums("copy", origin, target, tuple(sorted(effects)), shape=shape))
    sums.count += 1
    sums.copies += 1
    # Values or indices may be handed on as they are.
    before, after = _parts(source), _parts(result)
    sums.read += sum(size for address, size in before.items() if address not in after)
    sums.written += sum(size for address, size in after.items() if address not in before)
    sums.elapsed_ns += elapsed_ns


def _parts(tensor: torch.Tensor) -> dict[int, int]:
    """Return address and bytes of all that a tensor of any layout consists of."""
    import torch

    layout = tensor.layout
    if layout is torch.sparse_coo:
        parts: tuple[Any, ...] = tensor._indices(), tensor._values()
    elif layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = tensor.crow_indices(), tensor.col_indices(), tensor.values()
    elif layout in (torch.sparse_csc, torch.sparse_bsc):
        parts = tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    else:
        parts = (tensor,)
    return {tensor_address(one): int(one.nbytes) for one in parts}


def _index_put(context: Context) -> Callable[..., Any]:
    """Return a kernel that counts `tensor[mask] = other`, where ``other`` stood before."""
    original = _kernel("_index_put_impl_", "CPU")
    local, site_of = context.recorder.local, context.places.site

    def index_put(
        target: Any, indices: Any, values: Any, accumulate: bool = False, unsafe: bool = False
    ) -> Any:
        started = time.perf_counter_ns()
        result = original(target, indices, values, accumulate, unsafe)
        elapsed = time.perf_counter_ns() - started
        try:
            table = local.table
            if not (table.quiet or accumulate) and values.numel() > 1:
                site = site_of(table, sys._getframe(1))
                if site is not None and _stores_what_stood(site.located):
                    _count_store(site, target, indices, values, elapsed)
        except Exception as error:
            context.recorder.fault("torch index_put", error)
        return result

    return index_put


@cache
def _stores_what_stood(located: Located) -> bool:
    """Say whether the text shows that the value which is stored was not gathered just now.

    `a[mask] = b[mask]` computes, as far as anyone can tell; `a[mask] = row` duplicates.
    """
    place = located.place
    if located.name != "[]=" or not place.source.text:
        return False
    extent = Extent(place.line, place.end_line, place.column, place.end_column)
    value = stored_value(extent, place.source.text.splitlines(keepends=True))
    if isinstance(value, ast.Subscript):
        parts = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
        return all(isinstance(one, ast.Slice | ast.Constant) for one in parts)
    return value is not None


def _count_store(
    site: Site,
    target: torch.Tensor,
    indices: Sequence[torch.Tensor | None],
    values: torch.Tensor,
    elapsed_ns: int,
) -> None:
    key = (values.dtype, "index_put")
    sums = site.groups.get(key)
    if sums is None:
        kind = kind_of(values.dtype, values.device)
        proof = Proof(tensor_span(values), tensor_span(target))
        sums = site.add(key, Sums("copy", kind, kind, shape=tuple(values.shape), proof=proof))
    sums.count += 1
    sums.copies += 1
    sums.read += values.nbytes
    sums.written += selected(target, indices) * target.element_size()
    sums.elapsed_ns += elapsed_ns


def selected(target: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> int:
    """Return how many elements an index of masks and of tensors of integers selects."""
    import torch

    axes = list(target.shape)
    left, axis = 1, 0
    shapes: list[tuple[int, ...]] = []
    for index in indices:
        if index is None:
            left *= axes[axis]
            axis += 1
        elif index.dtype in (torch.bool, torch.uint8):
            shapes.append((int(index.count_nonzero()),))
            axis += index.dim()
        else:
            shapes.append(tuple(index.shape))
            axis += 1
    return int(left * math.prod(axes[axis:]) * math.prod(torch.broadcast_shapes(*shapes)))
