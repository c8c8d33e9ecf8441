"""Whose memory torch has borrowed for a call, and whose elements it has walked.

`torch.tensor(array)` of a JAX array takes in its memory as a DLPack capsule and copies that;
`torch.asarray(buffer, copy=True)` does likewise with the buffer of any object. The copy is the
conversion, and what was borrowed on the way belongs to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensortoll.capture.arrays.addresses import overlap
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes.torch.kinds import dtype_name, tensor_address, tensor_span
from tensortoll.capture.runtime.known import RUNNING
from tensortoll.capture.runtime.taking import HOOKED
from tensortoll.model import Effect, Kind, Place

if TYPE_CHECKING:
    import torch


def lender_of(
    table: Table,
    site: Site,
    source: torch.Tensor,
    wrapped: Sums | None,
    imported: tuple[Place, int] | None,
) -> Kind | None:
    """Return whose memory it is that a call copies from and has only just borrowed.

    Takes back the view that taking in a capsule was counted as. None for memory of torch's own.

    Args:
        table: The thread's.
        site: Where is copied.
        source: What is copied.
        wrapped: The sums of the view that was counted last.
        imported: Where that was, if it was of a capsule, and the address.
    """
    if wrapped is not None and imported == (site.located.place, tensor_address(source)):
        wrapped.count -= 1
        return wrapped.origin
    if not site.takes_buffers or source.untyped_storage().resizable():
        return None
    seen = given_at(table, site)
    if seen is None or seen.span is None or seen.kind.library in HOOKED:
        return None
    if not overlap(seen.span, tensor_span(source)):
        return None
    return Kind(seen.kind.library, dtype_name(source.dtype), seen.kind.device)


def walked(table: Table, site: Site, dtype: torch.dtype) -> tuple[Kind, tuple[Effect, ...]]:
    """Return what the elements were that torch has walked one by one, and the effects of that."""
    seen = given_at(table, site)
    name = dtype_name(dtype)
    if seen is None or not seen.memory or seen.kind.library in HOOKED:
        return Kind("python", name), ("parse",)
    return seen.kind, ("parse",) if seen.kind.dtype == name else ("cast", "parse")


def given_at(table: Table, site: Site) -> Seen | None:
    """Return what the call at a place was given, in numbers; None where it is no array."""
    if table.given is None or table.given[0] != site.located.place:
        return None
    return RUNNING.describe(table.given[1])
