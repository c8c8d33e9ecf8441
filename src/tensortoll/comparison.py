"""What two recordings of the same code do not agree on.

Compared are outcome, effects, kinds, counts, copies and bytes: what is the same on every machine.
Times never are, nor are lines, versions and addresses. A place is found again by its expression,
in whatever line or cell it stands now; of several that are written alike, those that cost the same
belong together first, then those of one source, then what is left, in order.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, NamedTuple, TypeVar

from tensortoll.luck import depends_on_luck, least, may_be_same
from tensortoll.model import (
    TRANSFERS,
    Conversion,
    Effect,
    Failure,
    Hazard,
    Kind,
    Outcome,
    Place,
    Totals,
)
from tensortoll.recording import Recording

_FACTS: Final = ("outcome", "effects", "implicit", "from", "to")
_COMPARED: Final = (*_FACTS, "count", "copies", "bytes_read", "bytes_written")


class Difference(NamedTuple):
    """One fact of a conversion that is no longer what it was."""

    name: str
    """As in a recording: `count`, `copies`, `bytes_written`, `outcome`, `from` …"""
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Change:
    """A conversion that is not what it was; one that is new, or gone."""

    old: Conversion | None
    """None if it is new. Those of one place that differ in nothing compared count as one."""
    new: Conversion | None
    """None if it is gone."""

    @property
    def place(self) -> Place:
        """Return where it stands now; where it stood, if it is gone."""
        return self._known.route.place

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Return what differs; nothing where the whole conversion is new or gone."""
        if self.old is None or self.new is None:
            return ()
        pairs = zip(_COMPARED, _compared(self.old), _compared(self.new), strict=True)
        return tuple(Difference(*one) for one in pairs if one[1] != one[2])

    @property
    def _known(self) -> Conversion:
        one = self.old if self.new is None else self.new
        assert one is not None, "a change has at least one side"
        return one


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one recording to another. False if nothing did."""

    old: Recording
    new: Recording
    changes: tuple[Change, ...] = ()
    """In the order of the new recording's places; what is gone comes last."""
    worse: tuple[Change, ...] = ()
    """Those changes that add copies, bytes, casts, transfers or conversions that fail."""
    new_failures: tuple[Failure, ...] = ()
    """Conversions that raise and did not."""
    new_hazards: tuple[Hazard, ...] = ()
    """Writes to shared memory that were not there."""

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        return bool(self.changes or self.new_failures or self.new_hazards)

    @property
    def is_worse(self) -> bool:
        """Say whether anything costs more, fails, or has become a hazard."""
        return bool(self.worse or self.new_failures or self.new_hazards)


def compare(old: Recording, new: Recording) -> Comparison:
    """Return what differs between two recordings of the same code.

    Where an allocator decides a number (see `luck`), it differs only if it leaves the range that
    luck gives it.
    """
    changes: list[Change] = []
    moved: list[Change] = []
    """Places that only one of them has: their costs are judged together."""
    for before, after in _paired(_sites(old), _sites(new)):
        found = [*_changed(before, after)]
        changes += found
        if before is None or after is None:
            moved += found
    worse = {id(one) for one in changes if _is_worse([one])}
    if not _is_worse(moved):
        worse -= {id(one) for one in moved}
    changes.sort(key=lambda one: (one.new is None, _order(one.place)))
    return Comparison(
        old,
        new,
        tuple(changes),
        tuple(one for one in changes if id(one) in worse),
        _added(old.failures, new.failures, lambda one: (_plain(one.expression), one.cause)),
        _added(old.hazards, new.hazards, lambda one: (one.written, one.aliased)),
    )


class _Trait(NamedTuple):
    """What kind of conversion it is, apart from where and how much."""

    outcome: Outcome
    effects: tuple[Effect, ...]
    implicit: bool
    origin: Kind
    target: Kind


class _Site(NamedTuple):
    """All conversions of one expression in one place."""

    place: Place
    rows: dict[_Trait, Conversion]

    def content(self) -> frozenset[tuple[_Trait, tuple[int, ...]]]:
        """Return what must be the same for two sites to cost the same."""
        return frozenset((trait, _numbers(one.totals)) for trait, one in self.rows.items())


def _sites(recording: Recording) -> list[_Site]:
    sites: dict[Place, _Site] = {}
    for one in recording.conversions:
        route = one.route
        site = sites.setdefault(route.place, _Site(route.place, {}))
        trait = _trait(one)
        known = site.rows.get(trait)
        # Threads and the library's own lines are no part of what is held.
        site.rows[trait] = (
            one
            if known is None
            else Conversion(known.route, known.totals.plus(one.totals), known.shape)
        )
    return sorted(sites.values(), key=lambda site: _order(site.place))


