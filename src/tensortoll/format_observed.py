"""What observers saw of time and memory, as part of a recording's JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from tensortoll.document import Item
from tensortoll.model import Apart, LineCost, Peak, Source

OVERHEADS: Final = ("hooks", "memory", "time")
"""What watching costs, by what it watches; sorted."""

_NUMBERS: Final = (
    "hits",
    "elapsed_ns",
    "allocated_bytes",
    "allocations",
    "peak_bytes",
    "unexplained_bytes",
    "surviving_bytes",
    "hidden_bytes",
)
_APARTS: Final[Mapping[str, Apart]] = {one: one for one in get_args(Apart)}


def line_in(item: Item, source: Source) -> LineCost:
    """Return what one line took, from its object in a document."""
    numbers = {key: item.integer(key, 0) for key in _NUMBERS}
    apart = item.optional_child("apart")
    return LineCost(
        source,
        item.integer("line"),
        **numbers,
        hidden_via=item.optional_text("hidden_via"),
        # Kinds that a later version may add are left out, as unknown keys are.
        apart=tuple(
            (kind, apart.integer(word)) for word, kind in sorted(_APARTS.items()) if apart.has(word)
        ),
    )


def observed_out(overheads: tuple[tuple[str, int], ...], peak: Peak | None) -> dict[str, object]:
    """Return the keys of a document for what was observed of the run as a whole."""
    return {"overheads": dict(overheads), "peak": None if peak is None else peak._asdict()}


def observed_in(item: Item) -> dict[str, Any]:
    """Return the fields of a recording that `observed_out` has written."""
    parts = item.optional_child("overheads")
    return {
        "overheads": tuple((kind, parts.integer(kind)) for kind in OVERHEADS if parts.has(kind)),
        "peak": Peak(*map(item.child("peak").integer, Peak._fields)) if item.has("peak") else None,
    }
