"""Lists and tuples that do not become arrays, and whole numbers that a dtype has no room for."""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.contents import Contents
from tensortoll.capture.failures.diagnosis import Diagnosis, into, told
from tensortoll.capture.failures.objects import CODES, described, of_objects


def of_sequence(value: Any, inside: Contents, found: Attempt, library: str) -> Diagnosis | None:
    """Tell what in a list or tuple a library does not take."""
    if ".ragged." in found.expression.partition("(")[0]:
        inside.ragged = None  # which is what `tf.ragged.constant` is for
    objects = of_objects(value, inside, library, array=False)
    if objects is not None:
        return objects
    if library in {"tensorflow", "keras"} and inside.truth and inside.number:
        return Diagnosis(
            "mixed-types",
            f"Element {inside.truth[0]} is {inside.truth[1]}, and element {inside.number[0]} is "
            f"the number {told(inside.number[1])}: TensorFlow wants one type.",
            ("tf.constant(np.array({x}))",),
            value,
        )
    if inside.text is not None and library in {"torch", "jax"}:
        return Diagnosis(
            "unsupported-dtype",
            f"Element {inside.text[0]} is the text {told(inside.text[1])}, and tensors hold "
            "numbers.",
            (into(library, f"np.unique({{x}}, return_inverse=True)[1]{CODES}"),),
            value,
        )
    endless = _not_finite(value, inside, found, library)
    if endless is not None:
        return endless
    beyond = beyond_range(inside, found, library)
    if beyond is not None:
        narrow = library == "jax" and found.keywords.get("dtype") is None
        return Diagnosis("out-of-range", *beyond, value, _WIDER if narrow else "")
    return _of_others(value, inside, library)


def _of_others(value: Any, inside: Contents, library: str) -> Diagnosis | None:
    """Tell of elements that are no numbers."""
    if inside.other is not None and not hasattr(inside.other[1], "shape"):
        return Diagnosis(
            "not-an-array",
            f"Element {inside.other[0]} is {described(inside.other[1])}, which is not taken for a "
            "number.",
            (into(library, "[float(v) for v in {x}]"),),
            value,
        )
    return _of_tensors(value, inside, library)


def _not_finite(value: Any, inside: Contents, found: Attempt, library: str) -> Diagnosis | None:
    """Tell of NaN or infinity where whole numbers were asked for."""
    wanted = _dtype_name(found.keywords.get("dtype"))
    if inside.endless is None or wanted not in (*_INTEGERS, "int"):
        return None
    where, number = inside.endless
    return Diagnosis(
        "missing-values" if number != number else "out-of-range",  # noqa: PLR0124 - NaN is not
        f"Element {where} is {number}, and {wanted} holds finite whole numbers only.",
        (into(library, "np.array({x}, dtype=np.float64)"), "np.array({x}, dtype=np.float64)"),
        value,
    )


def _of_tensors(value: Any, inside: Contents, library: str) -> Diagnosis | None:
    """Tell of tensors in a list, where torch reads one number of each."""
    if inside.other is None or library != "torch":
        return None
    where, one = inside.other
    if type(one).__module__.partition(".")[0] != "torch" or not getattr(one, "ndim", 0):
        return None
    return Diagnosis(
        "other",
        f"Element {where} is a tensor of shape {tuple(one.shape)}: tensors in a list are taken in "
        "only where each holds one number.",
        ("torch.stack({x})", "torch.stack(list({x}))"),
        value,
    )


_WIDER: Final = (
    "Have JAX take 64 bits, before anything else is done with it: "
    "`jax.config.update('jax_enable_x64', True)`."
)


def beyond_range(
    inside: Contents, found: Attempt, library: str
) -> tuple[str, tuple[str, ...]] | None:
    """Tell of the integer that the dtype asked for, or the library's own, has no room for."""
    import numpy as np

    largest = inside.whole
    if largest is None:
        return None
    name = _dtype_name(found.keywords.get("dtype"))
    if not name and found.name in _INTEGERS:  # `np.uint8(300)`
        name = found.name
    if name in _INTEGERS:
        limits = np.iinfo(name)
        where, number = largest
        if inside.negative and not limits.min:
            where, number = inside.negative
        if limits.min <= number <= limits.max:
            return None
        room = f"{name} holds {limits.min:,} to {limits.max:,}"
    else:
        where, number = largest
        if -_limit(library) <= number < _limit(library):
            return None
        room = f"whole numbers are taken as int{_limit(library).bit_length()}"
    cures = ("np.array({x}, dtype=np.int64)", "np.array({x}, dtype=np.uint64)")
    if library == "jax":  # it cuts them off to 32 bits without a word
        return f"Element {where} is {number:,}, and {room}.", ()
    return (
        f"Element {where} is {number:,}, and {room}.",
        (*(into(library, one) for one in cures), into(library, "np.array({x}, dtype=np.float64)")),
    )


_INTEGERS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def _limit(library: str) -> int:
    """Return the first whole number that a library does not take where no dtype is named."""
    return 1 << (31 if library in {"tensorflow", "keras", "jax"} else 63)


def _dtype_name(dtype: Any) -> str:
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or str(dtype or "")
    return str(name).removeprefix("torch.")