_Pair = tuple[_Site | None, _Site | None]


def _paired(old: list[_Site], new: list[_Site]) -> Iterator[_Pair]:
    """Yield every site with the one that it has become."""
    rounds: tuple[Callable[[_Site], object], ...] = (
        lambda site: (_plain(site.place.expression), site.place.source.name, site.content()),
        lambda site: (_plain(site.place.expression), site.content()),
        lambda site: (_plain(site.place.expression), site.place.source.name),
        lambda site: _plain(site.place.expression),
    )
    for same in rounds:
        waiting: dict[object, deque[_Site]] = {}
        for site in new:
            waiting.setdefault(same(site), deque()).append(site)
        rest, found = [], set()
        for site in old:
            alike = waiting.get(same(site))
            if alike:
                became = alike.popleft()
                found.add(id(became))
                yield site, became
            else:
                rest.append(site)
        old, new = rest, [site for site in new if id(site) not in found]
    yield from ((site, None) for site in old)
    yield from ((None, site) for site in new)


def _changed(old: _Site | None, new: _Site | None) -> Iterator[Change]:
    """Yield what differs between two sites."""
    before = {} if old is None else dict(old.rows)
    after = {} if new is None else dict(new.rows)
    for trait in before.keys() & after.keys():
        if _numbers(before[trait].totals) == _numbers(after[trait].totals):
            del before[trait], after[trait]
    for family in {_family(one) for one in (*before.values(), *after.values())} - {None}:
        ones, others = (
            [one for one in rows.values() if _family(one) == family] for rows in (before, after)
        )
        if may_be_same(ones, others):
            for one in ones:
                del before[_trait(one)]
            for one in others:
                del after[_trait(one)]
    for trait in sorted(before.keys() & after.keys()):
        yield Change(before.pop(trait), after.pop(trait))
    left = (sorted(before), sorted(after))
    for was, now in zip_longest(*left):
        yield Change(before.get(was), after.get(now))


def _family(one: Conversion) -> tuple[object, ...] | None:
    """Return what is judged together, as luck can make one of the other; None where it can't."""
    route = one.route
    if not depends_on_luck(route):
        return None
    return route.implicit, route.origin, route.target


def _trait(one: Conversion) -> _Trait:
    route = one.route
    return _Trait(route.outcome, route.effects, route.implicit, route.origin, route.target)


def _numbers(totals: Totals) -> tuple[int, ...]:
    return totals.count, totals.copies, totals.bytes_read, totals.bytes_written


def _compared(one: Conversion) -> tuple[object, ...]:
    return *_trait(one), *_numbers(one.totals)


def _is_worse(changes: Iterable[Change]) -> bool:
    """Say whether some number of what counts as a cost is higher than before, of all together."""
    changes = [*changes]
    before = _weight([one.old for one in changes])
    after = _weight([one.new for one in changes])
    return any(now > was for was, now in zip(before, after, strict=True))


def _weight(conversions: Sequence[Conversion | None]) -> tuple[int, ...]:
    copies = written = read = casts = transfers = failed = 0
    for one in conversions:
        if one is None:
            continue
        totals, route = least(one), one.route
        copies += totals.copies
        written += totals.bytes_written
        read += totals.bytes_read
        casts += totals.count * ("cast" in route.effects)
        transfers += totals.count * (not TRANSFERS.isdisjoint(route.effects))
        failed += totals.count * (route.outcome == "failed")
    return copies, written, read, casts, transfers, failed


_SPACE: Final = re.compile(r"\s+")
_SIGN: Final = re.compile(r" ?([^\w ]) ?")
_LAST_COMMA: Final = re.compile(r",([)\]}])")
_NUMBER: Final = re.compile(r"[0-9]+")


def _plain(expression: str) -> str:
    """Return an expression without what a formatter may change: spaces, lines, the last comma."""
    return _LAST_COMMA.sub(r"\1", _SIGN.sub(r"\1", _SPACE.sub(" ", expression.strip())))


def _order(place: Place) -> tuple[object, ...]:
    source, column = place.source, place.column
    # `cell [10]` stands after `cell [9]`.
    name = _NUMBER.sub(lambda found: found[0].zfill(9), source.name)
    return name, source.text or "", place.line, -1 if column is None else column


_Any = TypeVar("_Any")


def _added(
    old: Iterable[_Any], new: Iterable[_Any], key: Callable[[_Any], object]
) -> tuple[_Any, ...]:
    known = {key(one) for one in old}
    return tuple(one for one in new if key(one) not in known)
