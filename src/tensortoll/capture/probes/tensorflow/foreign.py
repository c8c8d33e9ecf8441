"""Arrays of third libraries that TensorFlow is given: torch tensors, pandas columns, and others."""

from __future__ import annotations

import sys
from typing import Any, Final

from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes.tensorflow.kinds import (
    effects_between,
    is_implicit,
    kind_of,
    payload,
)
from tensortoll.capture.probes.tensorflow.memory import Memory
from tensortoll.capture.probes.torch.kinds import tensor_address
from tensortoll.model import Kind, Outcome, Proof, Span

_LIBRARIES: Final = {
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "polars": "polars",
    "PIL": "PIL",
    "scipy": "scipy",
    "xarray": "xarray",
    "array": "python",
}
"""Import names by the first part of a class's module."""


def count_foreign(site: Site, value: Any, result: Any, memory: Memory, elapsed_ns: int) -> None:
    """Add up an array of a third library, where it is one.

    Args:
        site: Where.
        value: What TensorFlow was given.
        result: The tensor it made.
        memory: Looks at tensors.
        elapsed_ns: How long it took.
    """
    library = _LIBRARIES.get(type(value).__module__.partition(".")[0])
    if library is None or not result._rank():
        return
    start = memory.address(result)
    shared = start is not None and start == _address(value, memory)
    number, device = result._datatype_enum(), result.backing_device
    dtype = _dtype(value)
    key = (library, dtype, number, device, shared)
    sums = site.groups.get(key)
    if sums is None:
        target = kind_of(number, device)
        origin = Kind(library, dtype or target.dtype)
        outcome: Outcome = "view" if shared else "copy"
        span = Span(start, start + payload(result)) if shared and start is not None else None
        new = Sums(
            outcome,
            origin,
            target,
            effects_between(origin, target),
            implicit=is_implicit(site.located),
            shape=result._shape_tuple(),
            proof=None if span is None else Proof(span, span),
        )
        sums = site.add(key, new)
    sums.count += 1
    if not shared:
        sums.copies += 1
        sums.read += payload(result)
        sums.written += payload(result)
        sums.elapsed_ns += elapsed_ns


def _dtype(value: Any) -> str | None:
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return None
    name = str(getattr(dtype, "name", dtype)).removeprefix("torch.")
    # Extension dtypes (`Int64`, `category`) have names that are no dtype of NumPy's.
    return name if name.islower() and name != "category" else None


def _address(value: Any, memory: Memory) -> int | None:
    """Return where the elements lie, as NumPy would see them; None where that can't be had.

    What NumPy has to copy for us lies somewhere else, so it never looks shared.
    """
    import numpy as np

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return tensor_address(value)
    return memory.array_address(np.asarray(value))
