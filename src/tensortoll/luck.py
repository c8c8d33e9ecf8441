"""Numbers that an allocator decides, so that they differ between runs of the same code.

TensorFlow and JAX take memory over where it starts on a border of 64 bytes, and copy all other.
NumPy's arrays start anywhere. So an array that TensorFlow copies for itself is copied once more
or not, as that first copy falls, and one that an operation reads directly is shared or copied.
What luck can't change is known all the same: how many arrays there were, and how large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tensortoll.model import Conversion, Kind, Route, Totals

_LUCKY: Final = frozenset(("tensorflow", "jax"))
"""Libraries that share by address."""
_BITS: Final = re.compile(r"[a-z]+([0-9]+)")


def depends_on_luck(route: Route) -> bool:
    """Say whether an allocator decides how often this was copied, if at all."""
    return (
        route.origin.library == "numpy"
        and route.target.library in _LUCKY
        and route.origin.dtype == route.target.dtype
        and route.outcome in {"view", "copy"}
        and set(route.effects) <= {"layout"}
        # What comes by DLPack is shared at any address.
        and "dlpack" not in route.operation
    )


def may_be_same(one: Sequence[Conversion], other: Sequence[Conversion]) -> bool:
    """Say whether luck alone can have made one of the other.

    Both hold the conversions from one kind to another that a single place made, and all of them
    depend on luck.
    """
    before, after = _lot(one), _lot(other)
    if before is None or after is None or before.arrays != after.arrays:
        return False
    if before.copied and after.copied:
        if (before.size is None) != (after.size is None):
            return False
        if before.size != after.size:
            return False
    if before.copied != after.arrays or after.copied != before.arrays:
        # Some were shared here or there, and what is shared does not tell its size.
        return True
    overlap = before.least <= after.most and after.least <= before.most
    return overlap and before.beyond == after.beyond


def least(one: Conversion) -> Totals:
    """Return what a conversion costs at best, whatever luck it had."""
    if one.route.outcome != "copy" or not depends_on_luck(one.route):
        return one.totals
    lot = _lot((one,))
    if lot is None:
        return one.totals
    return one.totals._replace(
        copies=one.totals.count, bytes_written=lot.least, bytes_read=lot.least + lot.beyond
    )


class _Lot(NamedTuple):
    """Arrays that went the same way, some perhaps shared and the others copied once or twice."""

    arrays: int
    copied: int
    """How many of them were copied."""
    least: int
    """The bytes of those that were copied, each taken once: at least."""
    most: int
    size: int | None
    """The bytes of one array, where all that were copied are of one size."""
    beyond: int
    """How many more bytes were read than written; 0 where each array was read once."""


def _lot(conversions: Sequence[Conversion]) -> _Lot | None:
    """Return what luck can't change; None if no luck makes such numbers."""
    count = sum(one.totals.count for one in conversions)
    copies = [one for one in conversions if one.route.outcome == "copy"]
    total = Totals()
    for one in copies:
        total = total.plus(one.totals)
    if not total.count <= total.copies <= 2 * total.count:
        return None
    written, twice = total.bytes_written, total.copies - total.count
    if twice == 0:
        low = high = written
    elif twice == total.count:
        if written % 2:
            return None
        low = high = written // 2
    else:
        low, high = written // 2 + 1, written - 1
    size = _common_size(copies, total)
    if size is not None:
        low = high = size * total.count
    # JAX reads the array once however often it copies; TensorFlow's second copy reads the first.
    once = low <= total.bytes_read <= high
    beyond = 0 if once else total.bytes_read - written
    return _Lot(count, total.count, low, high, size, beyond)


def _common_size(copies: Sequence[Conversion], total: Totals) -> int | None:
    if not total.copies:
        return None
    size, rest = divmod(total.bytes_written, total.copies)
    expected = {_payload(one.shape, one.route.origin) for one in copies}
    return size if not rest and expected == {size} else None


def _payload(shape: tuple[int, ...] | None, kind: Kind) -> int | None:
    found = _BITS.match(kind.dtype)
    if shape is None or (found is None and kind.dtype != "bool"):
        return None
    return math.prod(shape) * (int(found[1]) // 8 if found else 1)
