"""One pass over memray's records: what each line of the user's source allocated, and the peak.

Only what a line asked for itself is added up as allocated. Memory that a library or Python takes
from the system in stock is set apart, as it comes at the line where the stock happened to run
out: the arenas of Python's small objects, mappings (scratch of a math library, pools, mapped
files), TensorFlow's own arena, and what threads without Python allocate.

Memory needed for reading grows with the blocks that are alive and with the places that allocate,
not with the number of records.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from tensortoll.capture.text.sources import Sources, is_own, short_file
from tensortoll.model import Apart, Source

# The numbers of memray's AllocatorType.
_FREE: Final = 5
_MALLOC: Final = 6
_REALLOC: Final = 7
_POSIX_MEMALIGN: Final = 9
_MMAP: Final = 14
_RELEASING: Final = frozenset((1, _FREE, 15))
_ALLOCATING_ARRAYS: Final = frozenset((_MALLOC, _REALLOC, 8))
"""malloc, realloc, calloc: what NumPy takes arrays from. torch and TensorFlow align theirs."""

_ARENA: Final = 1 << 20
"""Python takes memory for its small objects in arenas of this size (obmalloc.c, since 3.10)."""
_BYTES_OF_A_POINTER: Final = 256 // 8
"""Of TensorFlow's arena, for each byte of its table of pointers."""
_LARGE: Final = 65_536
"""From so many bytes on, a block is looked at by itself."""
_WHOLE_STACK: Final = 1_000_000
"""Frames asked for. Without a number memray leaves out as many as stood above its start."""
_CONVERTING: Final = ("keras/", "tensorflow/", "tf_keras/", "jax/", "lightning/", "transformers/")
"""Libraries whose own arrays of NumPy are a step on the way of the user's data into them."""
_CAPTURE: Final = Path(__file__).parents[1]
_LOOKING: Final = tuple(
    str(_CAPTURE / name)
    for name in ("runtime/evidence.py", "runtime/moments.py", "failures", "hazards")
)
"""What of ours looks at the data and converts nothing for the user: not charged to a line."""
_CHECKED: Final = 8_192
"""Records between two looks at the clock."""
_NOBODY: Final = ""

Frame = tuple[str, str, int]


class Record(Protocol):
    """An allocation or a release, as memray tells it."""

    allocator: int
    address: int
    size: int
    tid: int
    stack_id: int

    def stack_trace(self, max_stacks: int | None = None) -> list[Frame]:
        """Return the frames, the innermost first."""


class LinePlace(NamedTuple):
    """A line of one of the user's sources."""

    source: Source
    line: int


class LineMemory:
    """What one line allocated."""

    __slots__ = ("apart", "at_peak", "bytes", "count", "freed", "hidden", "level", "stamp")

    def __init__(self) -> None:
        self.bytes = 0
        """Asked for altogether; of a block that grew, by how much it grew."""
        self.count = 0
        self.freed = 0
        self.level = 0
        """The most that all lines together held when this one allocated."""
        self.at_peak = 0
        """Held by this line's blocks when all lines together held most."""
        self.stamp = 0
        """The number of the peak that `at_peak` is about."""
        self.apart: Counter[Apart] = Counter()
        self.hidden: Counter[str] = Counter()
        """Large arrays of NumPy that a library made for itself, in bytes by its own line."""

    @property
    def alive(self) -> int:
        """Bytes that were not released."""
        return self.bytes - self.freed


@dataclass(slots=True)
class Replay:
    """What the records say."""

    lines: dict[LinePlace, LineMemory] = field(default_factory=dict)
    peak: int = 0
    """The most that the blocks of all lines held at one time."""
    records: int = 0
    whole: bool = True
    """Whether all records were read before time ran out."""
    without_stack: int = 0
    """Records of threads that run Python, without any frame of it."""


class _Site:
    """Where on the stack something is allocated, told apart as memray tells stacks apart."""

    __slots__ = ("is_empty", "library", "line", "native")

    def __init__(
        self, line: LineMemory | None, library: str, *, native: bool, is_empty: bool = False
    ) -> None:
        self.line = line
        self.library = library
        """`file:line` of the innermost frame of a library, between the user's line and C."""
        self.native = native
        """Whether it belongs to no line of the user's and to no thread that runs Python."""
        self.is_empty = is_empty
        """Whether there is no frame, on a thread that runs Python."""


def replayed(
    parts: Sequence[Iterable[Any]],
    sources: Sources,
    *,
    main_thread: int,
    has_arena: bool,
    seconds: float,
    tell: Callable[[int], None] = lambda _: None,
) -> Replay:
    """Return what records say of the user's lines.

    Args:
        parts: The records as memray reads them, in the order in which things happened; one part
            from each time that memray was on.
        sources: What counts as the user's.
        main_thread: Number of the thread that started to watch.
        has_arena: Whether TensorFlow takes its tensors from an arena.
        seconds: Of CPU time, after which reading ends.
        tell: Called now and then with the number of records read.
    """
    reading = _Reading(sources, main_thread, has_arena)
    return reading.read(parts, time.thread_time() + seconds, tell)


