"""The two ends of shared memory: whether somebody could still look at, or write to, each of them.

A weak reference tells that an object is alive, and its count of references whether anybody but the
other end keeps it so: an array that only the tensor made of it holds is out of everyone's reach.
"""

from __future__ import annotations

import sys
import weakref
from functools import cache
from typing import Any, Final, Protocol

_OWN: Final = 2
"""References that looking takes by itself: a variable, and the argument of `getrefcount`."""


class Side(Protocol):
    """One end."""

    def is_alive(self) -> bool:
        """Say whether anybody but the other end holds it."""

    def version(self) -> int | None:
        """Return a number that grows with each write that a library counts; None if none does."""


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


def _is_base_held(view: Any) -> bool:
    """Say whether the memory below a view is within the reach of others."""
    base = getattr(view, "base", None)
    while base is not None:
        if isinstance(base, memoryview):
            base = base.obj
        if sys.getrefcount(base) - _OWN > 1:  # what lies on it holds it once
            return True
        base = getattr(base, "base", None)
    return False


class StorageSide:
    """The memory of torch tensors, whichever of them are left."""

    def __init__(self, tensor: Any, held: int) -> None:
        """Stand for a tensor's storage; ``held`` is how often the other end refers to it."""
        from torch.multiprocessing.reductions import StorageWeakRef

        self._storage = StorageWeakRef(tensor.untyped_storage())
        self._held = held
        self._tensor = weakref.ref(tensor)

    def is_alive(self) -> bool:
        """Say whether a tensor but the other end's lies in it."""
        return _uses(self._storage) > self._held

    def version(self) -> int | None:
        """Return the version of the tensor that was shared, if it is left."""
        tensor = self._tensor()
        return None if tensor is None or tensor.is_inference() else tensor._version


def _uses(storage: Any) -> int:
    import torch

    if storage.expired():
        return 0
    return int(torch._C._storage_Use_Count(storage.cdata))


@cache
def held_by_array() -> int:
    """Return how often an ndarray made of a tensor refers to the tensor's storage: tried out."""
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef

    array = torch.Tensor.numpy(torch.ones(1))
    return _uses(StorageWeakRef(array.base.untyped_storage()))


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
