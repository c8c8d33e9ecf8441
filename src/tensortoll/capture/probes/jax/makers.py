"""The functions that make JAX arrays of other data, and the one that makes ndarrays of them.

They are Python functions, so they are replaced: calls from libraries are seen too. How often the
data is written on the way shows from the operations that JAX runs meanwhile.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.arrays.addresses import array_address, overlap
from tensortoll.capture.arrays.seen import Seen, bytes_read, transfer
from tensortoll.capture.counting.recorder import Site, Table
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.handed import Arrival, Now, Passes
from tensortoll.capture.probes.jax.kinds import (
    array_type,
    describe_array,
    describe_first,
    describe_source,
    described,
    devices_of,
    effects_between,
)
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.runtime.judging import add
from tensortoll.model import Span

MAKERS: Final = {
    "jax.numpy": ("asarray", "array", "copy", "frombuffer", "from_dlpack"),
    "jax.dlpack": ("from_dlpack",),
}
"""Functions that make an array of their first argument, by module."""
TREES: Final = ("device_put", "device_get")
"""Functions of `jax` that convert every leaf of their first argument."""


def install_makers(context: Context, now: Now, sharing: Sharing) -> dict[int, Any]:
    """Replace the functions; return the replacements by the identity of what they replaced."""
    import jax

    originals: dict[int, Any] = {}

    def replace(owner: Any, name: str, make: Callable[..., Any]) -> None:
        original = getattr(owner, name, None)
        if original is not None:
            context.patches.replace(owner, name, lambda found: make(context, now, sharing, found))
            originals[id(original)] = getattr(owner, name)

    for module, names in MAKERS.items():
        for name in names:
            replace(sys.modules.get(module), name, _maker)
    for name in TREES:
        replace(jax, name, _tree)
    return originals


class _Crossing:
    """A block in which a call of JAX's runs: other hooks stay quiet, and what JAX runs is noted.

    A class, as a generator would leave its frame in the user's tracebacks.
    """

    __slots__ = ("_now", "_table")

    def __init__(self, table: Table, now: Now) -> None:
        self._table = table
        self._now = now

    def __enter__(self) -> list[Arrival]:
        self._table.quiet = 1
        arrivals: list[Arrival] = []
        self._now.arrivals = arrivals
        return arrivals

    def __exit__(self, *_: object) -> None:
        self._table.quiet = 0
        self._now.arrivals = None


def _maker(context: Context, now: Now, sharing: Sharing, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def maker(*args: Any, **kwargs: Any) -> Any:
        table = local.table
        seen = None
        if not table.quiet:
            try:
                seen = describe_source(args[0] if args else next(iter(kwargs.values()), None))
            except Exception as error:
                context.recorder.fault("jax makers", error)
        if seen is None:
            return original(*args, **kwargs)
        with _Crossing(table, now) as arrivals:
            began = time.perf_counter_ns()
            result = original(*args, **kwargs)
            elapsed = time.perf_counter_ns() - began
            try:
                now.arrivals = None  # what we look at ourselves is none
                if type(result) is array_type():
                    site = places.site(table, sys._getframe(1))
                    if site is not None:
                        _count(site, seen, result, arrivals, sharing, elapsed)
            except Exception as error:
                context.recorder.fault("jax makers", error)
        return result

    return maker


def _tree(context: Context, now: Now, sharing: Sharing, original: Callable[..., Any]) -> Any:
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def tree(*args: Any, **kwargs: Any) -> Any:
        table = local.table
        if table.quiet or not args:
            return original(*args, **kwargs)
        sources: list[Seen | None] = []
        try:
            sources = [_leaf(leaf) for leaf in _leaves(args[0])]
        except Exception as error:
            context.recorder.fault("jax trees", error)
        if not any(sources):
            return original(*args, **kwargs)
        with _Crossing(table, now) as arrivals:
            began = time.perf_counter_ns()
            result = original(*args, **kwargs)
            elapsed = time.perf_counter_ns() - began
            try:
                now.arrivals = None  # what we look at ourselves is none
                site = places.site(table, sys._getframe(1))
                made = _leaves(result)
                if site is not None and len(made) == len(sources):
                    share = elapsed // max(sum(one is not None for one in sources), 1)
                    for seen, leaf in zip(sources, made, strict=True):
                        if seen is not None:
                            _count(site, seen, leaf, arrivals, sharing, share)
            except Exception as error:
                context.recorder.fault("jax trees", error)
        return result

    return tree


def _leaves(tree: Any) -> list[Any]:
    from jax import tree_util

    return tree_util.tree_leaves(tree)  # type: ignore[no-any-return]


def _leaf(value: Any) -> Seen | None:
    """Return a leaf in numbers: an array; single numbers are not data."""
    if type(value) is array_type():
        return _array(value)
    seen = describe_source(value)
    return None if seen is None or seen.span is None else seen


def _array(value: Any) -> Seen | None:
    """Return an array of JAX's own in numbers, also where it lies on several devices."""
    if not value.shape or value.is_deleted():
        return None
    return describe_array(value) or describe_first(value) or _spread(value)


