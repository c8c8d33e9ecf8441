"""Whether the elements of an array are still what they were."""

from __future__ import annotations

import math
import zlib
from typing import Any, ClassVar, Final

from tensortoll.capture.arrays.seen import Seen

WHOLE: Final = 8 << 20
"""Bytes up to which every byte is in the checksum one by one; 3 ms on a slow core."""
LARGEST: Final = 1 << 30
"""Of memory beyond this only samples are read."""
_BLOCK: Final = 1 << 16
_BLOCKS: Final = 64
MOST_WORK: Final = 10_000
"""Candidates that `np.shares_memory` may look at; its annotation knows only two constants."""


def stand_in(seen: Seen) -> Any:
    """Return an ndarray that lies where an array of any library does.

    It owns nothing: who reads it has to keep the array itself alive.
    """
    import numpy as np

    assert seen.span is not None
    start = seen.span.start
    size = seen.nbytes // max(math.prod(seen.shape), 1)
    steps = [int(step * size) for step in seen.strides]
    below = sum((n - 1) * step for n, step in zip(seen.shape, steps, strict=True) if step < 0)

    class Lying:
        __array_interface__: ClassVar[dict[str, Any]] = {
            "version": 3,
            "typestr": f"|V{size}",
            "shape": seen.shape,
            "strides": tuple(steps),
            "data": (start - below, True),
        }

    return np.asarray(Lying())


def readable(seen: Seen | None) -> Seen | None:
    """Return an array whose elements can be read: in one piece of this machine's memory.

    None for any other, and for large ones whose elements lie apart, which would have to be copied.
    """
    if seen is None or seen.span is None or not seen.nbytes:
        return None
    if not seen.kind.device.startswith("cpu") or seen.kind.dtype in {"object", "str"}:
        return None
    length = seen.span.stop - seen.span.start
    if len(seen.strides) != len(seen.shape):
        if length != seen.nbytes:
            return None
        # All of the span is elements, in whatever order: that of an image, a column.
        seen = seen._replace(shape=(length,), strides=(1,))
    whole = length == seen.nbytes
    return seen if length and (whole or length <= LARGEST) else None


def shares_elements(one: Seen, other: Seen) -> bool:
    """Say whether two arrays have an element in common; interleaved ones have none."""
    import numpy as np

    try:
        work: Any = MOST_WORK
        return bool(np.shares_memory(stand_in(one), stand_in(other), max_work=work))
    except (RuntimeError, ValueError, TypeError):
        return False


def checksum(seen: Seen) -> tuple[int, int]:
    """Return a number that changes when an element does.

    Of large arrays it is the sum of all words, which no change of a value keeps but by chance, and
    a checksum of blocks, which sees elements change places. Of the largest it is the blocks alone:
    then it may stay the same though an element changes, and never the other way round.
    """
    import numpy as np

    elements = stand_in(seen)
    if not elements.flags.c_contiguous:
        elements = elements.T if elements.flags.f_contiguous else np.ascontiguousarray(elements)
    flat = elements.reshape(-1).view(np.uint8)
    if len(flat) <= WHOLE:
        return zlib.crc32(flat), 0
    words = flat[: len(flat) // 8 * 8].view(np.uint64)
    step = (len(flat) - _BLOCK) // (_BLOCKS - 1)
    sampled = 0
    for start in range(0, len(flat) - _BLOCK + 1, step):
        sampled = zlib.crc32(flat[start : start + _BLOCK], sampled)
    total = int(np.add.reduce(words)) if len(flat) <= LARGEST else 0
    return zlib.crc32(flat[-8:], sampled), total
