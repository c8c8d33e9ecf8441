"""Arrays and lists that become what their like became before at the same expression.

A loop makes the same of the same again and again. What a call of NumPy's did follows from the
layouts of what went in and came out, and from where both lie: layouts are compared by identity,
addresses are read each time, and where memory is as fresh as it was before, there is only
something to add up. What a store does follows from the layouts alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from tensortoll.capture.arrays.layouts import Layout, layout_of
from tensortoll.capture.arrays.seen import Seen, python_objects
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.runtime.judging import OBJECTS, Added
from tensortoll.capture.runtime.known import RUNNING

RULES: Final = frozenset(("convert", "reorder", "swap", "gather"))
"""Of expressions that make their result of their first array and of nothing else."""
SEQUENCES: Final = (list, tuple)
_MOST: Final = 256
"""Ways that are known of one expression; arrays that grow in a loop are all of new layouts."""
_NEVER_SEEN: Final = object()

Placed = tuple[Any, int, int]
"""Of an ndarray its layout, address and `id`; of a list or tuple its type, length and `id`."""


def placed(value: Any) -> Placed | None:
    """Return an ndarray, a list or a tuple in short; None for all that may be special."""
    kind = type(value)
    if kind is RUNNING.plain_array:
        layout = layout_of(value.dtype, value.shape, value.strides)
        return layout, RUNNING.address_of(value), id(value)
    return (kind, len(value), id(value)) if kind in SEQUENCES else None


def is_placed(one: Placed | Seen) -> bool:
    """Say whether something is told in short."""
    return type(one) is tuple


def seen_of(one: Placed | Seen) -> Seen:
    """Return what was told in short in full."""
    if isinstance(one, Seen):
        return one
    layout, number, identity = one
    if type(layout) is Layout:
        return layout.seen(number, identity)
    return python_objects((number,), identity)


def field_of(one: Placed | Seen, name: str) -> Placed | None:
    """Return a field of an array of records in short; None where nothing is known of it."""
    if isinstance(one, Seen):
        return None
    layout, address, identity = one
    found = layout.field(name)
    return None if found is None else (found[0], address + found[1], identity)


def is_settled(site: Site, given: Placed, result: Any, elapsed_ns: int) -> bool:
    """Add up what came out if that is known by now; say whether there is nothing left to do."""
    layout, address, identity = given
    made: Any = type(result)
    if made is RUNNING.plain_array:
        if id(result) == identity:
            return True
        made = layout_of(result.dtype, result.shape, result.strides)
        if type(layout) is Layout:
            start = RUNNING.address_of(result)
            # `overlap`, written out: two spans would take longer to make than all the rest.
            if (
                address + layout.start < start + made.stop
                and start + made.start < address + layout.stop
            ):
                return True  # a view within NumPy
    elif made in SEQUENCES and layout in SEQUENCES:
        return True  # of Python's own before and after
    return is_known(site, (layout, made), elapsed_ns)


def is_known(site: Site, key: Hashable, elapsed_ns: int) -> bool:
    """Add up what was kept under a key; say whether there was anything."""
    added = site.familiar.get(key, _NEVER_SEEN)
    if added is _NEVER_SEEN:
        return False
    if added is not None:
        sums, read, written, copies = added
        sums.count += 1
        sums.copies += copies
        sums.read += read
        sums.written += written
        sums.elapsed_ns += elapsed_ns
    return True


def learn(site: Site, given: Placed, result: Any, added: Added | None) -> None:
    """Keep what came of a call, for the next ones with the like."""
    if added is None:
        return
    made: Any = type(result)
    if made is RUNNING.plain_array:
        made = layout_of(result.dtype, result.shape, result.strides)
    elif made not in OBJECTS:
        return
    keep(site, (given[0], made), added)


def keep(site: Site, key: Hashable, added: Added | None) -> None:
    """Keep what was added up under a key; None where there was nothing to add."""
    if len(site.familiar) >= _MOST:
        site.familiar.clear()
    site.familiar[key] = added
