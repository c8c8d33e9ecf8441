"""How fast this machine copies: what a conversion's own speed is held against."""

from __future__ import annotations

import statistics
import time
from functools import cache
from typing import Final

ROUNDS: Final = 5
LARGEST_BYTES: Final = 64 * 1024 * 1024
"""Beyond, speed depends on the size no more, and measuring would take memory for nothing."""
SMALLEST_BYTES: Final = 4096
"""Below, a copy's time is that of the call."""


def copy_bytes_per_s(nbytes: int) -> float:
    """Return how many bytes a second `np.copyto` writes at this size, into warm memory.

    Measured once per size class (a power of two) and process: a few milliseconds.
    """
    size = max(SMALLEST_BYTES, min(nbytes, LARGEST_BYTES))
    return _measured(1 << (size - 1).bit_length())


@cache
def _measured(nbytes: int) -> float:
    import numpy as np

    source, target = np.ones(nbytes, np.uint8), np.zeros(nbytes, np.uint8)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter_ns()
        np.copyto(target, source)
        times.append(time.perf_counter_ns() - started)
    return nbytes / max(statistics.median(times), 1) * 1e9
