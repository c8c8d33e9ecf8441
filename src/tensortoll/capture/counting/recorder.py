"""Conversions in, exact sums out, in bounded memory.

Each thread adds to a table of its own, so an event takes no lock and nothing is lost between
threads. A table holds integers, strings and code objects: never an array, a frame or a module.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from tensortoll.capture.counting.sums import Sums
from tensortoll.model import Conversion, Place, Route, Source

ELSEWHERE = Place(Source("(other places)", None), 0, 0, None, None, "")
"""Stands for every place beyond the recorder's limit."""
MAX_CODES: Final = 20_000
"""Code objects held by one thread's table."""


@dataclass(frozen=True, slots=True)
class Located:
    """A place as the stack or the rewritten source gave it, with all that is known of it."""

    place: Place
    operation: str
    """What runs at the user's place."""
    implicit: bool
    name: str
    """What is called by the innermost Python frame: `clone`, `linear`; see `calls.Call.name`."""
    inside: str | None = None
    """The file of the innermost frame where that is a library's: `torch/nn/functional.py`."""
    via: str | None = None
    waiting: bool = False
    """Whether the place is only the line that waits for the thread that did it."""


NOWHERE: Final = Located(ELSEWHERE, "", implicit=False, name="")
"""Where what has no place, or none any more, is."""


class Site:
    """The groups of one place in one thread."""

    __slots__ = tuple(
        "duplicates familiar from_array groups located table takes_arrays_alone "
        "takes_buffers".split()
    )

    def __init__(self, located: Located, table: Table) -> None:
        """Start without any group."""
        self.located = located
        self.table = table
        self.groups: dict[Hashable, Sums] = {}
        self.familiar: dict[Hashable, Any] = {}
        """What arrays of one layout became of another, by both; see `runtime.familiar`."""
        self.from_array: dict[Hashable, Sums] | None = None
        """Of copies of arrays that the place wraps first, by their dtypes."""
        self.takes_arrays_alone = located.name == "from_numpy"
        self.takes_buffers = located.name == "asarray"
        self.duplicates: bool | None = None
        """Whether what runs there copies within torch on purpose; None until it was asked."""

    def add(self, key: Hashable, sums: Sums) -> Sums:
        """Take in a new group, and return it; beyond the limit, the one that takes its sums."""
        return self.table.add(self, key, sums)


class Table:
    """All that one thread saw."""

    __slots__ = tuple(
        "__weakref__ _leaving batch codes codes_by_class deep distances elsewhere expressions "
        "given imported lent own_copies own_reads pending quiet recorder retired sites thread "
        "wrapped".split()
    )

    def __init__(self, recorder: Recorder, thread: str | None) -> None:
        """Start empty; ``thread`` says in words whose it is, None for the main thread."""
        self.recorder = recorder
        self.thread = thread
        self.quiet = 0
        """Above zero while a hook runs or an outer border is being crossed: count nothing."""
        self.sites: dict[int, Site | None] = {}
        """By instruction of a user's frame; None where nothing is ever to be counted."""
        self.deep: dict[tuple[int, ...], Site | None] = {}
        """By instructions of a user's frame and of the library's innermost frame."""
        self.expressions: dict[int, Site] = {}
        """By number of a rewritten expression."""
        self.pending: dict[tuple[int, int], list[Any]] = {}
        """What went into calls of rewritten expressions that have not returned yet."""
        self.elsewhere: dict[Hashable, Sums] = {}
        self.wrapped: Sums | None = None
        """The sums of a wrap that may turn out to be the first half of a copy."""
        self.imported: tuple[Place, int] | None = None
        """Where the last DLPack capsule was taken in, and the address of its first element, where
        `wrapped` is that."""
        self.lent: list[tuple[Sums, Any]] | None = None
        """The views that arrays of other libraries gave NumPy in the call that runs, with what was
        seen of each array; None where nobody asks. The call may copy from them yet."""
        self.own_copies: set[int] = set()
        """Instructions whose copies within one dtype are temporaries of torch's own."""
        self.given: tuple[Place, Any] | None = None
        """What a rewritten call was given that runs now, or that was the last to raise."""
        self.own_reads: set[int] = set()
        """Codes of a library's that read scalars of their own: nothing is counted there."""
        self.batch: Site | None = None
        """Where the arrays of a batch are being wrapped that is counted as a whole."""
        self.codes: dict[int, CodeType] = {}
        """Holds the code objects whose addresses are keys, so that no other can take one."""
        self.codes_by_class: dict[int, int] = {}
        """What each of them counts as; see `places`."""
        self.distances: dict[int, int] = {}
        """How many frames lay between an instruction of a library's and the user's, last time."""

        self.retired: dict[Located, Site] = {}
        """The places whose code was let go of, each with the sums of all sites it had."""
        self._leaving: list[Site] = []

    def hold_given(self, place: Place, value: Any) -> None:
        """Note what goes into a call that is about to run, until it returns or its error is told.

        A class of the text's own could tell from its methods that it is held, so that is not.
        """
        own = type(value).__module__ == "__main__"
        self.given = None if own else (place, value)

    def all_sites(self) -> Iterator[Site]:
        """Yield every place of this thread."""
        for found in (self.sites, self.deep, self.expressions, self.retired):
            yield from (site for site in tuple(found.values()) if site is not None)
        yield from tuple(self._leaving)

    def hold(self, code: CodeType) -> None:
        """Keep a code object alive, whose address is about to become a key.

        Code may be made for ever (`exec` in a loop): beyond a limit all are let go of, and what
        was known by their addresses is forgotten. The sums stay, by place.
        """
        if len(self.codes) >= MAX_CODES:
            # An event that is on its way may still add to its site: that one waits for a turn.
            for site in self._leaving:
                self._retire(site)
            leaving = (*self.sites.values(), *self.deep.values())
            self._leaving = [site for site in leaving if site is not None and site.groups]
            for known in (self.sites, self.deep, self.codes, self.codes_by_class, self.distances):
                known.clear()
            self.own_reads.clear()
            self.own_copies.clear()
        self.codes[id(code)] = code

    def _retire(self, site: Site) -> None:
        kept = self.retired.setdefault(site.located, site)
        if kept is site:
            return
        for key, sums in site.groups.items():
            known = kept.groups.setdefault(key, sums)
            if known is not sums:
                known.include(sums)
                self.recorder.freed()
        site.groups = kept.groups

    def add(self, site: Site, key: Hashable, sums: Sums) -> Sums:
        """Keep a new group under its place while there is room, else under no place."""
        if self.recorder.room():
            site.groups[key] = sums
            return sums
        # The place is lost, the sums are not: one group for all that is alike but the place.
        alike = (sums.outcome, sums.origin, sums.target, sums.effects)
        return self.elsewhere.setdefault(alike, sums)


