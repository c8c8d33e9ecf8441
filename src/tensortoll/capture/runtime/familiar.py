"""Arrays and lists that become what their like became before at the same expression.

A loop makes the same of the same again and again. What a call of NumPy's did follows from the
layouts of what went in and came out, and from where both lie: layouts are compared by identity,
addresses are read each time, and where memory is as fresh as it was before, there is only
something to add up.
"""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrays.layouts import Layout, layout_of
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.runtime.judging import OBJECTS, Added
from tensortoll.capture.runtime.known import RUNNING
from tensortoll.model import Kind

RULES: Final = frozenset(("convert", "reorder", "swap", "gather"))
"""Of expressions that make their result of their first array and of nothing else."""
SEQUENCES: Final = (list, tuple)
_MOST: Final = 256
"""Ways that are known of one expression; arrays that grow in a loop are all of new layouts."""

Note = list[Any]
"""None where other notes have what went in, when the call began, the layout or the type of what
went in, its address or its length, and its `id`."""


def note_of(value: Any, rule: str) -> Note | None:
    """Return the note on what goes into a call; None where that has to be looked at closely."""
    kind = type(value)
    if kind is RUNNING.plain_array:
        if rule in RULES:
            layout = layout_of(value.dtype, value.shape, value.strides)
            return [None, 0, layout, RUNNING.address_of(value), id(value)]
    elif kind in SEQUENCES and rule == "convert":
        return [None, 0, kind, len(value), id(value)]
    return None


def spelled_out(note: Note) -> list[Any]:
    """Return a note as it is taken of whatever else goes in."""
    _, began_ns, layout, number, identity = note
    if type(layout) is Layout:
        seen = layout.seen(number, identity)
    else:
        seen = Seen(Kind("python", "object"), None, 0, (number,), (), False, identity)
    return [[seen], began_ns]


def is_settled(site: Site, note: Note, result: Any, ended_ns: int) -> bool:
    """Add up what came out if that is known by now; say whether there is nothing left to do."""
    _, began_ns, layout, address, identity = note
    made: Any = type(result)
    if made is RUNNING.plain_array:
        if id(result) == identity:
            return True
        made = layout_of(result.dtype, result.shape, result.strides)
        if type(layout) is Layout:
            start = RUNNING.address_of(result)
            if (
                address + layout.start < start + made.stop
                and start + made.start < address + layout.stop
            ):
                return True  # a view within NumPy
    elif made in SEQUENCES and layout in SEQUENCES:
        return True  # of Python's own before and after
    added = site.familiar.get((layout, made))
    if added is None:
        return False
    sums, read, written, copies = added
    sums.count += 1
    sums.copies += copies
    sums.read += read
    sums.written += written
    sums.elapsed_ns += ended_ns - began_ns
    return True


def learn(site: Site, note: Note, result: Any, added: Added | None) -> None:
    """Keep what came of a call, for the next ones with the like."""
    if added is None:
        return
    made: Any = type(result)
    if made is RUNNING.plain_array:
        made = layout_of(result.dtype, result.shape, result.strides)
    elif made not in OBJECTS:
        return
    if len(site.familiar) >= _MOST:
        site.familiar.clear()
    site.familiar[note[2], made] = added
