"""The one watch of the process: what is installed, for how long, and what came of it."""

from __future__ import annotations

import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import metadata
from types import MethodType
from typing import Any, Final, Self

from tensortoll.capture import probes
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.arrival import Arrivals
from tensortoll.capture.costs.overhead import WORTH, event_ns
from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.counting.tracing import Ring, TracingRecorder
from tensortoll.capture.failures.noticing import Failures
from tensortoll.capture.hazards.writes import Writes
from tensortoll.capture.observers import Observers, Observing
from tensortoll.capture.patching import Patches
from tensortoll.capture.places import Places
from tensortoll.capture.rewriting.functions import Texts
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.evidence import Evidence
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.text.sources import Sources
from tensortoll.capture.unseen import charge_warnings_to_the_caller
from tensortoll.capture.workers import Workers
from tensortoll.errors import AlreadyWatchingError
from tensortoll.merging import fault_text
from tensortoll.model import Conversion, Environment, Source
from tensortoll.recording import Recording, merged

MAX_GROUPS: Final = 50_000
NOTHING: Final = Observing(memory=False, time=False)

_current: Watch | None = None
_starting = threading.Lock()


def current() -> Watch | None:
    """Return the watch that is on, or None."""
    return _current


def notice(error: BaseException) -> None:
    """Look into an error that ends watched code; called before our frames are taken out of it."""
    if _current is not None:
        table = _current.recorder.local.table
        given, table.given = table.given, None
        _current.failures.notice(error, given)


