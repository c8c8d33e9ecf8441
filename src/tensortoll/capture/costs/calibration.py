"""What this machine's memory and our own hooks can do, measured: for `tensortoll calibrate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from tensortoll.capture.costs.overhead import LIBRARIES, measured_event_ns
from tensortoll.capture.watch import watching

SIZES: Final = tuple(4_096 * 4**n for n in range(8))
"""In bytes: from a page to 64 MiB, from which on the speed depends on the size no more."""
ROUNDS: Final = 9
SHORTEST_NS: Final = 2_000_000
"""So long one round takes at least, so that the clock's own time does not show."""


@dataclass(frozen=True, slots=True)
class Copies:
    """How fast so many bytes are written, in bytes a second; the best of several rounds."""

    nbytes: int
    warm: float
    """Into memory that was written before."""
    new: float
    """Into memory that is allocated for it, as most conversions do."""
    cast: float
    """Into new memory, from float64 to float32; counted is what is written."""


def copies(sizes: Sequence[int] = SIZES) -> Iterator[Copies]:
    """Measure and yield, one size after the other."""
    import numpy as np

    for nbytes in sizes:
        source, target = np.ones(nbytes // 8), np.zeros(nbytes // 8)
        wide = np.ones(nbytes // 4)
        yield Copies(
            nbytes,
            _speed(nbytes, np.copyto, target, source),
            _speed(nbytes, source.copy),
            _speed(nbytes, wide.astype, np.float32),
        )


def event_costs(libraries: Sequence[str] = LIBRARIES) -> Iterator[tuple[str, int]]:
    """Measure and yield what one conversion of each installed library costs more under a watch.

    The libraries are imported: that is what the user asks for.
    """
    for library in libraries:
        if find_spec(library) is not None:
            import_module(library)
            yield library, min(measured_event_ns(watching, library) for _ in range(ROUNDS))


def _speed(nbytes: int, copy: Callable[..., Any], *arguments: Any) -> float:
    started = time.perf_counter_ns()
    copy(*arguments)
    once = max(time.perf_counter_ns() - started, 1)
    times = max(SHORTEST_NS // once, 1)
    best = min(_elapsed(copy, arguments, times) for _ in range(ROUNDS))
    return nbytes * times / max(best, 1) * 1e9


def _elapsed(copy: Callable[..., Any], arguments: tuple[Any, ...], times: int) -> int:
    started = time.perf_counter_ns()
    for _ in range(times):
        copy(*arguments)
    return time.perf_counter_ns() - started
