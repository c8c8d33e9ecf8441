"""line_profiler around the user's code: how often each line ran, and how long it took.

Times are inclusive: a line that calls a function has the function's time. Only what is handed to
`TimeObserver.timed` before it runs is timed: the code of the cell and of all that it defines.
"""

from __future__ import annotations

import dis
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, Final, NamedTuple

from tensortoll.capture.observers.conflicts import reads_bytecode, refuse_time
from tensortoll.capture.observers.hot import LOCAL_EVENTS, MONITORING, HotLines, LineTime
from tensortoll.capture.runtime.expressions import FUNCTIONS
from tensortoll.errors import UnavailableError

_MODULE: Final = "<module>"
_AWAITING: Final = frozenset(("GET_AWAITABLE", "GET_ANEXT"))
_COROUTINE: Final = 0x80
_TRIALS: Final = 500
_IMMORTAL: Final = 1 << 24
"""So many references are no count: some builds of Python let code live for ever."""
_TRIAL: Final = "for _ in range(n):\n    pass\n"


_Key = tuple[str, int, str]
"""File, first line and name of a code object, as line_profiler tells them apart."""


class Times(NamedTuple):
    """What was measured, by file name and line."""

    lines: dict[tuple[str, int], LineTime]
    top_ns: int
    """What the lines took that are in no function: the parts of the whole that do not overlap."""


class TimeObserver:
    """One `LineProfiler`. Start it once, stop it once."""

    def __init__(self) -> None:
        """Prepare; nothing is imported before `start`."""
        self.leaves_functions = False
        """Whether only lines are timed that are in no function, as bytecode is read by others."""
        self._profiler: Any = None
        self._running = 0
        self._codes: list[CodeType] = []
        self._as_given: dict[int, tuple[CodeType, CodeType]] = {}
        """Code as timed and as it was given, by the address of the former."""
        self._references: dict[int, int] = {}
        """To each code as timed before it ran, by its address."""
        self._waited: dict[tuple[str, int], int] = {}
        """What passed between the parts of a line that awaits."""
        self.hot = HotLines(self._lines_of, self._is_timed)

    def start(self, text: str) -> None:
        """Be ready to time ``text``.

        Raises:
            UnavailableError: If that cannot be.
        """
        refuse_time(text)
        self.leaves_functions = reads_bytecode(text)
        if sys.gettrace() is not None:
            msg = "a debugger or a coverage tool traces this thread, and would miss what it is for"
            raise UnavailableError(msg)
        if LOCAL_EVENTS:
            holder = MONITORING.get_tool(MONITORING.PROFILER_ID)
            if holder is not None:
                msg = f"{holder} profiles already, and Python has room for one profiler"
                raise UnavailableError(msg)
        try:
            from line_profiler import LineProfiler
        except ImportError as error:
            msg = f"line_profiler can't be imported: {error}"
            raise UnavailableError(msg) from error
        self._profiler = LineProfiler()

    def timed(self, code: CodeType) -> CodeType:
        """Return ``code`` in the form in which it has to run for its lines to be timed."""
        if self._profiler is None:
            return code
        known = len(self._codes)
        made = self._timed(code)
        self._references = _references(self._codes) | self._references
        if self._running and LOCAL_EVENTS:
            _listen(self._codes[known:], on=True)
        return made

    def _timed(self, code: CodeType) -> CodeType:
        constants = code.co_consts
        if not self.leaves_functions:
            constants = tuple(
                self._timed(one) if isinstance(one, CodeType) else one for one in constants
            )
        held = SimpleNamespace(__code__=code.replace(co_consts=constants))
        self._profiler.add_function(held)
        made: CodeType = held.__code__
        self._codes.append(made)
        self._as_given[id(made)] = (made, code)
        return made

    @contextmanager
    def running(self, code: CodeType) -> Iterator[None]:
        """Time the block, which runs ``code``: the form that `timed` returned."""
        if self._profiler is None:
            yield
            return
        awaiting = _awaiting_lines(code) if code.co_flags & _COROUTINE else set()
        before = self._of_lines(code) if awaiting else 0
        started = time.perf_counter_ns()
        self._begin()
        try:
            yield
        finally:
            self._end()
            if len(awaiting) == 1:
                # line_profiler stops its clock where a coroutine is suspended.
                whole = time.perf_counter_ns() - started
                place = code.co_filename, awaiting.pop()
                waited = whole - (self._of_lines(code) - before)
                self._waited[place] = self._waited.get(place, 0) + max(waited, 0)

    def _begin(self) -> None:
        self._profiler.enable_by_count()
        if not self._running:
            self.hot.begin()
        self._running += 1
        if LOCAL_EVENTS:
            _listen(self._codes, on=True)

    def _end(self) -> None:
        foreign = sys.gettrace()
        self._running -= 1
        if not self._running:
            self.hot.end()
        if LOCAL_EVENTS and not self._running:
            _listen(self._codes, on=False)
        self._profiler.disable_by_count()
        if foreign is not None and not type(foreign).__module__.startswith("line_profiler"):
            sys.settrace(foreign)  # the user's code has set it, and it is to stay

    def _of_lines(self, code: CodeType) -> int:
        """Return what the lines of ``code`` itself took so far, in nanoseconds."""
        lines = {line for _, _, line in code.co_lines()}
        took = self._lines_of(code)
        return sum(one.elapsed_ns for line, one in took.items() if line in lines)

    def _lines_of(self, code: CodeType) -> dict[int, LineTime]:
        """Return what the lines of the functions that are called so took so far."""
        return next((rows for key, rows in self._rows() if _is_of(code, key)), {})

    def _rows(self) -> Iterator[tuple[_Key, dict[int, LineTime]]]:
        for key, rows in self._profiler.get_stats().timings.items():
            yield key, {line: LineTime(hits, self._ns(ticks)) for line, hits, ticks in rows}

    def _is_timed(self, code: CodeType) -> bool:
        return id(code) in self._as_given

    def _ns(self, ticks: int) -> int:
        unit: float = self._profiler.timer_unit
        return round(ticks * unit * 1e9)

    def stop(self, kept: Callable[[CodeType], int]) -> None:
        """Give the functions that were defined meanwhile the code that they were given.

        Args:
            kept: Says how many references to a code are none of the user's, but the recorder's.
        """
        for one in tuple(FUNCTIONS):
            self._give_back(one)
        # Who holds the others is found by a look at all objects of the process, which takes
        # longer than most cells that define nothing.
        now = _references(self._codes)
        held = [
            made
            for made in self._codes
            if made.co_name != _MODULE
            and not now[id(made)] - kept(made) <= self._references.get(id(made), 0) < _IMMORTAL
        ]
        if held:
            for one in gc.get_referrers(*held):
                self._give_back(one)

    def _give_back(self, function: object) -> None:
        if isinstance(function, FunctionType):
            made, given = self._as_given.get(id(function.__code__), (None, None))
            if made is function.__code__ and given is not None:
                function.__code__ = given

    def times(self) -> Times:
        """Return what was measured."""
        lines: dict[tuple[str, int], LineTime] = {}
        top: dict[tuple[str, int], int] = {}
        if self._profiler is None:
            return Times(lines, 0)
        for key, rows in self._rows():
            for spell in self.hot.spells:
                if _is_of(spell.code, key):
                    spell.correct(rows)
            file, _, name = key
            for line, spent in rows.items():
                if line < 1:
                    continue  # what IPython adds to show a value
                place = file, line
                if name == _MODULE:
                    top[place] = top.get(place, 0) + spent.elapsed_ns
                # A comprehension's own code takes part of the time of the line it stands on:
                # the most that any code took there is the line's.
                known = lines.get(place, LineTime())
                lines[place] = max(known, spent, key=lambda one: (one.elapsed_ns, one.hits))
        for place, waited in self._waited.items():
            known = lines.get(place, LineTime())
            lines[place] = known._replace(elapsed_ns=known.elapsed_ns + waited)
            top[place] = top.get(place, 0) + waited
        return Times(lines, sum(top.values()))

    def cost_ns(self) -> int:
        """Return what timing took, from the number of lines that ran and the time of a trial."""
        if self._profiler is None:
            return 0
        hits: int = sum(
            hits for rows in self._profiler.get_stats().timings.values() for _, hits, _ in rows
        )
        code = compile(_TRIAL, "<trial>", "exec")
        plain = _elapsed_ns(code)
        trial = TimeObserver()
        trial._profiler = type(self._profiler)()
        timed = trial.timed(code)
        with trial.running(timed):
            watched = _elapsed_ns(timed)
        return hits * max(0, watched - plain) // (2 * _TRIALS)


