"""Lines that run too often to be timed one by one: they are timed for a while, then left alone.

To time a line once takes some 100 ns, several times what `step += 1` takes: a loop over scalars
would run seven times slower. Once a tenth of a second has shown what the lines of such a loop take,
Python reports them no more, until a line that is none of them runs. What the loop took meanwhile
is measured as a whole and shared out by what was shown.
"""

from __future__ import annotations

import dis
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

LOCAL_EVENTS: Final = sys.version_info >= (3, 12)
"""Whether Python can report the lines of single code objects, and leave libraries alone."""
MONITORING: Final[Any] = getattr(sys, "monitoring", None)
HITS_PER_S: Final = 300_000
"""Above so many lines a second timing them takes most of the time: each is below 3.3 µs."""
_SHARE: Final = 0.01
"""A line belongs to the loop if it ran at least so often as the line that ran most often."""
_PATIENCE: Final = 50
"""The figures so far are asked for again after so many times what asking took."""
_SUSPENDABLE: Final = 0x20 | 0x80 | 0x200
"""Generators and coroutines: their frames leave the stack and come back."""


class LineTime(NamedTuple):
    """How often a line ran, and how long it took in all."""

    hits: int = 0
    elapsed_ns: int = 0

    def since(self, before: LineTime) -> LineTime:
        """Return what came since ``before``."""
        return LineTime(self.hits - before.hits, self.elapsed_ns - before.elapsed_ns)


Read = Callable[[CodeType], dict[int, LineTime]]
"""What the lines of a code object took so far."""


@dataclass
class Spell:
    """A time in which the lines of a loop were not reported."""

    code: CodeType
    shown: dict[int, LineTime]
    """What the lines of the loop took while they were timed."""
    before: dict[int, LineTime]
    began_ns: int
    ended_ns: int = 0
    line_after: int = 0
    """The line that was running when the spell ended; 0 where the code itself had ended."""
    after: dict[int, LineTime] | None = None

    def correct(self, lines: dict[int, LineTime]) -> None:
        """Share out what the profiler takes for one run of the line that it saw last.

        Args:
            lines: What the profiler says of the code's lines; it is changed.
        """
        after = self.after if self.after is not None else lines
        grown = {line: one.since(self.before.get(line, LineTime())) for line, one in after.items()}
        last = max(self.shown, key=lambda line: grown.get(line, LineTime()).elapsed_ns)
        whole = grown.get(last, LineTime()).elapsed_ns
        looped = min(self.ended_ns - self.began_ns, whole)
        moved: dict[int, int] = {last: -looped}
        if self.line_after:
            moved[last] -= whole - looped
            moved[self.line_after] = moved.get(self.line_after, 0) + whole - looped
        total = sum(one.elapsed_ns for one in self.shown.values())
        for line, one in self.shown.items():
            moved[line] = moved.get(line, 0) + looped * one.elapsed_ns // total
        for line, nanoseconds in moved.items():
            known = lines.get(line, LineTime())
            # It was seen to run, if not when it began.
            hits = max(known.hits, 1)
            lines[line] = LineTime(hits, max(0, known.elapsed_ns + nanoseconds))


class HotLines:
    """Finds such loops from a thread of its own, and leaves them alone."""

    def __init__(self, read: Read, is_timed: Callable[[CodeType], bool]) -> None:
        """Prepare.

        Args:
            read: Tells what the lines of a code object took so far.
            is_timed: Whether the lines of a code object are timed.
        """
        self.spells: list[Spell] = []
        self._read = read
        self._is_timed = is_timed
        self._thread = 0
        self._frame_id = 0
        self._seen: tuple[CodeType, dict[int, LineTime], int] | None = None
        self._next_ns = 0
        self._heads: dict[tuple[int, int], int] = {}
        """Lines that instructions without one of their own jump to, by code and instruction."""

    def begin(self) -> None:
        """Look at the thread that calls this."""
        self._thread = threading.get_ident()

    def end(self) -> None:
        """Look no more: the code has ended, and what the profiler says is whole."""
        self._thread = 0
        self._seen = None
        for spell in self.spells:
            if not spell.ended_ns:
                spell.ended_ns = time.perf_counter_ns()
            if spell.after is None:
                spell.after = self._read(spell.code)

    def check(self) -> bool:
        """Look once; call it ten times a second, or soon again where it says so."""
        if not self._thread:
            return False
        spell = self.spells[-1] if self.spells else None
        if spell is not None and not spell.ended_ns:
            return not self._is_over(spell)
        for one in self.spells:
            if one.after is None and (lines := self._read(one.code)) != one.before:
                one.after = lines  # the profiler has seen the end of the loop's last line
        return self._look()

    def _frames(self) -> Iterator[FrameType]:
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            if self._is_timed(frame.f_code):
                yield frame
            frame = frame.f_back

    def _look(self) -> bool:
        """Leave a loop alone from now on if one is found."""
        now = time.perf_counter_ns()
        if now < self._next_ns:
            return False
        frame = next(self._frames(), None)
        if frame is None or frame.f_code.co_flags & _SUSPENDABLE:
            self._seen = None
            return False
        code = frame.f_code
        lines = self._read(code)
        self._next_ns = now + (time.perf_counter_ns() - now) * _PATIENCE
        seen, self._seen = self._seen, (code, lines, now)
        if seen is None or seen[0] is not code or id(frame) != self._frame_id:
            self._frame_id = id(frame)
            return False
        grown = {line: one.since(seen[1].get(line, LineTime())) for line, one in lines.items()}
        most = max((one.hits for one in grown.values()), default=0)
        rate = sum(one.hits for one in grown.values()) * 1e9 / (now - seen[2])
        shown = {line: one for line, one in grown.items() if one.hits > most * _SHARE}
        if rate < HITS_PER_S or self._line_of(frame) not in shown:
            return False
        self._seen = None
        _report_lines(code, frame, wanted=False)
        self.spells.append(Spell(code, shown, self._read(code), time.perf_counter_ns()))
        return True

    def _is_over(self, spell: Spell) -> bool:
        ours = (one for one in self._frames() if one.f_code is spell.code)
        frame = next((one for one in ours if LOCAL_EVENTS or not one.f_trace_lines), None)
        line = 0 if frame is None else self._line_of(frame)
        if line in spell.shown:
            return False
        _report_lines(spell.code, frame, wanted=True)
        spell.ended_ns, spell.line_after = time.perf_counter_ns(), line
        return True

    def _line_of(self, frame: FrameType) -> int:
        """Return the line that runs. A jump back may have none: it is where it goes to."""
        if frame.f_lineno is not None:
            return frame.f_lineno
        code, at = frame.f_code, frame.f_lasti
        if (id(code), at) not in self._heads:
            here = (one for one in dis.get_instructions(code) if one.offset == at)
            jump = next((one for one in here if one.opname.startswith("JUMP")), None)
            self._heads[id(code), at] = _line_at(code, jump.argval) if jump is not None else 0
        return self._heads[id(code), at]


def _report_lines(code: CodeType, frame: FrameType | None, *, wanted: bool) -> None:
    """Have Python report the lines that run, or not; that the code returns is always reported."""
    if LOCAL_EVENTS:
        events = MONITORING.events
        ends = events.PY_RETURN | events.PY_YIELD
        lines = events.LINE if wanted else 0
        MONITORING.set_local_events(MONITORING.PROFILER_ID, code, ends | lines)
    elif frame is not None:
        frame.f_trace_lines = wanted


def _line_at(code: CodeType, offset: int) -> int:
    return next((line or 0 for start, end, line in code.co_lines() if start <= offset < end), 0)
