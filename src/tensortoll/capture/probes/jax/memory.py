"""Whether JAX shares the memory of an ndarray that it takes in, found out by trying it.

On a CPU the runtime uses an ndarray's memory where it stands, if that begins on a border that its
vector instructions like, and copies it otherwise. What a compiled function does with its arguments
can't be looked at; but `device_put` takes arrays in by the same way, and its result can. So a
small array that lies like the one in question is put on the device once, and the two addresses
are compared.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from tensortoll.capture.arrays.addresses import array_address
from tensortoll.capture.arrays.seen import Seen, is_c_contiguous

BORDER: Final = 64
"""Bytes. What lies alike modulo this is treated alike."""
_ITEMS: Final = 16


class Sharing:
    """What was found out so far."""

    def __init__(self, put: Any) -> None:
        """Start without knowledge; ``put`` is `jax.device_put` itself."""
        self._put = put
        self._known: dict[tuple[int, str, bool], bool] = {}

    def shares(self, address: int, dtype: Any, *, contiguous: bool) -> bool:
        """Say whether JAX uses an ndarray's memory where it lies.

        Args:
            address: Of the first element.
            dtype: Of the ndarray; one that JAX knows.
            contiguous: Whether it lies in C order without gaps.
        """
        key = address % BORDER, dtype.str if dtype.kind != "V" else dtype.name, contiguous
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._try(address % BORDER, dtype, contiguous=contiguous)
        return known

    def shares_seen(self, seen: Seen, dtype: Any) -> bool:
        """Say it of an ndarray in numbers."""
        if seen.span is None or seen.swapped:
            return False
        return self.shares(seen.span.start, dtype, contiguous=is_c_contiguous(seen))

    def _try(self, residue: int, dtype: Any, *, contiguous: bool) -> bool:
        import numpy as np

        gap = 1 if contiguous else 2
        pool = np.zeros(gap * _ITEMS * dtype.itemsize + 2 * BORDER, np.uint8)
        start = -array_address()(pool) % BORDER + residue
        stop = start + gap * _ITEMS * dtype.itemsize
        sample = pool[start:stop].view(dtype)[::gap]
        with contextlib.suppress(Exception):  # a guard of the user's that forbids transfers
            return bool(self._put(sample).unsafe_buffer_pointer() == array_address()(sample))
        return False