class Watch:
    """Everything that is in place while code is watched. Start it once, stop it once."""

    def __init__(
        self,
        sources: Sources,
        *,
        max_groups: int = MAX_GROUPS,
        observing: Observing = NOTHING,
        ring: Ring | None = None,
    ) -> None:
        """Prepare; nothing is changed before `start`.

        Args:
            sources: What counts as the user's code.
            max_groups: See `Recorder`.
            observing: What is observed beside the conversions.
            ring: Keeps single events too, for a timeline; None for none.
        """
        self.sources = sources
        self.recorder = (
            Recorder(max_groups=max_groups)
            if ring is None
            else TracingRecorder(ring, max_groups=max_groups)
        )
        self.observers = Observers(observing, sources, self.recorder)
        self.patches = Patches()
        self.libraries: list[str] = []
        self._probes = probes.load_probes(self.recorder.fault)
        self._by_library = {probe.library: probe for probe in self._probes.values()}
        self.explicit: frozenset[str] = frozenset().union(
            *(probe.explicit for probe in self._probes.values())
        )
        """Names of calls that ask for a conversion."""
        self.rewrites = reduce(Rewrites.joined, (one.rewrites for one in self._probes.values()))
        """Expressions that can convert."""
        self.texts = Texts()
        """What was rewritten for this watch."""
        self._workers = Workers(self.recorder, self.patches)
        self._from_workers: list[Recording] = []
        self.evidence = Evidence(self.recorder.fault)
        """What the conversions were handed, in numbers."""
        places = Places(sources, self.explicit, self.evidence)
        self._context = probes.Context(self.recorder, places, self.patches)
        self.failures = Failures(sources, self.recorder)
        """Conversions that raised."""
        self.writes = Writes(sources, self.describe, self.recorder.fault, self.recorder.blind_spot)
        """Writes to memory that conversions share."""
        self._arrivals = Arrivals((), lambda _: None)
        self._started_ns = self._elapsed_ns = self._own_ns = 0

    def start(self, text: str = "") -> None:
        """Install everything.

        Args:
            text: What is about to run, where it is known.

        Raises:
            AlreadyWatchingError: If a watch is on in this process.
        """
        global _current  # noqa: PLW0603 - there is one watch per process by design
        began = time.perf_counter_ns()
        with _starting:
            if _current is not None:
                msg = (
                    "tensortoll is watching already. A process has one watch at a time: "
                    "end the first one, or leave the inner one out."
                )
                raise AlreadyWatchingError(msg)
            _current = self
        try:
            self._install()
            self._own_ns += time.perf_counter_ns() - began
            self.observers.start(text)
        except BaseException:
            self.observers.stop()
            self._uninstall()
            raise
        self._started_ns = time.perf_counter_ns()

    def stop(self) -> None:
        """Put everything back as it was; does nothing the second time."""
        ended = time.perf_counter_ns()
        if _current is not self:
            return
        self._elapsed_ns = ended - self._started_ns
        self.observers.stop()
        began = time.perf_counter_ns()
        self._uninstall()
        self._own_ns += time.perf_counter_ns() - began
        self.observers.read()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; an error goes on its way."""
        self.stop()

    def _install(self) -> None:
        RUNNING.exports = self._context.exports
        RUNNING.evidence = self.evidence
        RUNNING.failures = self.failures
        RUNNING.writes = self.writes
        RUNNING.describe_any = self.describe
        self.patches.at_end(RUNNING.clear)
        charge_warnings_to_the_caller(self.patches)
        later = [module for module in self._probes if not probes.is_loaded(module)]
        self._arrivals = Arrivals((*later, "multiprocessing"), self._add, self.observers.importing)
        self._arrivals.start()
        if probes.is_loaded("multiprocessing"):
            self._workers.install()
        for module in self._probes:
            if probes.is_loaded(module):
                self._add(module)
        RUNNING.recorder = self.recorder
        self.writes.start()

    def _add(self, module: str) -> None:
        """Hook a library. A probe that can't must not keep the user's code from running."""
        began = time.perf_counter_ns()
        try:
            if module == "multiprocessing":
                self._workers.install()
                return
            probe = self._probes[module]
            probe.install(self._context)
            self.libraries.append(probe.library)
        except Exception as error:
            self.recorder.fault(f"could not watch {module}", error)
        if self._started_ns:
            self._own_ns += time.perf_counter_ns() - began

    def _uninstall(self) -> None:
        global _current  # noqa: PLW0603 - there is one watch per process by design
        self._arrivals.stop()
        self.writes.stop()
        RUNNING.recorder = None
        steps = (self.patches.undo, self.texts.as_written, self._collect)
        try:
            for step in steps:
                try:
                    step()
                except Exception as error:
                    self.recorder.fault(f"ending the watch, in {step.__name__}", error)
        finally:
            _current = None

    def _collect(self) -> None:
        self._from_workers = self._workers.collect()

    def describe(self, value: object) -> Seen | None:
        """Return an array of any library that was watched in numbers; None for what is none."""
        for base in type(value).__mro__:
            probe = self._by_library.get(base.__module__.partition(".")[0])
            if probe is not None:
                return probe.describe(value)
        return None

    def restore_names(self, namespace: dict[str, Any]) -> None:
        """Give back the originals of replaced functions that code took by name meanwhile."""
        for name, value in tuple(namespace.items()):
            bound = type(value) is MethodType
            function = value.__func__ if bound else value
            original: Any = self.patches.original(function)
            if original is not function:
                namespace[name] = original.__get__(value.__self__) if bound else original

    def recording(self, sources: tuple[Source, ...] = ()) -> Recording:
        """Return what was seen so far.

        Args:
            sources: Texts that the recording holds whether or not anything happened there.
        """
        elapsed = self._elapsed_ns or time.perf_counter_ns() - self._started_ns
        conversions = tuple(self.recorder.conversions())
        used = {one.route.place.source for one in conversions} | set(sources)
        costs = self.observers.costs(conversions, elapsed)
        overheads = {
            "hooks": self._own_ns + self.writes.spent_ns + self._hooks_ns(conversions),
            **self.observers.overheads,
        }
        used |= {one.source for one in self.failures.found}
        used |= {one.source for one in self.writes.found}
        faults = self.recorder.faults
        return merged(
            (
                Recording(
                    conversions=conversions,
                    sources=tuple(used),
                    elapsed_ns=elapsed,
                    failures=self.failures.found,
                    hazards=self.writes.found,
                    lines=costs.lines,
                    peak=costs.peak,
                    overhead_ns=sum(overheads.values()),
                    overheads=tuple(sorted(overheads.items())),
                    blind_spots=self.recorder.blind_spots,
                    faults=tuple(fault_text(why, times) for why, times in faults.items()),
                    environment=environment(self.libraries),
                ),
                # Rows of the same route from several threads and processes become one.
                *self._from_workers,
            )
        )

    def _hooks_ns(self, conversions: tuple[Conversion, ...]) -> int:
        """Return what counting took, as far as it can be measured while no watch is on."""
        if _current is not None:
            return 0
        cost = 0
        for library in self.libraries:
            events = sum(
                one.totals.count
                for one in conversions
                if library in (one.route.origin.library, one.route.target.library)
            )
            if events >= WORTH:
                cost += events * event_ns(watching, library)
        return cost


@contextmanager
def watching(sources: Sources, *, max_groups: int = MAX_GROUPS) -> Iterator[Watch]:
    """Watch the block."""
    with Watch(sources, max_groups=max_groups) as watch:
        yield watch


def environment(libraries: list[str]) -> Environment:
    """Return what this process runs with."""
    rank = os.environ.get("RANK", "")
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        libraries=dict(_versions(libraries)),
        pid=os.getpid(),
        rank=int(rank) if rank.isdecimal() else None,
        host=socket.gethostname(),
    )


def _versions(libraries: list[str]) -> Iterator[tuple[str, str]]:
    for library in libraries:
        version = getattr(sys.modules.get(library), "__version__", None)
        if not isinstance(version, str):
            try:
                version = metadata.version(library)
            except metadata.PackageNotFoundError:
                continue
        yield library, version