TableMaker = Callable[["Recorder", str | None], Table]


class _Tables(threading.local):
    """The table of the thread that asks, made when it first does."""

    def __init__(self, recorder: Recorder) -> None:
        self.table = recorder.table_of_this_thread()


class Recorder:
    """Adds up conversions from any thread."""

    def __init__(self, *, max_groups: int = 50_000) -> None:
        """Start empty.

        Args:
            max_groups: How many groups are told apart. Beyond, totals stay exact and only
                places are lost.
        """
        self._max_groups = max_groups
        self._groups = 0
        self._lock = threading.Lock()
        self._faults: Counter[str] = Counter()
        self._blind_spots: set[str] = set()
        self._tables: list[Table] = []
        self.local = _Tables(self)
        """`local.table` is the table of the current thread."""

    def table_of_this_thread(self, kind: TableMaker = Table) -> Table:
        """Make and keep a table; called once per thread, and again where a guard is on."""
        main = threading.current_thread() is threading.main_thread()
        table = kind(self, None if main else "thread")
        with self._lock:
            self._tables.append(table)
        return table

    def room(self) -> bool:
        """Say whether one more group may be kept, and count it."""
        with self._lock:
            self._groups += 1
            return self._groups <= self._max_groups

    def freed(self) -> None:
        """Take note that a group was added to another one and is gone."""
        with self._lock:
            self._groups -= 1

    def fault(self, where: str, error: BaseException) -> None:
        """Count a failure of our own, which never reaches the user's code."""
        with self._lock:
            self._faults[f"{where}: {type(error).__name__}: {error}"[:300]] += 1

    def blind_spot(self, sentence: str) -> None:
        """Note something that there is reason to suspect and no means to see."""
        with self._lock:
            self._blind_spots.add(sentence)

    def restart_in_child(self, process: str) -> None:
        """Forget what the parent saw, after a fork; the rest is counted as ``process``'s."""
        self._lock = threading.Lock()
        self._tables.clear()
        self._groups = 0
        self._faults.clear()
        self._blind_spots.clear()
        # The hooks hold on to `local`: it stays, with a new table for the one thread left.
        self.local.table = self.table_of_this_thread()
        self.local.table.thread = process

    def keeps(self, code: CodeType) -> int:
        """Return how many tables keep a code object alive."""
        return sum(id(code) in table.codes for table in tuple(self._tables))

    @property
    def events(self) -> int:
        """How many conversions were counted so far."""
        return sum(sums.count for sums in self._all_sums())

    @property
    def faults(self) -> Counter[str]:
        """Our own failures by reason."""
        with self._lock:
            return self._faults.copy()

    @property
    def blind_spots(self) -> tuple[str, ...]:
        """What could not be seen, one sentence each."""
        with self._lock:
            return tuple(sorted(self._blind_spots))

    def _all_sums(self) -> Iterator[Sums]:
        for table in tuple(self._tables):
            for site in table.all_sites():
                yield from tuple(site.groups.values())
            yield from tuple(table.elsewhere.values())

    def conversions(self) -> Iterator[Conversion]:
        """Yield what was counted so far, one row per route and thread."""
        for table in tuple(self._tables):
            for site in table.all_sites():
                for sums in tuple(site.groups.values()):
                    if sums.count:
                        yield conversion_of(site.located, sums, table.thread)
            for sums in tuple(table.elsewhere.values()):
                yield conversion_of(NOWHERE, sums, table.thread)


def conversion_of(located: Located, sums: Sums, thread: str | None) -> Conversion:
    """Return a group as a row of a recording."""
    where = thread or "main"
    route = Route(
        located.place,
        sums.operation or located.operation,
        sums.outcome,
        sums.effects,
        located.implicit if sums.implicit is None else sums.implicit,
        sums.origin,
        sums.target,
        located.via,
        f"{where}, while this line waited" if located.waiting else where,
        sums.launch_only,
    )
    return Conversion(route, sums.totals(), sums.shape, sums.proof)