def _spread(value: Any) -> Seen:
    """Return an array that lies on several devices. No single range of memory is its own."""
    seen = described(value, 0, devices_of(value)[0])
    return seen._replace(span=Span(0, 0))


def _count(
    site: Site,
    seen: Seen,
    result: Any,
    arrivals: list[Arrival],
    sharing: Sharing,
    elapsed_ns: int,
) -> None:
    """Add up one array that a maker made of another, or of Python objects."""
    if id(result) == seen.identity:
        return
    if type(result) is array_type():
        pieces = _pieces(result)
        if not pieces:
            return
        out = pieces[0] if len(pieces) == 1 else _spread(result)
    else:
        found = RUNNING.describe(result)
        if found is None or found.span is None:
            return
        pieces, out = [found], found
    if seen.span is None:
        if out.shape and out.nbytes:
            add(site, seen, out, "copy", ("parse",), 0, out.nbytes, elapsed_ns)
        return
    copied = [one for one in pieces if one.span is None or not overlap(seen.span, one.span)]
    if not copied:
        if seen.kind.library != out.kind.library:
            add(site, seen, out, "view", (), 0, 0, 0)
        return
    if len(pieces) > 1 and seen.kind == out.kind and seen.span == out.span:
        return  # on several devices, and stayed there
    passes = _passes(seen, out, copied, arrivals, sharing)
    effects = effects_between(seen, out)
    moved = {transfer(seen.kind.device, one.kind.device) for one in copied} - {None}
    effects = tuple(sorted({*effects, *moved}))  # type: ignore[arg-type]
    add(
        site,
        seen,
        out,
        "copy",
        effects,
        passes.read,
        passes.written,
        elapsed_ns,
        copies=passes.copies,
    )


def _pieces(array: Any) -> list[Seen]:
    """Return what of an array lies on each device."""
    whole = describe_array(array)
    if whole is not None:
        return [whole]
    found = (describe_array(shard.data) for shard in array.addressable_shards)
    return [one for one in found if one is not None]


def _passes(
    seen: Seen,
    out: Seen,
    copied: list[Seen],
    arrivals: list[Arrival],
    sharing: Sharing,
) -> Passes:
    """Return how often the data was written, from what arrived where meanwhile."""
    passes = Passes()
    if seen.kind.library != "jax" and out.span is not None and len(copied) == 1:
        for arrival in _own(seen, out, arrivals):
            made = out.nbytes if arrival.how == "copied" else None
            passes.arrived(seen, arrival.array, sharing, made)
    if not passes.copies:
        passes.written = sum(one.nbytes for one in copied)
        passes.copies = max(round(passes.written / max(out.nbytes, 1)), 1)
        passes.read = bytes_read(seen) or seen.nbytes
    return passes


def _own(seen: Seen, out: Seen, arrivals: list[Arrival]) -> list[Arrival]:
    """Return the arrivals that were one array or cast from it, and strike them off the list."""
    items = math.prod(out.shape)
    address = array_address()
    found = []
    for arrival in arrivals:
        start = address(arrival.array)
        same = seen.span is not None and seen.span.start <= start < seen.span.stop
        if same or arrival.array.size == items:
            found.append(arrival)
    # The first time, what an operation takes is put on a device by the same way.
    taken = [one for one in found if one.how != "put"] or found[:1]
    arrivals[:] = [one for one in arrivals if not any(one is other for other in taken)]
    return taken
