"""The two ends of shared memory: whether somebody could still look at, or write to, each of them.

A weak reference tells that an object is alive, and its count of references whether anybody but the
other end keeps it so: an array that only the tensor made of it holds is out of everyone's reach.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol

from tensortoll.capture.arrays.seen import Seen

Describe = Callable[[object], Seen | None]
"""Returns an array of any library in numbers."""
_OWN: Final = 2
"""References that looking takes by itself: a variable, and the argument of `getrefcount`."""


class Side(Protocol):
    """One end."""

    def is_alive(self) -> bool:
        """Say whether anybody but the other end holds it."""

    def version(self) -> int | None:
        """Return a number that grows with each write that a library counts; None if none does."""

    def where(self, describe: Describe) -> int | None:
        """Return where its memory begins now; None where that can't be told."""


class ObjectSide:
    """An object of any library."""

    def __init__(self, reference: weakref.ref[Any], held: int) -> None:
        """Stand for the object.

        Args:
            reference: To it.
            held: How often the other end refers to it.
        """
        self._reference = reference
        self._held = held

    def is_alive(self) -> bool:
        """Say whether the object, or an array that it is a view of, is held by others."""
        owner = self._reference()
        if owner is None:
            return False
        if sys.getrefcount(owner) - _OWN > self._held:
            return True
        return self._held > 0 and _is_base_held(owner)

    def version(self) -> int | None:
        """Return the version of a tensor."""
        return getattr(self._reference(), "_version", None)

    def where(self, describe: Describe) -> int | None:
        """Return the address of its elements."""
        return _begin(describe(self._reference()))


def _begin(seen: Seen | None) -> int | None:
    return None if seen is None or seen.span is None else seen.span.start


def _is_base_held(view: Any) -> bool:
    """Say whether the memory below a view is within the reach of others."""
    base = _base_of(view)
    while base is not None:
        if sys.getrefcount(base) - _OWN > 1:  # what lies on it holds it once
            return True
        base = _base_of(base)
    return False


def _base_of(view: Any) -> Any:
    base = view.obj if isinstance(view, memoryview) else getattr(view, "base", None)
    return base.obj if isinstance(base, memoryview) else base


class StorageSide:
    """The memory of torch tensors, whichever of them are left."""

    def __init__(self, tensor: Any, held: int) -> None:
        """Stand for a tensor's storage; ``held`` is how often the other end refers to it."""
        self._storage = _weak(tensor.untyped_storage())
        self._held = held
        self._tensor = weakref.ref(tensor)

    def is_alive(self) -> bool:
        """Say whether a tensor but the other end's lies in it."""
        return _uses(self._storage) > self._held

    def version(self) -> int | None:
        """Return the version of the tensor that was shared, if it is left."""
        tensor = self._tensor()
        return None if tensor is None or tensor.is_inference() else tensor._version

    def where(self, describe: Describe) -> int | None:
        """Return the address of the tensor's elements, if it is left."""
        return _begin(describe(self._tensor()))


class CapsuleSide(StorageSide):
    """A tensor that an ndarray holds by a DLPack capsule: the tensor itself, not its storage."""

    def __init__(self, tensor: Any) -> None:
        """Stand for a tensor."""
        super().__init__(tensor, 0)

    def is_alive(self) -> bool:
        """Say whether the tensor is held by others, or another one lies in its storage."""
        tensor = self._tensor()
        held, uses = held_by_capsule()
        if tensor is not None and sys.getrefcount(tensor) - _OWN > held:
            return True
        return _uses(self._storage) > uses


def _weak(storage: Any) -> Any:
    from torch.multiprocessing.reductions import StorageWeakRef

    return StorageWeakRef(storage)


def _uses(storage: Any) -> int:
    import torch

    if storage.expired():
        return 0
    return int(torch._C._storage_Use_Count(storage.cdata))


@cache
def held_by_array() -> int:
    """Return how often an ndarray made of a tensor refers to the tensor's storage: tried out."""
    import torch

    array = torch.Tensor.numpy(torch.ones(1))
    return _uses(_weak(array.base.untyped_storage()))


class BufferSide:
    """A `bytearray`, which has no weak references, as the ndarray over it holds it."""

    def __init__(self, view: weakref.ref[Any]) -> None:
        """Stand for what lies below an ndarray."""
        self._view = view

    def is_alive(self) -> bool:
        """Say whether anybody but the ndarray holds it."""
        view = self._view()
        return view is not None and _is_base_held(view)

    def version(self) -> None:
        """Return None: nobody counts."""
        return

    def where(self, describe: Describe) -> None:  # noqa: ARG002 - as all others
        """Return None: it can't be resized while an ndarray lies over it."""
        return


class AddressSide:
    """A `bytearray` that lies below a tensor or an image, which hold it but do not show it.

    It is found by its address. That is safe as long as what lies over it does so: the other end is
    to be looked at before, and lies in the bytes that this one had. Of a tensor that is not enough:
    `t.data = other` may move it away and, later, to the same address again, when the object is gone
    and its place was given to another. Its storage holds the object for as long as there is one.
    """

    def __init__(self, identity: int, held: int, storage: Any = None) -> None:
        """Stand for an object.

        Args:
            identity: Its `id`.
            held: How often the other end refers to it.
            storage: That holds it, of a tensor.
        """
        self._identity = identity
        self._held = held
        self._storage = None if storage is None else _weak(storage)

    def is_alive(self) -> bool:
        """Say whether anybody but the other end holds it."""
        if self._is_let_go():
            return False
        owner = self._owner()
        return sys.getrefcount(owner) - _OWN > self._held

    def _is_let_go(self) -> bool:
        return self._storage is not None and _uses(self._storage) == 0

    def _owner(self) -> Any:
        return ctypes.cast(self._identity, ctypes.py_object).value

    def version(self) -> None:
        """Return None: nobody counts."""
        return

    def where(self, describe: Describe) -> int | None:
        """Return the address of its bytes."""
        return None if self._is_let_go() else _begin(describe(self._owner()))


@cache
def held_by_capsule() -> tuple[int, int]:
    """Return how often an ndarray made by `from_dlpack` refers to the tensor, and to its storage.

    Tried out.
    """
    import numpy as np
    import torch

    tensor = torch.ones(1)
    before = sys.getrefcount(tensor)
    array = np.from_dlpack(tensor)
    after = sys.getrefcount(tensor)
    storage = _weak(tensor.untyped_storage())
    del tensor
    uses = _uses(storage)
    del array
    return after - before, uses


@cache
def held_by_image() -> int:
    """Return how often an image refers to the buffer that it lies over: tried out."""
    from PIL import Image

    buffer = bytearray(1)
    before = sys.getrefcount(buffer)
    image = Image.frombuffer("L", (1, 1), buffer, "raw", "L", 0, 1)
    after = sys.getrefcount(buffer)
    del image
    return after - before
