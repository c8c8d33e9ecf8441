"""Objects that are no arrays, and no sequences of numbers either."""

from __future__ import annotations

from types import GeneratorType
from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.contents import Contents, is_missing
from tensortoll.capture.failures.diagnosis import Diagnosis, into, told
from tensortoll.capture.failures.sequences import beyond_range

_PLAIN: Final = (int, float, complex, bool, str, bytes)


def no_array(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    """Tell of an object that is no array, and no sequence of numbers either."""
    import numpy as np

    if isinstance(value, int | np.integer):
        alone = Contents(whole=("", int(value)), negative=("", int(value)) if value < 0 else None)
        beyond = beyond_range(alone, found, library)
        if beyond is None:
            return None
        return Diagnosis("out-of-range", beyond[0].replace("Element ", "The number"), (), value)
    if value is None and found.operands[0] is not None:
        return None
    other = _of_another_kind(value, found, library)
    if other is not None:
        return other
    cures = _cures(value, found, library)
    if cures is None:
        return None
    shown = f", {told(value)}" if hasattr(value, "__float__") else ""
    return Diagnosis(
        "not-an-array",
        f"{name_of(found)} is {_a(type(value).__name__)}{shown}: no array, and no sequence of "
        "numbers.",
        cures,
        value,
    )


def _cures(value: Any, found: Attempt, library: str) -> tuple[str, ...] | None:
    """Return what to write for an object that is no array; None where nothing is wrong with it."""
    read: dict[type, str] = {
        GeneratorType: "list({x})",
        dict: "list({x}.values())",
        memoryview: "np.asarray({x})",
    }
    if type(value) in read:
        return (_made(library, read[type(value)]),)
    if isinstance(value, set | frozenset):
        return (_made(library, "sorted({x})"),)
    if found.name == "from_numpy":
        return "torch.from_numpy({x}.to_numpy())", "torch.tensor({x})"
    if isinstance(value, _PLAIN) or hasattr(value, "shape"):
        return None
    is_picture = library != "numpy" and hasattr(value, "__array_interface__")
    if is_picture or hasattr(value, "__float__"):
        return (into(library, "np.array({x})" if is_picture else "float({x})"),)
    return () if value is None or is_missing(value) or type(value).__name__ in _KNOWN else None


def _made(library: str, values: str) -> str:
    """Return a sequence of numbers as an array of a library, NumPy's own too."""
    return f"np.array({values})" if library == "numpy" else into(library, values)


def _of_another_kind(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    """Tell of a tensor, and of a sparse matrix, which holds its elements in several arrays."""
    if found.name == "from_numpy" and hasattr(value, "untyped_storage"):
        told_of = f"{name_of(found)} is a tensor of torch's already."
        return Diagnosis("not-an-array", told_of, ("{x}",), value)
    if not type(value).__module__.startswith("scipy.sparse"):
        return None
    size = " x ".join(map(str, value.shape))
    return Diagnosis(
        "sparse",
        f"{name_of(found)} is a sparse matrix of SciPy's ({value.format}): it has no plain block "
        f"of {size} elements to be read.",
        (into(library, "{x}.toarray()"),),
        value,
    )


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


_KNOWN: Final = frozenset(("object", "Decimal", "Fraction", "date", "datetime", "map", "zip"))


def name_of(found: Attempt) -> str:
    """Return how the user wrote the operand."""
    return found.argument or "The operand"
