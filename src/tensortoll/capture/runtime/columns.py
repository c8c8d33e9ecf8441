"""Columns that are stored into: `table["name"] = array`, `table.loc[mask, ["a", "b"]] = array`.

A table may write the elements into the memory that a column has, or give it other memory. So the
column is described before and after; where neither tells what was written, nothing is said. What
was just computed counts too: a table has its own memory, and takes nothing over as it is.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.runtime.judging import Lent, judge
from tensortoll.capture.runtime.stores import UNKNOWN, count_store

Column = Callable[[Any], Seen | None]
"""Describes one column of a table, or several."""


class Slot(NamedTuple):
    """What an index of a table selects."""

    column: Column
    items: int | None = None
    """Rows of the columns; None for all of them."""
    several: bool = False
    """Whether it selects columns by a list of names."""


class Indexer(NamedTuple):
    """What can be stored into: a table, or what a table hands out for the purpose, as `loc`."""

    table: Callable[[Any], Any]
    """Returns the table."""
    slot: Callable[[Any, Any], Slot | None]
    """Returns what an index of it selects; None where that can't be told at no cost."""


class Target(NamedTuple):
    """One column or several, before an array is stored into them."""

    table: weakref.ref[Any]
    slot: Slot
    before: Seen | None

    def judge(self, site: Site, source: Seen, lent: Lent, elapsed_ns: int, rule: str) -> None:
        """Add up what came of the array, now that it was stored."""
        source = _handed(source, lent)
        table = self.table()
        if table is None or source.kind is UNKNOWN.kind:
            return
        if not source.memory and (rule == "store result" or self.slot.several):
            return  # a `range`, which is not walked, or one number for each of the columns
        after = self.slot.column(table)
        if after is None or source.kind.library == after.kind.library:
            return
        if self.before is not None and self.before.memory == after.memory:
            count_store(site, source, self._part(after), elapsed_ns)
        elif self.slot.items is None:
            judge(site, source, after, None, elapsed_ns, "convert")

    def _part(self, after: Seen) -> Seen:
        items = self.slot.items
        if items is None:
            return after
        rows, *columns = after.shape
        nbytes = after.nbytes // max(rows, 1) * items
        return after._replace(nbytes=nbytes, shape=(items, *columns), strides=())


@dataclass(frozen=True, slots=True)
class Columns:
    """A table that columns are stored into. It is looked at again once that is done."""

    table: weakref.ref[Any]
    slot: Callable[[Any, Any], Slot | None]

    def target(self, index: Any) -> Target | None:
        """Return the column that an index selects, as it is now."""
        table = self.table()
        slot = None if table is None else self.slot(table, index)
        return None if slot is None else Target(self.table, slot, slot.column(table))


def _handed(source: Seen, lent: Lent) -> Seen:
    """Return what was stored, also where its library told so only when it handed it to NumPy.

    The view that NumPy read it by is taken back. What it made a copy of for NumPy is counted.
    """
    for sums, seen in lent:
        if seen.identity == source.identity:
            if sums.outcome != "view":
                return UNKNOWN
            sums.count -= 1
            return seen
    return source
