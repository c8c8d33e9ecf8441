"""Values that an array or a tensor does not take in where they are stored into it."""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.failures.attempts import STORE, Attempt
from tensortoll.capture.failures.contents import contents
from tensortoll.capture.failures.diagnosis import Diagnosis
from tensortoll.capture.failures.sequences import of_sequence

_NO_TENSOR: Final = "can't assign a "
"""What torch writes where neither a tensor nor a number is stored."""
_OF_SHAPES: Final = "broadcast"


def refused_by_store(found: Attempt) -> Diagnosis | None:
    """Tell of what was stored: nothing of wrong shapes, which is the user's own affair."""
    if found.name != STORE or not found.operands or _OF_SHAPES in found.text:
        return None
    value = found.operands[0]
    if found.text.startswith(_NO_TENSOR):
        return _no_tensor(value)
    if found.library == "numpy" and isinstance(value, list | tuple):
        return of_sequence(value, contents(value), found, "numpy")
    return None


def _no_tensor(value: Any) -> Diagnosis | None:
    import numpy as np

    if not isinstance(value, np.ndarray | list | tuple):
        return None
    what = "an ndarray" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    return Diagnosis(
        "other",
        f"What is stored is {what}, and a tensor takes in tensors and numbers only.",
        ("torch.as_tensor({x})",),
        value,
    )
