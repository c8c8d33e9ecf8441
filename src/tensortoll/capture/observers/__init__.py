"""Observers: witnesses of time and memory by line, beside the probes and independent of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType

from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.hazards.writes import resume_looking
from tensortoll.capture.observers.costs import Costs, costs_of
from tensortoll.capture.observers.memory import MemoryObserver
from tensortoll.capture.observers.replay import Replay
from tensortoll.capture.observers.timing import TimeObserver
from tensortoll.capture.progress import Check, Overseer, Show
from tensortoll.capture.text.sources import Sources
from tensortoll.errors import UnavailableError
from tensortoll.model import Conversion
from tensortoll.sizes import format_count


@dataclass(frozen=True, slots=True)
class Observing:
    """What is to be observed beside the conversions."""

    memory: bool = True
    """What each line allocates, by memray."""
    time: bool = True
    """How long each line takes, by line_profiler."""
    show: Show | None = None
    """Takes a line on how far a long run has come; None where nobody would see it."""


class Observers:
    """The observers of one watch. What can't run is said, and the rest still works."""

    def __init__(self, chosen: Observing, sources: Sources, recorder: Recorder) -> None:
        """Prepare; nothing runs before `start`."""
        self._sources = sources
        self._recorder = recorder
        self._memory = MemoryObserver() if chosen.memory else None
        self._time = TimeObserver() if chosen.time else None
        self._show = chosen.show
        self._overseer: Overseer | None = None
        self._replay: Replay | None = None
        self._overheads: dict[str, int] = {}
        self._imported: list[str] = []
        """Libraries that came while memray was made to look away."""

    def start(self, text: str) -> None:
        """Observe from now on; ``text`` is the user's."""
        if self._time is not None:
            try:
                self._time.start(text)
            except Exception as error:
                self._time = None
                self._unavailable("Time by line", error)
        if self._memory is not None:
            try:
                with self._costing("memory"):
                    self._memory.start(text)
            except Exception as error:
                self._memory = None
                self._unavailable("Memory", error)
        if self._memory is not None or self._time is not None or self._show is not None:
            self._overseer = Overseer(self._checks(), self._recorder, self._show)
            self._overseer.start()

    def _checks(self) -> Iterator[Check]:
        if self._memory is not None:
            yield self._memory.check
        if self._time is not None:
            yield self._time.hot.check
        yield resume_looking

    def _unavailable(self, what: str, error: Exception) -> None:
        if isinstance(error, UnavailableError):
            self._recorder.blind_spot(f"{what} was not watched: {error}.")
        else:
            self._recorder.fault(f"{what} could not be watched", error)

    def leave_functions(self) -> None:
        """Leave the functions of the text as they are: a compiler may read their bytecode."""
        if self._time is not None:
            self._time.leaves_functions = True

    def timed(self, code: CodeType) -> CodeType:
        """Return ``code`` in the form in which it has to run to be observed."""
        if self._time is None:
            return code
        try:
            return self._time.timed(code)
        except Exception as error:
            self._recorder.fault("timing the lines of a text", error)
            return code

    @contextmanager
    def running(self, code: CodeType) -> Iterator[None]:
        """Observe the block, which runs ``code``: the form that `timed` returned."""
        with self._time.running(code) if self._time is not None else contextlib.nullcontext():
            yield

    @contextmanager
    def importing(self, library: str) -> Iterator[None]:
        """Look away from memory while the block imports a library.

        memray hooks every library of the process anew for each one that is loaded: the hundreds
        that belong to TensorFlow would take a minute.
        """
        paused = False
        if self._memory is not None and library != "multiprocessing":  # a small one
            with self._guarded("pausing memray"), self._costing("memory"):
                paused = self._memory.pause()
        try:
            yield
        finally:
            if paused and self._memory is not None:
                with self._guarded("resuming memray"), self._costing("memory"):
                    self._memory.resume()
                self._imported.append(library)

    def stop(self) -> None:
        """Observe no more; does nothing the second time."""
        if self._overseer is not None:
            self._overseer.stop()
        if self._memory is not None:
            with self._guarded("ending to watch memory"), self._costing("memory"):
                self._memory.stop()
        if self._time is not None:
            with self._guarded("ending to time lines"), self._costing("time"):
                self._time.stop(self._recorder.keeps)

    def read(self) -> None:
        """Work out what was observed. This may take seconds, and is told to who waits."""
        if self._memory is not None and self._replay is None:
            tell = self._overseer.reading if self._overseer is not None else lambda _: None
            with self._guarded("reading what memray wrote"), self._costing("memory"):
                self._replay = self._memory.read(self._sources, tell)
                self._note_limits(self._replay)
                self._overheads["memory"] += self._replay.records * self._memory.record_ns
        if self._overseer is not None:
            self._overseer.clear()
        if self._time is not None and "time" in self._overheads:
            with self._guarded("working out the times of lines"):
                self._overheads["time"] += self._time.cost_ns()
                self._note_hot_lines(self._time)

    def _note_hot_lines(self, observer: TimeObserver) -> None:
        for spell in {(one.code, *one.shown): one for one in observer.hot.spells}.values():
            first, last = min(spell.shown), max(spell.shown)
            which = f"Line {first}" if first == last else f"Lines {first} to {last}"
            runs = format_count(sum(one.hits for one in spell.before.values()))
            self._recorder.blind_spot(
                f"{which} ran too often to be timed one by one: counted are {runs} runs of lines, "
                "and what they took after that is shared out by what was measured until then."
            )

    def _note_limits(self, replay: Replay) -> None:
        memory = self._memory
        if memory is not None and (memory.limited or not replay.whole):
            self._recorder.blind_spot(
                f"Memory is told for the first {replay.records:,} allocations and releases only: "
                "there were too many to read them all."
            )
        if self._imported:
            libraries = ", ".join(self._imported)
            self._recorder.blind_spot(
                f"What these imports allocated was not watched, it takes too long: {libraries}."
            )
        if replay.without_stack > _WITHOUT_STACK:
            self._recorder.blind_spot(
                "Memory that was allocated while a profiler ran inside the code is on no line."
            )

    def costs(self, conversions: Iterable[Conversion], elapsed_ns: int) -> Costs:
        """Return what the lines took.

        Args:
            conversions: All that were seen.
            elapsed_ns: Of the whole.
        """
        try:
            times = self._time.times() if self._time is not None else None
            return costs_of(self._replay, times, self._sources, conversions, elapsed_ns)
        except Exception as error:
            self._recorder.fault("working out what lines took", error)
            return Costs((), None)

    @property
    def overheads(self) -> dict[str, int]:
        """What observing took by its kind, in nanoseconds."""
        return dict(self._overheads)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._recorder.fault(what, error)

    @contextmanager
    def _costing(self, kind: str) -> Iterator[None]:
        started = time.perf_counter_ns()
        try:
            yield
        finally:
            spent = time.perf_counter_ns() - started
            self._overheads[kind] = self._overheads.get(kind, 0) + spent


_WITHOUT_STACK = 1_000
"""So many records without a stack are more than a library leaves behind by itself."""