def _references(codes: list[CodeType]) -> dict[int, int]:
    """Return how often each code is referred to, by its address.

    The references of the call itself are counted too: only the difference of two tells anything.
    """
    return {id(made): sys.getrefcount(made) for made in codes}


def _is_of(code: CodeType, key: _Key) -> bool:
    file, first_line, name = key
    return code.co_filename == file and code.co_firstlineno == first_line and code.co_name == name


def _elapsed_ns(code: CodeType) -> int:
    started = time.perf_counter_ns()
    exec(code, {"n": _TRIALS})
    return time.perf_counter_ns() - started


def _awaiting_lines(code: CodeType) -> set[int]:
    lines: set[int] = set()
    for one in dis.get_instructions(code):
        line = one.positions.lineno if one.positions is not None else None
        if one.opname in _AWAITING and line is not None:
            lines.add(line)
    return lines


def _listen(codes: list[CodeType] | tuple[CodeType, ...], *, on: bool) -> None:
    """Have Python report the lines of these code objects only, and not those of libraries.

    line_profiler asks for the lines of all code, but takes what it gets. Where its ways have
    changed, all code it is.
    """
    events, tool = MONITORING.events, MONITORING.PROFILER_ID
    try:
        if on:
            # Without these the line in which a function raises would have no end.
            MONITORING.set_events(tool, events.RAISE | events.RERAISE)
        for code in codes:
            wanted = events.LINE | events.PY_RETURN | events.PY_YIELD if on else 0
            MONITORING.set_local_events(tool, code, wanted)
    except ValueError:
        return
