"""One quiet line on how far a long run has come, for who waits at a screen."""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from tensortoll.capture.counting.recorder import Recorder
from tensortoll.sizes import format_bytes, format_count, format_time

Show = Callable[[str], None]
"""Shows a line in place of the one before; the empty line takes it away."""
Check = Callable[[], bool]
"""Looks after something; says whether it has to look again soon."""

LONG_S: Final = 3.0
"""A run of so many seconds gets a line."""
_LOOK_S: Final = 0.1
_SOON_S: Final = 0.005
_TELL_S: Final = 1.0


class Overseer:
    """Looks after a run from a thread of its own.

    The thread is none of `threading`'s, so that the user's code counts its own threads only.
    """

    def __init__(self, checks: Iterable[Check], recorder: Recorder, show: Show | None) -> None:
        """Prepare.

        Args:
            checks: Called ten times a second, or more often where one says so.
            recorder: Knows what was seen so far.
            show: Takes the line; None for none.
        """
        self._checks = tuple(checks)
        self._recorder = recorder
        self._show = show
        self._shown = False
        self._stopping = threading.Event()
        self._ended = _thread.allocate_lock()
        self._started_s = self._told_s = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._ended.acquire()
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """End; does nothing the second time."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._ended.acquire()

    def _run(self) -> None:
        try:
            soon = False
            while not self._stopping.wait(_SOON_S if soon else _LOOK_S):
                soon = any(tuple(check() for check in self._checks))  # none is left out
                self._tell(self._so_far)
        except Exception as error:
            self._recorder.fault("looking after a long run", error)
        finally:
            self._ended.release()

    def _tell(self, line: Callable[[], str]) -> None:
        now = time.monotonic()
        if self._show is None or now - self._started_s < LONG_S or now - self._told_s < _TELL_S:
            return
        self._told_s = now
        self._shown = True
        self._show(line())

    def _so_far(self) -> str:
        elapsed = format_time(round((time.monotonic() - self._started_s) * 1e9))
        rows = tuple(self._recorder.conversions())
        count = sum(one.totals.count for one in rows)
        copied = sum(one.totals.bytes_written for one in rows)
        told = f"{format_count(count)} conversions, {format_bytes(copied)} copied"
        return f"tensortoll: {elapsed}, {told} so far"

    def reading(self, part: float) -> None:
        """Take note that ``part`` of what was written down about memory has been read."""
        self._tell(lambda: f"tensortoll: reading what was allocated, {part:.0%}")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and self._show is not None:
            self._shown = False
            self._show("")


def terminal_line(stream: TextIO | None = None) -> Show | None:
    """Return what shows a line at the bottom of a terminal; None where there is no reader."""
    stream = sys.stderr if stream is None else stream
    if not is_attended() or stream is None or not stream.isatty():
        return None
    out = stream

    def show(line: str) -> None:
        out.write(f"\r\x1b[K{line}")
        out.flush()

    return show


def is_attended() -> bool:
    """Say whether somebody may be looking: not in CI, and not on a terminal that can't erase."""
    return not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
