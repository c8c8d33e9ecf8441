"""Keeps the last conversions one by one, for a timeline. Only where a trace was asked for.

Probes add to the sums of a group and know nothing of events. While a trace is on, the sums are of
a class that takes note of every addition, so that without one nothing is looked up or called.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from functools import partial
from operator import itemgetter
from typing import Any, Final

from tensortoll.capture.counting.recorder import (
    NOWHERE,
    Located,
    Recorder,
    Site,
    Table,
    TableMaker,
    conversion_of,
)
from tensortoll.capture.counting.sums import Sums
from tensortoll.trace import Event, Trace

MOST_EVENTS: Final = 100_000
"""So many of the last events are kept: about 20 MB."""

# What an event is while it is kept: when it ended, how long it took, how many conversions it
# stands for, what they wrote, and whose it is.
_ENDED, _ELAPSED, _COUNT, _WRITTEN, _SUMS = range(5)


class Ring:
    """The last events of all threads."""

    def __init__(self, *, max_events: int = MOST_EVENTS) -> None:
        """Start empty."""
        self._events: deque[list[Any]] = deque(maxlen=max_events)
        self._seen = 0
        self._last: dict[int, list[Any]] = {}
        self._owners: dict[int, tuple[Located, Sums, Table]] = {}
        self._tables: list[Table] = []
        self._started_ns = time.perf_counter_ns()
        self.kind = self._noting_class()

    def adopt(self, located: Located, sums: Sums, table: Table) -> None:
        """Take note of what is added to ``sums`` from now on."""
        if type(sums) is Sums:
            # Held, so that no other sums can have its address.
            self._owners[id(sums)] = located, sums, table
            sums.__class__ = self.kind

    def clear(self) -> None:
        """Forget all events, in a forked child: it can't tell of them."""
        self._events.clear()
        self._last.clear()
        self._seen = 0

    def trace(self) -> Trace:
        """Return what was kept."""
        events = []
        kept = [one for one in self._events if one[_COUNT] > 0]
        for ended, elapsed, count, written, sums in sorted(kept, key=itemgetter(_ENDED)):
            located, _, table = self._owners[id(sums)]
            if table not in self._tables:
                self._tables.append(table)
            start = max(ended - elapsed - self._started_ns, 0)
            route = conversion_of(located, sums, table.thread).route
            number = self._tables.index(table)
            events.append(Event(route, start, elapsed, count, written, number))
        names = tuple(one.thread or "main" for one in self._tables)
        return Trace(tuple(events), self._seen - len(events), names)

    def _noting_class(self) -> type[Sums]:
        """Return a class of sums that adds to the events what is added to it.

        A place adds the count of a conversion first, then its bytes and its time; a group belongs
        to one thread.
        """
        slots: dict[str, Any] = dict(vars(Sums))
        count, elapsed_ns, written = slots["count"], slots["elapsed_ns"], slots["written"]
        events, last, clock = self._events, self._last, time.perf_counter_ns

        def set_count(sums: Sums, value: int) -> None:
            grown = value - count.__get__(sums)
            count.__set__(sums, value)
            if grown < 0 and id(sums) in last:  # a wrap was the first half of a copy
                last[id(sums)][_COUNT] += grown
                self._seen -= 1
                return
            event = [clock(), 0, grown, 0, sums]
            self._seen += 1
            last[id(sums)] = event
            events.append(event)

        def set_elapsed(sums: Sums, value: int) -> None:
            event = last.get(id(sums))
            if event is not None:
                event[_ELAPSED] += value - elapsed_ns.__get__(sums)
            elapsed_ns.__set__(sums, value)

        def set_written(sums: Sums, value: int) -> None:
            event = last.get(id(sums))
            if event is not None:
                event[_WRITTEN] += value - written.__get__(sums)
            written.__set__(sums, value)

        members = {
            "__slots__": (),
            "count": property(count.__get__, set_count),
            "elapsed_ns": property(elapsed_ns.__get__, set_elapsed),
            "written": property(written.__get__, set_written),
        }
        return type("NotingSums", (Sums,), members)


class _TracingTable(Table):
    """A table whose sums are taken note of."""

    def __init__(self, recorder: Recorder, thread: str | None, ring: Ring) -> None:
        super().__init__(recorder, thread)
        self._ring = ring

    def add(self, site: Site, key: Hashable, sums: Sums) -> Sums:
        """Keep a new group, and the events of it."""
        kept = super().add(site, key, sums)
        located = site.located if site.groups.get(key) is kept else NOWHERE
        self._ring.adopt(located, kept, self)
        return kept

    def _retire(self, site: Site) -> None:
        groups = [site.groups]
        if site.located in self.retired:
            groups.append(self.retired[site.located].groups)
        for sums in [one for known in groups for one in known.values()]:
            sums.__class__ = Sums  # what is only moved was noted already
        super()._retire(site)
        for sums in site.groups.values():
            self._ring.adopt(site.located, sums, self)


class TracingRecorder(Recorder):
    """A recorder that keeps the last events too."""

    def __init__(self, ring: Ring, *, max_groups: int) -> None:
        """Start empty; see `Recorder`."""
        self._ring = ring
        super().__init__(max_groups=max_groups)

    def table_of_this_thread(self, kind: TableMaker = Table) -> Table:
        """Make and keep a table, whose events are kept too unless a guard wants its own."""
        if kind is Table:
            return super().table_of_this_thread(partial(_TracingTable, ring=self._ring))
        self.blind_spot("The trace has no conversions that were made under a guard.")
        return super().table_of_this_thread(kind)

    def restart_in_child(self, process: str) -> None:
        """Forget what the parent saw, after a fork."""
        super().restart_in_child(process)
        self._ring.clear()
