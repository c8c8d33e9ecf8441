"""Time for trials: of work, so that a busy machine does not take it all."""

from __future__ import annotations

import time
from typing import Final

WAITING: Final = 3.0
"""On a machine that is busy with other things, a trial may wait so many times as long as it works;
threads of the libraries work on while ours waits."""


class Clock:
    """Seconds of work of this thread since the start, or a third of those that went by."""

    def __init__(self) -> None:
        """Start."""
        self._work, self._wall = time.thread_time(), time.perf_counter()

    def now(self) -> float:
        """Return the seconds so far."""
        work = time.thread_time() - self._work
        return max(work, (time.perf_counter() - self._wall) / WAITING)
