"""A table for one thread, whose groups tell the guards of the task by how much they grow."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable
from functools import partial
from typing import Any, Final

from tensortoll.capture.counting.recorder import (
    NOWHERE,
    Located,
    Recorder,
    Site,
    Table,
    conversion_of,
)
from tensortoll.capture.counting.sums import Sums
from tensortoll.guarding import verge
from tensortoll.guarding.scopes import SCOPES
from tensortoll.limits import Field, Subject
from tensortoll.model import Conversion


def _telling(name: str, field: Field) -> Any:
    """Return a number of `Sums` that tells the guards by how much it grows."""
    slot = vars(Sums)[name]

    def get(sums: Sums) -> Any:
        return slot.__get__(sums)

    def put(sums: Sums, value: int) -> None:
        grown = value - slot.__get__(sums)
        slot.__set__(sums, value)
        if grown and SCOPES.get():
            _count(sums, field, grown)

    return property(get, put)


class _GuardedSums(Sums):
    __slots__ = ()

    count = _telling("count", "count")
    copies = _telling("copies", "copies")
    written = _telling("written", "bytes_written")


class _GuardedTable(Table):
    """What a thread counts into while a guard is on there."""

    def __init__(self, recorder: Recorder, thread: str | None) -> None:
        super().__init__(recorder, thread)
        self._located: dict[int, tuple[Sums, Located]] = {}

    def add(self, site: Site, key: Hashable, sums: Sums) -> Sums:
        """Keep a new group, as one that tells."""
        kept = super().add(site, key, sums)
        kept.__class__ = _GuardedSums
        self._located.setdefault(id(kept), (kept, site.located))
        return kept

    def _retire(self, site: Site) -> None:
        token = SCOPES.set(())  # what is only moved was told already
        try:
            super()._retire(site)
        finally:
            SCOPES.reset(token)

    def conversion(self, sums: Sums) -> Conversion:
        """Return a group as a row of a recording."""
        _, located = self._located.get(id(sums), (sums, NOWHERE))
        return conversion_of(located, sums, self.thread)


def _count(sums: Sums, field: Field, grown: int) -> None:
    """Add to all guards that are on, and take note where a limit is broken."""
    table = _HERE.guarded
    if table is None:
        return
    thread = threading.get_ident()
    allowed: frozenset[Subject] = frozenset()
    for scope in reversed(SCOPES.get()):
        if scope.thread != thread:
            continue
        allowed |= scope.allowed
        for one in scope.limits:
            if (
                one.field == field
                and one.subject not in allowed
                and one.covers(sums.outcome, sums.effects)
            ):
                scope.amounts[one] += grown
                if grown > 0 and scope.is_broken(one):
                    verge.reach(scope, one, partial(table.conversion, sums))


class _Here(threading.local):
    """What is to know of the thread that asks."""

    def __init__(self) -> None:
        self.entered = 0
        self.plain: Table | None = None
        """The table that stood there before the first guard."""
        self.guarded: _GuardedTable | None = None


_HERE: Final = _Here()
_GUARDED: Final[weakref.WeakKeyDictionary[Table, _GuardedTable]] = weakref.WeakKeyDictionary()
"""The table that stands in for each one; kept, for guards may come by the thousand."""


def begin(recorder: Recorder) -> None:
    """Have this thread count into a table that tells."""
    _HERE.entered += 1
    if _HERE.entered > 1:
        return
    plain = recorder.local.table
    guarded = _GUARDED.get(plain)
    if guarded is None:
        made = recorder.table_of_this_thread(_GuardedTable)
        assert isinstance(made, _GuardedTable)
        guarded = _GUARDED[plain] = made
        guarded.thread = plain.thread
    guarded.quiet = plain.quiet
    _HERE.plain, _HERE.guarded = plain, guarded
    recorder.local.table = guarded


def end() -> None:
    """Have it count as before, once its last guard has ended."""
    _HERE.entered -= 1
    if not _HERE.entered and _HERE.plain is not None:
        _HERE.plain.recorder.local.table = _HERE.plain
        _HERE.plain = _HERE.guarded = None
