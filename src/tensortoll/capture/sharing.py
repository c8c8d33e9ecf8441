"""Whether arrays that stand already share memory, of whatever libraries they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from tensortoll.capture.arrays.addresses import overlap
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.hazards.contents import MOST_WORK, stand_in
from tensortoll.capture.watch import Watch
from tensortoll.model import Place, Sharing
from tensortoll.recording import Recording

RESULT: Final = "the result"
"""How the result of an expression is named, which has no name of its own."""
_WORD: Final = re.compile(r"[^\W\d]\w*")

Pair = tuple[tuple[str, Any], tuple[str, Any]]


def sharings(
    watch: Watch,
    pairs: Iterable[Pair],
    history: Sequence[Recording],
) -> Iterator[Sharing]:
    """Yield, for each pair of arrays, whether they have an element in common.

    Args:
        watch: Knows the libraries.
        pairs: Names and arrays.
        history: Recordings that may tell how two arrays came to share memory.
    """
    for (one_name, one), (other_name, other) in pairs:
        seen, other_seen = watch.describe(one), watch.describe(other)
        if seen is None or other_seen is None or seen.span is None or other_seen.span is None:
            continue
        shared = overlap(seen.span, other_seen.span) and _shares_bytes(seen, other_seen)
        if shared is None:
            continue
        names = (one_name, other_name)
        came = tuple(_came_to_share(seen, other_seen, names, history)) if shared else ()
        yield Sharing(
            one_name,
            other_name,
            shared,
            (seen.span, other_seen.span),
            is_writable(one),
            is_writable(other),
            came,
        )


def _shares_bytes(one: Seen, other: Seen) -> bool | None:
    """Tell interleaved arrays, whose ranges overlap, from arrays with an element in common.

    None where that is too hard to say.
    """
    import numpy as np

    try:
        work: Any = MOST_WORK
        return bool(np.shares_memory(stand_in(one), stand_in(other), max_work=work))
    except (RuntimeError, ValueError, TypeError):
        return None


def is_writable(value: Any) -> bool:
    """Say whether an array can be written in place."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return bool(value.flags.writeable)
    return type(value).__module__.partition(".")[0] == "torch"


def _came_to_share(
    one: Seen, other: Seen, names: tuple[str, str], history: Sequence[Recording]
) -> Iterator[str]:
    """Yield the conversions that were seen to share this memory, of lines that name an array.

    The address alone proves nothing: memory that was given back is another array's by now.
    """
    if one.span is None or other.span is None:
        return
    for recording in history:
        for conversion in recording.conversions:
            route, proof = conversion.route, conversion.proof
            if route.outcome != "view" or proof is None or not _names_one(route.place, names):
                continue
            if overlap(proof.target, one.span) and overlap(proof.target, other.span):
                place = route.place
                yield f"{place.source.name} line {place.line}: `{place.expression}` made a view"


def _names_one(place: Place, names: tuple[str, str]) -> bool:
    lines = (place.source.text or "").splitlines()[place.line - 1 : place.end_line]
    written = set(_WORD.findall(" ".join(lines)))
    return any(not written.isdisjoint(_WORD.findall(name)) for name in names if name != RESULT)
