"""Stores into arrays: `array[index] = value`, `np.copyto(array, value)`."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.seen import Seen, bytes_read, changes
from tensortoll.capture.counting.recorder import Site
from tensortoll.capture.runtime.judging import Lent, add, judge, with_transfer


def judge_store(
    site: Site, source: Seen, base: Seen, index: Any, elapsed_ns: int, rule: str
) -> None:
    """Add up `array[index] = source`."""
    target = selected(base, index)
    if target is None or not target.shape:
        return
    if rule == "store result" and source.kind == target.kind:
        return  # a result of arithmetic, put where it belongs: nothing was converted
    _count_store(site, source, target, elapsed_ns)


@dataclass(frozen=True, slots=True)
class Columns:
    """A table that a column is stored into. It is looked at again once that is done."""

    table: weakref.ref[Any]
    column: Callable[[Any, str], Seen | None]

    def judge(self, site: Site, source: Seen, name: str, elapsed_ns: int, rule: str) -> None:
        """Add up `table[name] = source`, where it stood before and comes from another library."""
        table = self.table()
        if table is None or type(name) is not str or rule == "store result":
            return
        target = self.column(table, name)
        if target is not None and source.kind.library != target.kind.library:
            judge(site, source, target, None, elapsed_ns, "convert")


def judge_into(site: Site, inputs: list[Seen], elapsed_ns: int) -> None:
    """Add up `np.copyto(target, source)`."""
    if len(inputs) > 1 and inputs[0].span is not None:
        target, source = inputs[:2]
        _count_store(site, source, target, elapsed_ns)


def judge_lent_into(site: Site, lent: Lent, inputs: list[Seen]) -> None:
    """Take back the view of another library's array that `np.copyto(target, source)` read."""
    if len(inputs) == 1:  # the target: the source is not one of NumPy's
        sums, seen = lent[-1]
        sums.count -= 1
        _count_store(site, seen, inputs[0], 0)


def _count_store(site: Site, source: Seen, target: Seen, elapsed_ns: int) -> None:
    if source.span is None:
        if target.shape and source.shape:
            add(site, source, target, "copy", ("parse",), 0, target.nbytes, elapsed_ns)
        return
    if source.nbytes == 0 or not source.shape:
        return
    effects = changes(source, target) if source.shape == target.shape else ()
    if source.kind.dtype != target.kind.dtype and "cast" not in effects:
        effects = ("cast", *effects)
    effects = with_transfer(source, target, effects)
    add(site, source, target, "copy", effects, bytes_read(source), target.nbytes, elapsed_ns)


def is_basic(index: Any) -> bool:
    """Say whether ``index`` selects a view: integers, slices, `...` and new axes.

    An object of the user's own that stands for an integer does not count: asking it runs code.
    """
    parts = index if type(index) is tuple else (index,)
    return all(
        part is None or part is Ellipsis or _is_integer(part) or _is_slice(part) for part in parts
    )


def _is_slice(part: Any) -> bool:
    ends = (part.start, part.stop, part.step) if type(part) is slice else (part,)
    return type(part) is slice and all(end is None or _is_integer(end) for end in ends)


def _is_integer(part: Any) -> bool:
    kind = type(part)
    return kind is int or (kind.__module__ == "numpy" and kind.__name__.startswith(("int", "uint")))


def selected(array: Seen, index: Any) -> Seen | None:
    """Return the view that a basic index selects, reckoned without the array itself.

    Indexing the array would run the code of a subclass, and holding it until the store is made
    would keep a later `resize` from working.
    """
    items = math.prod(array.shape)
    if not items or not array.nbytes or array.span is None:
        return None
    strides_in_elements = [step for step in array.strides if isinstance(step, int)]
    if len(strides_in_elements) < len(array.strides):
        return None
    size = array.nbytes // items
    axes = list(zip(array.shape, strides_in_elements, strict=True))
    address = array.span.start - sum((n - 1) * step * size for n, step in axes if step < 0)
    parts = list(index) if type(index) is tuple else [index]
    free = len(axes) - sum(part is not None and part is not Ellipsis for part in parts)
    where = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts[where : where + 1] = [slice(None)] * free
    left: list[tuple[int, int]] = []
    for part in parts:
        if part is None:
            left.append((1, 0))
            continue
        n, step = axes.pop(0)
        if isinstance(part, slice):
            chosen = range(*part.indices(n))
            left.append((len(chosen), step * chosen.step))
            address += chosen.start * step * size if chosen else 0
        else:
            address += range(n)[part] * step * size
    shape, strides = tuple(n for n, _ in left), tuple(step for _, step in left)
    return array._replace(
        span=reach(address, shape, [step * size for step in strides], size),
        nbytes=math.prod(shape) * size,
        shape=shape,
        strides=strides,
        identity=0,
    )
