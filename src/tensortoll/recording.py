"""All that one run left behind, and the sum of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tensortoll.errors import RecordingFormatError
from tensortoll.format import contents_of, document_of
from tensortoll.merging import contents_of_sum
from tensortoll.model import (
    TRANSFERS,
    Conversion,
    Environment,
    Failure,
    Finding,
    Hazard,
    LineCost,
    Peak,
    Route,
    Source,
    Totals,
)
from tensortoll.rereading import Tally
from tensortoll.store import document_in, write_document


@dataclass(frozen=True, slots=True)
class Recording:
    """All that one run, or several merged ones, left behind."""

    conversions: tuple[Conversion, ...] = ()
    sources: tuple[Source, ...] = ()
    elapsed_ns: int = 0
    lines: tuple[LineCost, ...] = ()
    failures: tuple[Failure, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    findings: tuple[Finding, ...] = ()
    overhead_ns: int = 0
    """What watching cost, as measured in this run."""
    blind_spots: tuple[str, ...] = ()
    """What there was reason to suspect and no means to see, one sentence each."""
    faults: tuple[str, ...] = ()
    """Our own failures to look, with their number; shown, never hidden."""
    environment: Environment = field(default_factory=Environment)
    overheads: tuple[tuple[str, int], ...] = ()
    """The parts of `overhead_ns` where they are known: `hooks`, `memory`, `time`; sorted."""
    peak: Peak | None = None
    """The most memory held at one time; None where that was not observed."""

    @property
    def totals(self) -> Totals:
        """The cost of all conversions."""
        columns = zip(*(one.totals for one in self.conversions), strict=True)
        return Totals(*map(sum, columns))

    @property
    def count(self) -> int:
        """How many conversions there were, views among them."""
        return self.totals.count

    @property
    def copies(self) -> int:
        """How many times data was written in full."""
        return self.totals.copies

    @property
    def bytes_read(self) -> int:
        """Bytes read from the sources of all conversions."""
        return self.totals.bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes written by all copies."""
        return self.totals.bytes_written

    @property
    def views(self) -> int:
        """How many conversions shared memory."""
        return self._count_where(lambda route: route.outcome == "view")

    @property
    def casts(self) -> int:
        """How many conversions changed the dtype."""
        return self._count_where(lambda route: "cast" in route.effects)

    @property
    def transfers(self) -> int:
        """How many conversions changed the device."""
        return self._count_where(lambda route: not TRANSFERS.isdisjoint(route.effects))

    def _count_where(self, chosen: Callable[[Route], bool]) -> int:
        return sum(one.totals.count for one in self.conversions if chosen(one.route))

    def of_line(self, line: int) -> tuple[Conversion, ...]:
        """Return the conversions of one line, of whatever source."""
        return tuple(one for one in self.conversions if one.route.place.line == line)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON document that stands for the recording."""
        return document_of(self)

    @classmethod
    def from_dict(cls, document: object) -> Recording:
        """Return the recording that a JSON document stands for.

        Raises:
            RecordingFormatError: If it is no recording, a damaged one, or one of a newer version.
        """
        return cls(**contents_of(document))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recording to a file: all of it, or nothing and the file as it was.

        Raises:
            OSError: If the file can't be written.
        """
        write_document(self.to_dict(), path)

    def without_text(self) -> Recording:
        """Return the recording without the text of its sources, to be shared.

        Expressions that converted something stay, as do names and messages.
        """

        def bare(source: Source) -> Source:
            return source._replace(text=None)

        def moved(one: Conversion) -> Conversion:
            place = one.route.place._replace(source=bare(one.route.place.source))
            return replace(one, route=one.route._replace(place=place))

        stripped = replace(
            self,
            conversions=tuple(map(moved, self.conversions)),
            sources=tuple(map(bare, self.sources)),
            lines=tuple(replace(one, source=bare(one.source)) for one in self.lines),
            failures=tuple(replace(one, source=bare(one.source)) for one in self.failures),
            hazards=tuple(replace(one, source=bare(one.source)) for one in self.hazards),
            findings=tuple(replace(one, source=bare(one.source)) for one in self.findings),
        )
        return merged((stripped,))  # sources that only differed in their text are one now

    def merge(self, other: Recording) -> Recording:
        """Return the recording of both runs.

        Associative and commutative, and `Recording()` changes nothing.
        """
        return merged((self, other))


def load(path: str | os.PathLike[str]) -> Recording:
    """Return the recording that a file holds.

    Raises:
        RecordingFormatError: If the file holds no recording that this version can read.
        OSError: If the file can't be read at all.
    """
    return _read(Path(path).read_bytes(), Path(path).name)


def sum_of(paths: Iterable[str | os.PathLike[str]]) -> Recording:
    """Return the sum of the recordings in files. One is held at a time.

    Raises:
        RecordingFormatError: If a file holds no recording that this version can read.
        OSError: If a file can't be read at all.
    """
    tally = Tally()

    def each() -> Iterator[Recording]:
        for path in paths:
            content = Path(path).read_bytes()
            rest = tally.add(content)
            yield _read(content, Path(path).name) if rest is None else Recording(**rest)
        yield Recording(tally.conversions())

    return merged(each())


def _read(content: bytes, name: str) -> Recording:
    document = document_in(content, name)
    try:
        return Recording.from_dict(document)
    except RecordingFormatError as error:
        message = f"{name}: {error}"
        raise RecordingFormatError(message) from None


def merged(recordings: Iterable[Recording]) -> Recording:
    """Return the sum of any number of recordings; of none, the empty recording."""
    return Recording(**contents_of_sum(recordings))
