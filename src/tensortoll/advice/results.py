"""Whether two results are the same, whatever library they are of."""

from __future__ import annotations

import sys
from typing import Any, Final

KEPT: Final = 1e-6
"""Values that differ by more, relative to their size, are lost; float32 rounds by less."""


def alike(one: Any, other: Any, rounding: float, *, values: bool = True) -> float | None:
    """Return by how much two results differ, relative to their size; None for too much.

    Too much is: another class, dtype, shape or device, or values further apart than ``rounding``.

    Args:
        one: A result.
        other: Another one.
        rounding: How far apart values may be, relative to their size.
        values: Whether values are to be compared at all.
    """
    if type(one) is not type(other):
        return None
    if isinstance(one, float) and rounding:
        apart = abs(one - other)
        return apart / max(abs(one), abs(other), 1.0) if apart <= rounding * abs(one) else None
    if isinstance(one, list | tuple | int | float | bool | complex | str):
        return 0.0 if one == other else None
    if _described(one) != _described(other):
        return None
    if str(getattr(one, "device", "")) == "meta" or not values:
        return 0.0  # there are no values
    return _difference(_elements(one), _elements(other), rounding)


def keeps(result: Any, meant: Any) -> bool:
    """Say whether a result has the values that were meant, whatever their dtype."""
    import numpy as np

    values = _elements(result)
    return values.shape == np.shape(meant) and np.allclose(values, meant, rtol=KEPT, atol=0)


def _described(value: Any) -> tuple[str, ...]:
    device = getattr(value, "device", "")
    wants = getattr(value, "requires_grad", False)
    return str(value.dtype), str(tuple(value.shape)), str(device), str(wants)


def _elements(value: Any) -> Any:
    import numpy as np

    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return np.asarray(value)


def _difference(one: Any, other: Any, rounding: float) -> float | None:
    import numpy as np

    inexact = one.dtype.kind in "fc"
    if np.array_equal(one, other, equal_nan=inexact):
        return 0.0
    if not rounding or not inexact:
        return None
    size = np.maximum(np.abs(one), np.abs(other))
    apart = np.abs(one - other)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = float(np.nanmax(np.where(apart > 0, apart / size, 0.0)))
    return found if found <= rounding else None
