"""memray around the user's code: what is allocated while it runs, in a file without a name."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tensortoll.capture.observers.conflicts import refuse_memory
from tensortoll.capture.observers.replay import Replay, replayed
from tensortoll.capture.text.sources import Sources
from tensortoll.errors import UnavailableError

FILE_LIMIT: Final = 12 * 1024 * 1024
"""Bytes of records, after which watching ends: some 3 million, of 2 to 5 bytes each."""
READING_S: Final = 3.5
"""CPU time for reading them, after which the rest is left out: enough for 2.5 million."""
_OPEN_FILES: Final = Path("/proc/self/fd")
_TRIALS: Final = 300
_TRIAL_BYTES: Final = 2_000


class MemoryObserver:
    """memray around the user's code. Start it once, stop it once, then read.

    It can be paused: each time that it is on writes a file of its own.
    """

    def __init__(self) -> None:
        """Prepare; nothing is on disk before `start`."""
        self.limited = False
        """Whether the records grew beyond the limit, so that only the first part was seen."""
        self.record_ns = 0
        """What memray takes for one record, measured on the spot."""
        self._tracker: Any = None
        self._parts: list[_Part] = []
        self._stopping = threading.Lock()

    def start(self, text: str) -> None:
        """Watch all allocations of the process from now on, as ``text`` is about to run.

        Raises:
            UnavailableError: If that cannot be; nothing was changed.
        """
        refuse_memory(text)
        if platform.system() == "Windows":
            msg = "memray, which would watch it, does not run on Windows"
            raise UnavailableError(msg)
        if sys.getprofile() is not None:
            # On Python 3.11 memray would break at its end, and every later time (its issue).
            msg = "a profiler is active (sys.getprofile), and memray would disturb it"
            raise UnavailableError(msg)
        try:
            import memray
        except ImportError as error:
            msg = f"memray can't be imported: {error}"
            raise UnavailableError(msg) from error
        plain_ns = _trial_ns()
        try:
            self._begin(memray)
        except (RuntimeError, AssertionError) as error:
            reason = str(error) or "memray was left in disorder by an earlier error"
            msg = f"memray can't start: {reason}"
            raise UnavailableError(msg) from error
        self.record_ns = max(0, _trial_ns() - plain_ns) // (2 * _TRIALS)

    def _begin(self, memray: Any) -> None:
        part = _Part()
        try:
            destination = memray.FileDestination(part.name, overwrite=True, compress_on_exit=False)
            tracker = memray.Tracker(destination=destination)
            tracker.__enter__()
        except BaseException:
            part.discard()
            raise
        self._tracker = tracker
        part.unlink()
        self._parts.append(part)

    def pause(self) -> bool:
        """Look away for a while; return whether there is anything to `resume`."""
        if self._tracker is None or sys.getprofile() is not None:
            return False
        self._end()
        return True

    def resume(self) -> None:
        """Go on after `pause`, unless the records are too many already."""
        import memray

        if not self.limited and sys.getprofile() is None:
            self._begin(memray)

    def check(self) -> bool:
        """End watching if the records have grown beyond the limit. Any thread may call this."""
        if self._tracker is not None and sum(one.nbytes for one in self._parts) > FILE_LIMIT:
            self.limited = True
            self._end()
        return False  # ten times a second will do

    def stop(self) -> None:
        """End watching; does nothing the second time."""
        foreign = sys.getprofile()
        self._end()
        if foreign is not None:
            # The user's code has started a profiler and goes on with it.
            _resume(foreign)
        elif self.limited:
            sys.setprofile(None)  # memray took it from the thread that ended it only

    def _end(self) -> None:
        with self._stopping:
            tracker, self._tracker = self._tracker, None
            if tracker is not None:
                tracker.__exit__(None, None, None)

    def read(self, sources: Sources, tell: Callable[[float], None]) -> Replay:
        """Return what the records say, and let go of them.

        Args:
            sources: What counts as the user's.
            tell: Called now and then with the part that was read, 0 to 1.
        """
        import memray

        deadline = time.thread_time() + READING_S
        with contextlib.ExitStack() as readers:
            readers.callback(self.discard)
            opened = [readers.enter_context(memray.FileReader(one.name)) for one in self._parts]
            total = max(sum(one.metadata.total_allocations for one in opened), 1)
            return replayed(
                [one.get_allocation_records() for one in opened],
                sources,
                main_thread=opened[0].metadata.main_thread_id,
                has_arena=_tensorflow_has_arena(),
                seconds=deadline - time.thread_time(),
                tell=lambda number: tell(number / total),
            )

    def discard(self) -> None:
        """Let go of the records; does nothing the second time."""
        while self._parts:
            self._parts.pop().discard()


class _Part:
    """The file that memray writes from one start to its end."""

    def __init__(self) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="tensortoll-", suffix=".memray")
        self._path: Path | None = Path(path)

    @property
    def name(self) -> Path:
        """Where it can be opened."""
        return self._path or _OPEN_FILES / str(self._descriptor)

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return os.fstat(self._descriptor).st_size

    def unlink(self) -> None:
        """Take its name away where it can be opened without: it is gone with the process then."""
        if self._path is not None and _OPEN_FILES.is_dir():
            self._path.unlink()
            self._path = None

    def discard(self) -> None:
        """Let go of it."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)


def _trial_ns() -> int:
    """Return what it takes to allocate and release some memory a number of times."""
    started = time.perf_counter_ns()
    for _ in range(_TRIALS):
        bytearray(_TRIAL_BYTES)
    return time.perf_counter_ns() - started


def _resume(profiler: Any) -> None:
    """Give the thread its profiler back, which memray has taken off."""
    if callable(profiler):
        sys.setprofile(profiler)
    elif sys.getprofile() is not profiler and hasattr(profiler, "enable"):
        profiler.enable()  # cProfile's own, which is no function


def _tensorflow_has_arena() -> bool:
    """Say whether TensorFlow keeps an arena for tensors on the CPU, as it does with oneDNN."""
    if "tensorflow" not in sys.modules:
        return False
    port = sys.modules.get("tensorflow.python.util._pywrap_util_port")
    if port is not None:
        return bool(port.IsMklEnabled())
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
