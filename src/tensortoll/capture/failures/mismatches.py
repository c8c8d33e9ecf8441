"""Operations that refuse operands of different dtypes, or on different devices."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.diagnosis import Diagnosis

_OF_DTYPES: Final = (
    "dtype",
    "scalar type",
    "same type",
    "was expected to be a",
    "that does not match type",
    "can't be cast to the desired output type",
)
"""What libraries write where two dtypes do not go together; the operands have to bear it out."""
_OF_TWO: Final = re.compile(r"\b(?:same|match|equal|expected to be|can't be cast|requested)\b")
_DTYPE_NAMES: Final = re.compile(
    r"\b(?:Float|Double|Half|BFloat16|Long|Int|Short|Byte|Char|Bool|b?float\d+|u?int\d+)\b"
)
"""By these a message is known to hold one dtype against another, and not to refuse a single one."""
_NO_CAST: Final = re.compile(r"Cannot cast .* from dtype\('(\w+)'\) to dtype\('(\w+)'\)")
"""What NumPy writes where a result or a source does not go into another dtype by its rules."""
_SAME_TYPE: Final = re.compile(r"\btypes?\b.*should be the same")
_SHOWN_DTYPE: Final = re.compile(r"dtype=(?:<dtype: ')?(?:tf\.|torch\.)?(\w+)")
"""How a tensor that is shown tells its dtype, whatever the message is about."""
_SHOWN_ARGUMENTS: Final = re.compile(r"Arguments received by|Received args:")
_OF_TORCH: Final = {
    "Long": "int64",
    "Int": "int32",
    "Half": "float16",
    "Float": "float32",
    "Double": "float64",
}
_ASKED: Final = re.compile(
    rf"expected (?:target )?(?:(?:scalar type|dtype) )?(?:to be )?({'|'.join(_OF_TORCH)})\b"
)
"""Where torch says which dtype it wants, by its own name for that."""
_OF_DEVICES: Final = (
    "same device",
    "on the expected device",
    "on conflicting devices",
    "Cannot copy out of meta tensor",
)
_NO_DEVICE: Final = ("not compiled with CUDA", "No CUDA GPUs", "Found no NVIDIA driver")


def devices_apart(found: Attempt) -> Diagnosis | None:
    """Tell of tensors on several devices, and of a device that is not there."""
    if any(one in found.text for one in _NO_DEVICE):
        return Diagnosis(
            "wrong-device",
            "The line asks for a GPU, and none can be used here.",
            advice="device = 'cuda' if torch.cuda.is_available() else 'cpu'",
        )
    if not any(one in found.text for one in _OF_DEVICES):
        return None
    tensors = _tensors(found)
    places = {str(one.device): one for one in tensors}
    if len(places) > 1:
        one, other = list(places)[:2]
        return Diagnosis(
            "wrong-device",
            f"One operand lies on the device {one}, another on {other}; an operation wants all "
            "of them on one.",
            advice=f"Move one of them: `.to({one!r})`.",
        )
    if any(getattr(one, "is_meta", False) for one in tensors):
        return Diagnosis(
            "wrong-device",
            "The tensor lies on `meta`: it has a shape but no elements that could be moved.",
            advice="Make it on the CPU, with values, or fill one of `torch.empty_like(x, "
            "device='cpu')`.",
        )
    return _in_its_own_words("wrong-device", found)


def not_cast(found: Attempt) -> Diagnosis | None:
    """Tell of an array that NumPy does not write into one of another dtype by itself."""
    dtypes = _NO_CAST.search(found.text)
    several = len({_dtype(one) for one in _arrays(found)}) > 1
    written = found.name == "operator" or "out" in found.keywords or found.name == "copyto"
    if dtypes is None or not (found.name == "astype" or (several and written)):
        return None
    return Diagnosis(
        "dtype-mismatch",
        f"{dtypes[1]} does not go into {dtypes[2]} without a loss, and NumPy casts so only where "
        "that is asked for.",
        advice=f"Cast openly: `x.astype(np.{dtypes[2]})`, or write to an array of {dtypes[1]}.",
    )


def dtypes_apart(found: Attempt) -> Diagnosis | None:
    """Tell of two tensors of different dtypes, or one that was asked for in another dtype."""
    if not _is_about_dtypes(found.text):
        return None
    tensors = _tensors(found)
    names = dict.fromkeys(_dtype(one) for one in (*tensors, *_arrays(found)))
    if len(names) > 1 and tensors:
        one, other = list(names)[:2]
        tf = type(tensors[0]).__module__.startswith("tensorflow")
        # A module's parameters come last, and whole numbers are what is cast.
        target = other if "float" in other or "float" not in one else one
        asked = _ASKED.search(found.text)
        target = _OF_TORCH[asked[1]] if asked else target
        cure = f"tf.cast(x, tf.{target})" if tf else f"x.to(torch.{target})"
        return Diagnosis(
            "dtype-mismatch",
            f"The operands are of the dtypes {one} and {other}, and this operation casts neither.",
            advice=f"Cast one of them: `{cure}`.",
        )
    wanted = found.keywords.get("dtype")
    if tensors and wanted is not None and _name(wanted) not in {"", _dtype(tensors[0])}:
        return Diagnosis(
            "dtype-mismatch",
            f"The tensor is of dtype {_dtype(tensors[0])}, and {_name(wanted)} was asked for: a "
            "tensor is never cast on the way.",
            (f"tf.cast({{x}}, tf.{_name(wanted)})",),
            tensors[0],
        )
    several = len(set(_DTYPE_NAMES.findall(found.text))) > 1 or _OF_TWO.search(found.text)
    return _in_its_own_words("dtype-mismatch", found) if several else None


def _is_about_dtypes(text: str) -> bool:
    """Say whether a message is about dtypes, and does not only show tensors that have one."""
    message = _SHOWN_ARGUMENTS.split(text)[0]
    if len(set(_SHOWN_DTYPE.findall(message))) > 1 or _SAME_TYPE.search(message):
        return True
    message = _SHOWN_DTYPE.sub("", message)
    return any(one in message for one in _OF_DTYPES)


def _in_its_own_words(cause: str, found: Attempt) -> Diagnosis | None:
    """Tell what the library says of operands that are gone by now."""
    home = type(found.error).__module__.partition(".")[0]
    if not found.computes or not (
        type(found.error) in (RuntimeError, NotImplementedError) or home == "tensorflow"
    ):
        return None
    cast = "tf.cast(x, dtype)" if home == "tensorflow" else "x.to(dtype)"
    advice = {
        "wrong-device": "Move the operands to one device: `.to(device)`.",
        "dtype-mismatch": f"Cast one of the operands: `{cast}`.",
    }
    return Diagnosis(cause, f"The library says: {found.text.splitlines()[0]}", advice=advice[cause])


def number_of_another_kind(found: Attempt) -> Diagnosis | None:
    """Tell of a Python number that the dtype asked for has no place for."""
    wanted = found.text.rpartition("dtype ")[2]
    value = next((one for one in found.operands if type(one) in (int, float, complex)), None)
    if type(value) is float and "Cannot convert" in found.text and wanted.startswith("int"):
        return Diagnosis(
            "dtype-mismatch",
            f"{value!r} is no whole number, and the dtype asked for is {wanted}.",
            (f"tf.cast(tf.constant({{x}}), tf.{wanted})",),
            value,
        )
    return None


def _tensors(found: Attempt) -> list[Any]:
    kinds = []
    if "torch" in sys.modules:
        kinds.append(sys.modules["torch"].Tensor)
    tensor = sys.modules.get("tensorflow.python.framework.tensor")
    if tensor is not None:
        kinds.append(tensor.Tensor)
    inside = [
        part
        for one in found.operands
        for part in (one if isinstance(one, list | tuple) else (one,))
    ]
    return [one for one in inside if isinstance(one, tuple(kinds))] if kinds else []


def _arrays(found: Attempt) -> list[Any]:
    numpy = sys.modules.get("numpy")
    return [] if numpy is None else [o for o in found.operands if isinstance(o, numpy.ndarray)]


def _dtype(value: Any) -> str:
    return _name(value.dtype)


def _name(dtype: Any) -> str:
    """Return the name of a dtype of any library; empty for what is none."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype or "")
    return str(name).removeprefix("torch.").removesuffix("_ref")
