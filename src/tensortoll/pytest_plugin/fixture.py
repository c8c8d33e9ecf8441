"""What the fixture `tensorcost` gives to a test."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from types import TracebackType
from typing import Self, TypeVar

from tensortoll.errors import AlreadyWatchingError
from tensortoll.model import Conversion, Totals
from tensortoll.pytest_plugin.kept import held
from tensortoll.pytest_plugin.watching import Test
from tensortoll.recording import Recording


class Tensorcost:
    """A recorder for blocks of one test, with what a test asks of a recording."""

    def __init__(self, test: Test) -> None:
        """Belong to a test."""
        self._test = test
        self._before: Recording | None = None
        self._recording: Recording | None = None
        self._alone = False

    def __enter__(self) -> Self:
        """Record from here on.

        Raises:
            AlreadyWatchingError: If a block is being recorded already.
        """
        __tracebackhide__ = True
        if self._before is not None:
            msg = "`with tensorcost:` inside of itself: a test records one block at a time."
            raise AlreadyWatchingError(msg)
        self._alone = not self._test.is_watched
        if self._alone:  # a fixture's block, before or after the test's own call
            self._test.__enter__()
        self._before = self._test.recording
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block; an error goes on its way."""
        before, self._before = self._before, None
        if self._alone:
            self._test.__exit__(kind, error, traceback)
        self._recording = _since(before or Recording(), self._test.recording)

    @property
    def recording(self) -> Recording:
        """The recording of the last block; of the test so far, where there was none."""
        return self._test.recording if self._recording is None else self._recording

    def matches(self, name: str) -> None:
        """Fail the test if its block converts otherwise than the recording says that it keeps.

        Compared are outcome, effects, kinds, counts, copies and bytes, by expression; never times
        or lines. Recordings are written under `--tensorcost-record` alone.

        Args:
            name: Of the recording, of which each test of a module has its own.
        """
        problem = held(self._test, name, self.recording)
        if problem is not None:
            self._test.fail(problem)


def _since(before: Recording, after: Recording) -> Recording:
    """Return what came between two recordings of the same watch."""
    known = {one.route: one.totals for one in before.conversions}
    came = []
    for one in after.conversions:
        was = known.get(one.route, Totals())
        totals = Totals(*(now - then for now, then in zip(one.totals, was, strict=True)))
        if totals.count or totals.bytes_written:
            came.append(Conversion(one.route, totals, one.shape, one.proof))
    return Recording(
        conversions=tuple(came),
        sources=tuple({one.route.place.source for one in came}),
        elapsed_ns=after.elapsed_ns - before.elapsed_ns,
        failures=_new(before.failures, after.failures),
        hazards=_new(before.hazards, after.hazards),
        findings=_new(before.findings, after.findings),
        overhead_ns=after.overhead_ns,
        blind_spots=after.blind_spots,
        faults=after.faults,
        environment=after.environment,
    )


_Told = TypeVar("_Told", bound=Hashable)


def _new(before: Iterable[_Told], after: Iterable[_Told]) -> tuple[_Told, ...]:
    known = set(before)
    return tuple(one for one in after if one not in known)
