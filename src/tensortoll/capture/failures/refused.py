"""Arrays and Python objects that a library does not take in, and what in them it stumbled over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.contents import contents
from tensortoll.capture.failures.diagnosis import NOTE, Diagnosis, into, told
from tensortoll.capture.failures.evaluating import UNKNOWN
from tensortoll.capture.failures.objects import CODES, of_objects
from tensortoll.capture.failures.others import name_of, no_array
from tensortoll.capture.failures.sequences import of_sequence

MAKERS: Final = frozenset(
    (
        "tensor as_tensor asarray from_numpy frombuffer from_dlpack new_tensor Tensor FloatTensor "
        "DoubleTensor HalfTensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor "
        "constant convert_to_tensor convert_to_tensor_v2_with_dispatch Variable from_tensor_slices "
        "from_tensors assign assign_add assign_sub cast convert_to_eager_tensor make_tensor_proto "
        "array asanyarray ascontiguousarray asfortranarray asarray_chkfinite require fromiter "
        "matrix asmatrix device_put astype to_numpy to_torch to_jax to_tensor fromarray copyto "
        "set_weights convert_to_numpy "
        "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 complex64 "
        "complex128 single double half intc uintc"
    ).split()
)
"""Names of calls that make an array of one library from something else."""
SAYS: Final = (
    "Failed to convert a NumPy array",
    "Can't convert",
    "Attempt to convert a value",
    "Tensor conversion requested",
    "Failed to convert elements",
    "can't convert np.ndarray",
    "Invalid dtype: ",
    "not a valid JAX",
    "out of bounds for",
)
"""What TensorFlow, Keras, torch and JAX write when something on the way was not to be converted,
whatever the line called."""
_MISSES: Final = ("NA", "non-finite", "missing values")
"""What pandas writes where a value is missing."""
TEXTS: Final = "UST"
MOST_CODED: Final = 2
"""Columns of text that a remedy turns into codes; more of them make no line to read."""


def is_of_arrays(found: Attempt) -> bool:
    """Say whether what raised takes array data in, by its name or by the library's own words."""
    names = {found.name, found.inner_name}
    return bool(names & MAKERS) or any(one in found.text for one in SAYS)


def refused(found: Attempt) -> Diagnosis | None:
    """Tell what in an array, a sequence or an object a library did not take."""
    if not is_of_arrays(found):
        return None
    library = _target(found)
    for operand in (one for one in found.operands if one is not UNKNOWN):
        diagnosis = _of(operand, found, library)
        if diagnosis is not None:
            return diagnosis
    return None


def _target(found: Attempt) -> str:
    library = {"jaxlib": "jax", "": ""}.get(found.library, found.library)
    if library in {"torch", "tensorflow", "numpy", "jax", "keras"}:
        return library
    home = type(found.error).__module__.partition(".")[0]
    if home in {"tensorflow", "jax", "keras"}:
        return home
    if "Failed to convert a NumPy array" in found.text or "Can't convert" in found.text:
        return "tensorflow"
    return "torch" if "np.ndarray of type" in found.text else "numpy"


