"""Keeps our own frames out of what the user sees: tracebacks, and the places of warnings.

A replaced method stands on the stack while the original runs. An error that the original raises
passes through it, and a warning that C code gives is charged to it, as the innermost Python frame.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from tensortoll.capture.patching import Patches
from tensortoll.capture.text.sources import is_own


def without_own_frames(error: BaseException) -> None:
    """Take our frames out of the tracebacks of ``error`` and of what led to it."""
    waiting, done = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        one.__traceback__ = _cleaned(one.__traceback__)
        waiting += [led for led in (one.__cause__, one.__context__) if led is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _cleaned(first: TracebackType | None) -> TracebackType | None:
    kept = [entry for entry in _entries(first) if not is_own(entry.tb_frame.f_code.co_filename)]
    if not kept:
        return first
    for entry, after in zip(kept, [*kept[1:], None], strict=True):
        entry.tb_next = after
    return kept[0]


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def charge_warnings_to_the_caller(patches: Patches) -> None:
    """Have a warning that is charged to one of our lines be shown at the line we act for."""
    if hasattr(warnings, "_showwarnmsg"):
        patches.replace(warnings, "_showwarnmsg", _charging)


def _charging(show: Callable[[Any], None]) -> Callable[[Any], None]:
    def charged(message: Any) -> None:
        if is_own(message.filename):
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and is_own(frame.f_code.co_filename):
                frame = frame.f_back
            if frame is not None:
                message.filename, message.lineno = frame.f_code.co_filename, frame.f_lineno
        show(message)

    return charged
