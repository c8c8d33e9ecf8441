"""What stands inside of a nested sequence or an object array, and where."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any, Final

LIMIT: Final = 200_000
"""Elements looked at; what comes after is taken to be like what came before."""
DEPTH: Final = 32
_NUMBERS: Final = (int, float, complex)


@dataclass
class Contents:
    """What was found, each with the place of the first one: `[3][1]`."""

    missing: str | None = None
    missing_value: str = ""
    ragged: tuple[str, str] | None = None
    """Two places whose lengths differ, each with its length: `[0] has 3 elements`."""
    text: tuple[str, Any] | None = None
    number: tuple[str, Any] | None = None
    truth: tuple[str, Any] | None = None
    other: tuple[str, Any] | None = None
    """The first element that is none of these."""
    whole: tuple[str, int] | None = None
    """The integer of the largest magnitude."""
    negative: tuple[str, int] | None = None
    endless: tuple[str, float] | None = None
    """The first NaN or infinity."""
    shapes: dict[tuple[int, ...], str] = field(default_factory=dict)
    """The shapes at the innermost level, with the place of the first of each."""


def contents(value: Any) -> Contents:
    """Look through a nested list or tuple, or an object array, as far as `LIMIT`."""
    found = Contents()
    left = [LIMIT]
    _level([("", value)], found, left, 0)
    return found


def _level(level: list[tuple[str, Any]], found: Contents, left: list[int], depth: int) -> None:
    """Look at all elements of one depth at once, as lengths are compared among them."""
    while level and depth < DEPTH:
        inner: list[tuple[str, Any]] = []
        lengths: dict[int, str] = {}
        flat: str | None = None
        for path, value in level:
            left[0] -= 1
            if left[0] < 0:
                return
            parts = _parts(value)
            if parts is None:
                flat = flat or (path or "it")
                _leaf(path, value, found)
                continue
            length = len(parts)
            if lengths and length not in lengths and found.ragged is None:
                known, where = next(iter(lengths.items()))
                found.ragged = (f"{where} has {known}", f"{path} has {length}")
            lengths.setdefault(length, path)
            inner += ((f"{path}[{number}]", one) for number, one in enumerate(parts))
        if flat is not None and lengths and found.ragged is None:
            length, where = next(iter(lengths.items()))
            found.ragged = (f"{flat} is a single value", f"{where} has {length}")
        level, depth = inner, depth + 1


def _parts(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """Return the elements of a sequence; None for what is an element itself."""
    if isinstance(value, list | tuple):
        return value
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or not value.ndim:
        return None
    if value.dtype.kind == "O":
        return list(value)
    # Of other arrays only the lengths matter, and one element tells of all.
    return [value[0]] * len(value) if len(value) else []


def _leaf(path: str, value: Any, found: Contents) -> None:
    where = path or "it"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape and type(value).__module__ != "numpy":
        _compare(where, tuple(shape), found)
    if is_missing(value):
        if found.missing is None:
            found.missing, found.missing_value = where, repr(value)
    elif isinstance(value, str | bytes):
        found.text = found.text or (where, value)
    elif isinstance(value, bool):
        found.truth = found.truth or (where, value)
    elif isinstance(value, _NUMBERS) or _is_number(value):
        found.number = found.number or (where, value)
        if isinstance(value, float) and not math.isfinite(value):
            found.endless = found.endless or (where, float(value))
        if isinstance(value, int):
            _compare_wholes(where, value, found)
    else:
        found.other = found.other or (where, value)


def _compare(where: str, shape: tuple[int, ...], found: Contents) -> None:
    found.shapes.setdefault(shape, where)
    if len(found.shapes) > 1 and found.ragged is None:
        one, other = list(found.shapes.items())[:2]
        found.ragged = (f"{one[1]} has shape {one[0]}", f"{other[1]} has shape {other[0]}")


def _compare_wholes(where: str, value: int, found: Contents) -> None:
    if found.whole is None or abs(value) > abs(found.whole[1]):
        found.whole = (where, value)
    if value < 0:
        found.negative = found.negative or (where, value)


def is_missing(value: Any) -> bool:
    """Say whether a value stands for one that is not there: None, `pd.NA`, `pd.NaT`."""
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _is_number(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.number | numpy.bool_)