def _of(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    import numpy as np

    home = type(value).__module__.partition(".")[0]
    if home in {"pandas", "polars"} and hasattr(value, "to_numpy"):
        return _of_column(value, found, library)
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            return of_objects(value, contents(value), library, array=True)
        return _of_array(value, found, library)
    if home == "pyarrow" and found.name == "to_numpy" and value.null_count:
        return _of_nulls(value, found)
    if isinstance(value, list | tuple) and found.name != "from_numpy":
        return of_sequence(value, contents(value), found, library)
    return no_array(value, found, library)


def _of_nulls(value: Any, found: Attempt) -> Diagnosis:
    return Diagnosis(
        "missing-values",
        f"{name_of(found)} misses {value.null_count} of its values: NumPy has no place for that "
        "in the memory that Arrow would share.",
        ("{x}.to_numpy(zero_copy_only=False)" + NOTE + "it is a copy, nan where nothing is",),
        value,
    )


def _of_column(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    """Tell of a column or table: of missing values, or of what its elements are as objects."""
    import numpy as np

    isna = getattr(value, "isna", None)
    if isna is not None and any(one in found.text for one in _MISSES):
        missing = np.argwhere(np.asarray(isna()))
        if len(missing):
            where = "".join(f"[{number}]" for number in missing[0])
            return Diagnosis(
                "missing-values",
                f"{name_of(found)}{where} is missing, and the dtype asked for has nothing for "
                "that.",
                ("{x}.to_numpy(dtype='float64', na_value=np.nan)", "{x}.fillna(0)"),
                value,
            )
    if found.name == "from_numpy":
        return no_array(value, found, library)
    objects = value.to_numpy()
    if objects.dtype.kind != "O":
        return None
    diagnosis = of_objects(objects, contents(objects), library, array=True)
    if diagnosis is None:
        return None
    told_of, better = _columns(value, library) if diagnosis.cause == "mixed-types" else ("", ())
    remedies = tuple(one.replace("{x}", "{x}.to_numpy()") for one in diagnosis.remedies)
    return replace(
        diagnosis,
        explanation=told_of or diagnosis.explanation,
        remedies=(*better, *remedies),
        operand=value,
    )


def _columns(value: Any, library: str) -> tuple[str, tuple[str, ...]]:
    """Tell which columns of a pandas table are no numbers, and how to take them in as codes."""
    if not hasattr(value, "select_dtypes"):
        return "", ()
    numbers = list(value.select_dtypes(["number", "bool"]).columns)
    others = [one for one in value.columns if one not in numbers]
    if not numbers or not others:
        return "", ()
    first = others[0]
    explanation = (
        f"Column {first!r} holds {told(value[first].iloc[0])}, and column {numbers[0]!r} holds "
        f"numbers: a tensor has one dtype."
    )
    left_out = "{x}.select_dtypes(['number', 'bool']).to_numpy(dtype='float64')"
    if len(others) > MOST_CODED or not all(str(one).isidentifier() for one in others):
        return explanation, (into(library, left_out),)
    codes = ", ".join(f"{one}={{x}}[{one!r}].astype('category').cat.codes" for one in others)
    coded = f"{{x}}.assign({codes}).to_numpy(dtype='float64')"
    return explanation, (into(library, coded), into(library, left_out))


def _of_array(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    """Tell of an array of numbers, text or times that a library has no form for."""
    dtype = value.dtype
    name = name_of(found)
    if found.library == "PIL" and dtype.str not in {"|u1", "|b1"}:
        return Diagnosis(
            "unsupported-dtype",
            f"{name} is of dtype {dtype}, and Pillow has no image of such elements in the shape "
            f"{told(value.shape)}.",
            advice="Scale it to 0 to 255 and write `.astype(np.uint8)`.",
        )
    exported = "dlpack" in found.name or "dlpack" in found.inner_name
    if library in {"torch", "jax"} or exported:
        if not dtype.isnative:
            return Diagnosis(
                "byte-order",
                f"The bytes of each element stand in the other order ({dtype.str}) than this "
                "machine's.",
                (into(library, "{x}.astype({x}.dtype.newbyteorder('='))"),),
                value,
            )
        if any(step < 0 for step in value.strides) and dtype.kind not in "USTMmV":
            return Diagnosis(
                "negative-strides",
                f"{name} runs backwards through memory (strides {value.strides} bytes), and a "
                "tensor has no negative strides.",
                ("torch.from_numpy({x}.copy())",),
                value,
            )
    if dtype.kind in "USTMmV" or dtype.char in "gG":
        return _of_unknown_dtype(value, found, library)
    return None


def _of_unknown_dtype(value: Any, found: Attempt, library: str) -> Diagnosis | None:
    kind = value.dtype.kind
    if library == "numpy":
        return _text_as_numbers(value, found) if kind in TEXTS else None
    name = {"tensorflow": "TensorFlow", "jax": "JAX", "keras": "Keras"}.get(library, library)
    cures = {
        "M": into(library, _SECONDS.replace("{x}", "({x} - np.datetime64(0, 's'))")),
        "m": into(library, _SECONDS),
        "V": into(library, "{x}[{x}.dtype.names[0]]"),
        "T": into(library, "{x}.astype(object)"),
    }
    codes = f"np.unique({{x}}, return_inverse=True)[1]{CODES}"
    default = into(library, codes if kind in TEXTS else "{x}.astype(np.float64)")
    what = "text" if kind in TEXTS else {"M": "dates", "m": "durations"}.get(kind, "elements")
    return Diagnosis(
        "unsupported-dtype",
        f"{name_of(found)} holds {what} of dtype {value.dtype}, and {name} has no such dtype.",
        (cures.get(kind, default), default),
        value,
    )


_SECONDS: Final = (
    f"{{x}} / np.timedelta64(1, 's'){NOTE}they become seconds, and nan where there is none"
)


def _text_as_numbers(value: Any, found: Attempt) -> Diagnosis | None:
    for number, one in enumerate(value.flat[:1000]):
        try:
            complex(one.decode() if isinstance(one, bytes) else one)
        except ValueError:
            return Diagnosis(
                "other",
                f"Element [{number}] of {name_of(found)} is the text {told(one.item())}, which is "
                "no number.",
                (f"pd.to_numeric({{x}}, errors='coerce'){NOTE}text that is no number becomes nan",),
                value,
            )
    return None