class _Reading:
    def __init__(self, sources: Sources, main_thread: int, has_arena: bool) -> None:
        self._sources = sources
        self._main_thread = main_thread
        self._has_arena = has_arena
        self._sites: dict[tuple[int, int], _Site] = {}
        self._found = Replay()
        self._grown = 0
        """Bytes by which TensorFlow's arena grew last."""
        self._last: LineMemory | None = None
        """The line that allocated last: what native threads do is done for it, most likely."""

    def read(  # noqa: C901, PLR0912, PLR0915 - one loop without calls: it runs a million times a second
        self, parts: Sequence[Iterable[Record]], deadline: float, tell: Callable[[int], None]
    ) -> Replay:
        """Return what the records say, as far as they can be read before the deadline."""
        found, sites = self._found, self._sites
        live: dict[int, tuple[int, LineMemory | None]] = {}
        peak = held = number = stamp = released = 0
        # Between two parts memory may have been released unseen, and given out again.
        parted = len(parts) > 1
        for record in self._joined(parts) if parted else parts[0]:
            number += 1
            if not number % _CHECKED:
                tell(number)
                if time.thread_time() > deadline:
                    found.whole = False
                    break
            allocator = record.allocator
            if allocator in _RELEASING:
                released = 0
                block = live.pop(record.address, None)
                if block is not None:
                    released, line = block
                    if line is not None:
                        if line.stamp != stamp:
                            line.at_peak, line.stamp = line.bytes - line.freed, stamp
                        line.freed += released
                        held -= released
                continue
            key = (record.tid, record.stack_id)
            site = sites.get(key)
            if site is None:
                site = sites[key] = self._site(record)
            size = record.size
            line = site.line
            if size >= _LARGE or line is None:
                line = self._charged(site, allocator, size)
            if line is not None:
                if line.stamp != stamp:
                    line.at_peak, line.stamp = line.bytes - line.freed, stamp
                grown = size - released if allocator == _REALLOC else size
                if grown < 0 or (released and allocator == _REALLOC):
                    # The old block was counted as released: as much of it was only moved.
                    line.freed -= min(released, size)
                    grown = max(grown, 0)
                line.bytes += grown
                line.count += 1
                held += size
                if held > peak:
                    peak = held
                    stamp += 1
                if held > line.level:  # noqa: PLR1730 - a call takes twice as long
                    line.level = held
            if parted and (block := live.get(record.address)) is not None:
                gone, before = block
                if before is not None:
                    before.freed += gone
                    held -= gone
            live[record.address] = (size, line)
            released = 0
        for line in found.lines.values():
            if line.stamp != stamp:
                line.at_peak = line.bytes - line.freed
        found.peak = peak
        found.records = number
        return found

    def _joined(self, parts: Iterable[Iterable[Record]]) -> Iterator[Record]:
        for records in parts:
            self._sites.clear()  # stacks are numbered anew in each part
            yield from records

    def _site(self, record: Record) -> _Site:
        # Each depth of a recursion is a stack of its own: most are known by their last frame.
        frames = record.stack_trace(1)
        if not frames or self._sources.of(frames[0][1]) is None:
            frames = record.stack_trace(_WHOLE_STACK)
        library = _NOBODY
        for _, filename, number in frames:
            source = self._sources.of(filename)
            if source is not None:
                place = LinePlace(source, number)
                line = self._found.lines.setdefault(place, LineMemory())
                return _Site(line, library, native=False)
            if filename.startswith(_LOOKING):
                return _Site(None, _NOBODY, native=False)
            if not library and not is_own(filename):
                library = f"{short_file(filename)}:{number}"
        on_main = record.tid == self._main_thread
        return _Site(None, library, native=not on_main, is_empty=on_main and not frames)

    def _charged(self, site: _Site, allocator: int, size: int) -> LineMemory | None:
        """Return the line to charge with a block, or None where it is set apart or ignored."""
        line = site.line
        if line is None:
            self._found.without_stack += site.is_empty
            if site.native and self._last is not None:
                kind: Apart = "tensorflow" if self._is_arena(site, allocator, size) else "threads"
                self._last.apart[kind] += size
            return None
        self._last = line
        if allocator == _MMAP:
            line.apart["objects" if size == _ARENA else "mapped"] += size
            return None
        if self._is_arena(site, allocator, size):
            line.apart["tensorflow"] += size
            return None
        if allocator in _ALLOCATING_ARRAYS and site.library.startswith(_CONVERTING):
            line.hidden[site.library] += size
        return line

    def _is_arena(self, site: _Site, allocator: int, size: int) -> bool:
        """Say whether TensorFlow's arena grew by a block: their sizes are powers of two.

        Each comes with a table that has a pointer for every 256 bytes of it (bfc_allocator.h).
        """
        if (
            not self._has_arena
            or size & (size - 1)
            or not (site.native or site.library.startswith(("tensorflow/", "keras/")))
        ):
            return False
        if allocator == _POSIX_MEMALIGN and size >= _ARENA:
            self._grown = size
            return True
        return allocator == _MALLOC and size * _BYTES_OF_A_POINTER == self._grown


def charged_lines(replay: Replay) -> Iterator[tuple[LinePlace, LineMemory]]:
    """Yield the lines that allocated anything, or have something set apart."""
    for place, line in replay.lines.items():
        if line.count or line.apart:
            yield place, line
