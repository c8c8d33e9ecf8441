"""From the conversion that breaks a limit to the user's line that made it.

An error that was raised in the middle of a hook would pass through the library: it might be caught
there, or leave a model converted by half. So none is. The error is raised in the user's own frame,
between two of its instructions, once whatever it had called has returned. Python lets a trace
function do that. Ours is installed at the moment a limit is broken and not before, and the one
that was there (a debugger's, coverage's) is put back.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, Final

from tensortoll.capture.text.sources import is_own
from tensortoll.capture.watch import current
from tensortoll.errors import LimitError, LimitWarning
from tensortoll.guarding.scopes import Scope
from tensortoll.limits import Limit
from tensortoll.model import Conversion


class _Here(threading.local):
    """What is to know of the thread that asks."""

    def __init__(self) -> None:
        self.armed = 0
        """Frames of the user's that are to hear of a broken limit."""
        self.tracer: Any = None
        """The trace function that stood there before the first of them."""
        self.dropped: Any = None
        """The same, once Python has dropped it because ours raised."""
        self.left: list[FrameType] = []
        """With it, the frames that ran at that moment, the innermost first."""
        self.raised_at: tuple[int, int] | None = None
        """Instruction and line of what broke the limit, in the frame where was raised."""


_HERE: Final = _Here()


def reach(scope: Scope, broken: Limit, describe: Callable[[], Conversion]) -> None:
    """Have the user's innermost line hear that it broke a limit; the first one only.

    Args:
        scope: Whose limit it is.
        broken: The limit.
        describe: Returns what was converted.
    """
    *between, user = _frames(sys._getframe(1))
    if user is None:
        scope.unraised = scope.unraised or _error(scope, broken, describe())
    elif not isinstance(getattr(user.f_trace, "__self__", None), _Verge):
        _Verge(scope, broken, describe, user).arm([one for one in between if one is not None])


class _Verge:
    """A broken limit that the user's line is to hear of."""

    def __init__(
        self, scope: Scope, broken: Limit, describe: Callable[[], Conversion], user: FrameType
    ) -> None:
        self._scope = scope
        self._broken = broken
        self._describe = describe
        self._user = user
        self._at = user.f_lasti, user.f_lineno
        self._before = user.f_trace, user.f_trace_opcodes

    def arm(self, between: list[FrameType]) -> None:
        """Be told when the line goes on; ``between`` are the library's frames on the way there."""
        if not _HERE.armed:
            _HERE.tracer = sys.gettrace()
        _HERE.armed += 1
        for frame in between if _HERE.tracer is not None else ():
            # Or a coverage tool, which counts calls and returns, would miss their returning.
            frame.f_trace = frame.f_trace or _HERE.tracer
        self._user.f_trace_opcodes = True
        self._user.f_trace = self._goes_on
        sys.settrace(_not_traced)

    def _goes_on(self, frame: FrameType, event: str, arg: object) -> None:  # noqa: ARG002
        """Raise or warn, as the line's next instruction is about to run."""
        frame.f_trace, frame.f_trace_opcodes = self._before
        _HERE.armed -= 1
        tracer = _HERE.tracer
        if not _HERE.armed:
            _HERE.tracer = None
            _told_again(frame, tracer)
            sys.settrace(tracer)
        # A line that failed by itself says so, and what was counted may have been taken back.
        if event == "exception" or not self._scope.is_broken(self._broken):
            return
        error = _error(self._scope, self._broken, self._describe())
        if self._scope.failures == "warn":
            self._warn(frame, str(error), tracer)
            return
        self._about_to_raise(frame, tracer)
        raise error

    def _warn(self, frame: FrameType, text: str, tracer: Any) -> None:
        place = frame.f_code, self._at
        if place in self._scope.told:
            return
        self._scope.told.add(place)
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        file, line = frame.f_code.co_filename, self._at[1]
        try:
            warnings.warn_explicit(text, LimitWarning, file, line, registry=registry)
        except LimitWarning:  # warnings are errors here
            self._about_to_raise(frame, tracer)
            raise

    def _about_to_raise(self, frame: FrameType | None, tracer: Any) -> None:
        _HERE.dropped = tracer
        _HERE.raised_at = self._at
        _HERE.armed = 0
        while frame is not None and tracer is not None:
            _HERE.left.append(frame)
            frame = frame.f_back


def _frames(frame: FrameType | None) -> Iterator[FrameType | None]:
    """Yield the library's frames from here to the user's innermost one; last that, or None."""
    watch = current()
    while frame is not None and watch is not None:
        name = frame.f_code.co_filename
        if watch.sources.of(name) is not None:
            break
        if not is_own(name):
            yield frame
        frame = frame.f_back
    yield frame if watch is not None else None


def _not_traced(frame: FrameType, event: str, arg: object) -> None:
    """Leave frames that are entered meanwhile alone."""


def _told_again(frame: FrameType | None, tracer: Any) -> None:
    """Have the frames that run already tell a trace function again."""
    while frame is not None and tracer is not None:
        frame.f_trace = frame.f_trace or tracer
        frame = frame.f_back


def restore(frame: FrameType, error: BaseException | None) -> None:
    """Put things right after one of ours was raised, in the frame where a guard ends."""
    tracer, _HERE.dropped = _HERE.dropped, None
    if not getattr(tracer, "active_instances", True):
        tracer = None  # line_profiler's, which has ended meanwhile
    left, _HERE.left = _HERE.left, []
    if error is not None:
        charge(error)
    _HERE.raised_at = None
    if tracer is not None:
        with suppress(Exception):  # it is another's: what it makes of this is its own business
            for one in left[: left.index(frame)]:
                tracer(one, "return", None)
        _told_again(frame, tracer)
        # Nothing may be called from here on: its call would be told, and with it the return of
        # frames of ours whose calls were not.
        sys.settrace(tracer)


def charge(error: BaseException) -> None:
    """Have the traceback of an error that was raised here end at the line that broke the limit.

    Python puts the error where the line goes on, which may be below, and our own frame after it.
    """
    entries = []
    entry = error.__traceback__
    while entry is not None and not is_own(entry.tb_frame.f_code.co_filename):
        entries.append(entry)
        entry = entry.tb_next
    if entry is None or not entries or _HERE.raised_at is None:
        return  # it is no error of ours
    told = TracebackType(None, entries[-1].tb_frame, *_HERE.raised_at)
    _HERE.raised_at = None
    if len(entries) > 1:
        entries[-2].tb_next = told
    else:
        error.__traceback__ = told


def _error(scope: Scope, broken: Limit, conversion: Conversion) -> LimitError:
    from tensortoll.report.words import message

    place = conversion.route.place
    counts_alone = replace(conversion, totals=conversion.totals._replace(elapsed_ns=0), proof=None)
    told = message(counts_alone)
    return LimitError(
        f"{broken.broken_by(scope.amounts[broken])}.\n"
        f"{place.source.name}, line {place.line}: {place.expression}\n"
        f"{told.head}: {', '.join(told.parts)}",
        conversion,
    )
