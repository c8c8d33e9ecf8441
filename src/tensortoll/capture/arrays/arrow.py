"""Where Arrow data lie in memory, read through Arrow's C data interface.

PyArrow, polars and Pillow all hand their memory out in this form, at no cost and without a copy:
https://arrow.apache.org/docs/format/CDataInterface.html. Only numbers are read; what was handed
out is given back at once.

Validity bitmaps are left out: they say which elements are there, and are no elements themselves.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tensortoll.capture.arrays.seen import Part, UnknownLayoutError
from tensortoll.model import Span


class _Schema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_void_p),
        ("metadata", ctypes.c_void_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.POINTER(ctypes.c_void_p)),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.POINTER(ctypes.c_void_p)),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Stream(ctypes.Structure):
    _fields_ = (
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.c_void_p),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


# Not CFUNCTYPE, which would let other threads run in between.
_Get: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Release: Final = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_address: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_DTYPES: Final = {
    "b": "bool",
    "c": "int8",
    "C": "uint8",
    "s": "int16",
    "S": "uint16",
    "i": "int32",
    "I": "uint32",
    "l": "int64",
    "L": "uint64",
    "e": "float16",
    "f": "float32",
    "g": "float64",
    **dict.fromkeys(("u", "U", "vu"), "str"),
    **dict.fromkeys(("z", "Z", "vz"), "bytes"),
    "tdD": "datetime64[D]",
    "tdm": "datetime64[ms]",
    **{f"tD{unit[0]}": f"timedelta64[{unit}]" for unit in ("s", "ms", "us", "ns")},
}
_WIDTHS: Final = {
    **dict.fromkeys(("c", "C"), 1),
    **dict.fromkeys(("s", "S", "e"), 2),
    **dict.fromkeys(("i", "I", "f"), 4),
    **dict.fromkeys(("l", "L", "g"), 8),
    **dict.fromkeys(("tdD", "tts", "ttm", "tiM"), 4),
    **dict.fromkeys(("tdm", "ttu", "ttn", "tDs", "tDm", "tDu", "tDn", "tiD"), 8),
    "tin": 16,
}
_OFFSETS: Final = {"u": 4, "z": 4, "+l": 4, "+m": 4, "U": 8, "Z": 8, "+L": 8}
"""Bytes of an offset into the elements, by the format of an array of lists or texts."""
_VIEW: Final = 16
"""Bytes that stand for a text in an array of views."""
_UNITS: Final = {"s": "s", "m": "ms", "u": "us", "n": "ns"}


def exported_array(schema: object, array: object) -> Part:
    """Return what the two capsules of `__arrow_c_array__` speak of.

    Raises:
        UnknownLayoutError: If this module does not know its layout.
    """
    described = _Schema.from_address(_address(schema, b"arrow_schema"))
    found = _Array.from_address(_address(array, b"arrow_array"))
    return _part(described, _pieces(described, found, 0, found.length))


def exported_stream(capsule: object) -> Part:
    """Return what the capsule of `__arrow_c_stream__` speaks of; reads it to its end.

    Raises:
        UnknownLayoutError: If this module does not know the layout, or the stream fails.
    """
    address = _address(capsule, b"arrow_array_stream")
    stream = _Stream.from_address(address)
    schema = _Schema()
    _check(_Get(stream.get_schema)(address, ctypes.addressof(schema)))
    try:
        pieces: list[Span] = []
        get_next = _Get(stream.get_next)
        while True:
            array = _Array()
            _check(get_next(address, ctypes.addressof(array)))
            if not array.release:
                return _part(schema, pieces)
            try:
                pieces += _pieces(schema, array, 0, array.length)
            finally:
                _Release(array.release)(ctypes.addressof(array))
    finally:
        _Release(schema.release)(ctypes.addressof(schema))


def _part(schema: _Schema, pieces: Iterable[Span]) -> Part:
    found = tuple(pieces)
    return Part(_dtype(schema), found, sum(piece.stop - piece.start for piece in found))


def _check(status: int) -> None:
    if status:
        msg = f"an Arrow stream failed with status {status}"
        raise UnknownLayoutError(msg)


def _dtype(schema: _Schema) -> str:
    if schema.dictionary:
        return "category"
    name = schema.format.decode()
    if name.startswith("+w:"):
        return _dtype(_child(_Schema, schema, 0))
    if name.startswith("ts"):
        return f"datetime64[{_UNITS[name[2]]}]"
    return _DTYPES.get(name, "object")


def _pieces(schema: _Schema, array: _Array, start: int, length: int) -> Iterator[Span]:
    """Yield where the elements from ``start`` on lie, counted from the array's own offset."""
    name = schema.format.decode()
    first = array.offset + start
    if name == "n" or not length:
        return
    if name == "b":
        address = array.buffers[1] or 0
        yield Span(address + first // 8, address + (first + length + 7) // 8)
    elif name in _OFFSETS:
        yield from _jagged(schema, array, first, length, _OFFSETS[name])
    elif name in {"vu", "vz"}:
        yield _run(array.buffers[1], first, length, _VIEW)
        last = array.n_buffers - 1
        sizes = (ctypes.c_int64 * (last - 2)).from_address(array.buffers[last] or 0)
        for number, size in enumerate(sizes):
            yield _run(array.buffers[2 + number], 0, size, 1)
    elif name == "+s":
        for number in range(array.n_children):
            inner = _child(_Schema, schema, number), _child(_Array, array, number)
            yield from _pieces(*inner, first, length)
    elif name.startswith("+w:"):
        n = int(name[3:])
        inner = _child(_Schema, schema, 0), _child(_Array, array, 0)
        yield from _pieces(*inner, first * n, length * n)
    else:
        yield _run(array.buffers[1], first, length, _width(name))


def _jagged(schema: _Schema, array: _Array, first: int, length: int, width: int) -> Iterator[Span]:
    """Yield where texts or lists lie: their offsets, and what these point into."""
    offsets = _run(array.buffers[1], first, length + 1, width)
    yield offsets
    number = ctypes.c_int32 if width == ctypes.sizeof(ctypes.c_int32) else ctypes.c_int64
    start = number.from_address(offsets.start).value
    stop = number.from_address(offsets.stop - width).value
    if array.n_children:
        inner = _child(_Schema, schema, 0), _child(_Array, array, 0)
        yield from _pieces(*inner, start, stop - start)
    elif stop > start:
        yield _run(array.buffers[2], start, stop - start, 1)


def _run(address: int | None, first: int, length: int, width: int) -> Span:
    start = (address or 0) + first * width
    return Span(start, start + length * width)


def _width(name: str) -> int:
    if name.startswith("ts"):
        return 8
    if name.startswith("w:"):
        return int(name[2:])
    if name.startswith("d:"):
        parts = name[2:].split(",")
        return int(parts[2]) // 8 if len(parts) > 2 else 16  # noqa: PLR2004 - digits, scale, bits
    if name not in _WIDTHS:
        msg = f"Arrow data of the format {name!r} is not known here"
        raise UnknownLayoutError(msg)
    return _WIDTHS[name]


def _child(kind: Any, of: _Schema | _Array, number: int) -> Any:
    return kind.from_address(of.children[number])
