"""Whose memory a DLPack capsule speaks of.

A capsule tells an address and a dtype, but not which library made it. So the exporters leave a
note when they hand one out, and the importers look it up while the capsule is alive.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from typing import Final

from tensortoll.model import Kind

LIMIT: Final = 64
"""Notes kept. A capsule is taken in right after it was made, so few are ever needed."""

_NAMES: Final = (b"dltensor", b"dltensor_versioned")
_VERSIONED_OFFSET: Final = 32
"""Bytes before the tensor in a versioned capsule: version, manager, deleter, flags (dlpack.h)."""


class _Tensor(ctypes.Structure):
    """The head of `DLTensor`, as dlpack.h lays it out."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int),
        ("device_id", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("dtype_code", ctypes.c_uint8),
        ("dtype_bits", ctypes.c_uint8),
        ("dtype_lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class Exports:
    """Notes on capsules that were handed out and not taken in yet."""

    def __init__(self) -> None:
        """Start without notes."""
        self._kinds: OrderedDict[int, Kind] = OrderedDict()

    def add(self, capsule: object, kind: Kind) -> None:
        """Note that ``capsule`` speaks of memory of this kind."""
        address = self.address(capsule)
        if address is None:
            return
        self._kinds[address] = kind
        self._kinds.move_to_end(address)
        if len(self._kinds) > LIMIT:
            self._kinds.popitem(last=False)

    def kind(self, capsule: object) -> Kind | None:
        """Return the kind that was noted for the memory of ``capsule``; None if none was."""
        address = self.address(capsule)
        return None if address is None else self._kinds.get(address)

    @staticmethod
    def address(capsule: object) -> int | None:
        """Return the address of the first element; None for what is no unused capsule."""
        api = ctypes.pythonapi
        api.PyCapsule_GetPointer.restype = ctypes.c_void_p
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        api.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
        for name, offset in zip(_NAMES, (0, _VERSIONED_OFFSET), strict=True):
            if api.PyCapsule_IsValid(capsule, name):
                pointer = api.PyCapsule_GetPointer(capsule, name)
                tensor = _Tensor.from_address(pointer + offset)
                return int(tensor.data or 0) + int(tensor.byte_offset)
        return None
