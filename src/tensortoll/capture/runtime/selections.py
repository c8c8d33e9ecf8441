"""What an index selects of an array, reckoned without indexing it.

Indexing the array would run the code of a subclass, and holding it until the store is made would
keep a later `resize` from working.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.layouts import in_elements
from tensortoll.capture.arrays.seen import Seen, is_on_host
from tensortoll.capture.hazards.contents import stand_in
from tensortoll.capture.runtime.known import RUNNING

MOST_LISTED: Final = 4096
"""Elements of a list that serves as an index; a longer one is not looked through."""


class Chosen(NamedTuple):
    """What an index with masks or lists of positions selects: so many elements, anywhere."""

    items: int


UNKNOWN: Final = Chosen(-1)
"""What an index selects that can't be told without running code, or that NumPy will refuse."""


def is_basic(index: Any) -> bool:
    """Say whether ``index`` selects a view: integers, slices, `...` and new axes.

    An object of the user's own that stands for an integer does not count: asking it runs code.
    """
    # A loop, and the commonest first: this is asked at every store.
    for part in index if type(index) is tuple else (index,):
        plain = type(part) is int or part is None or part is Ellipsis
        if not plain and not _is_slice(part) and not _is_integer(part):
            return False
    return True


def _is_slice(part: Any) -> bool:
    if type(part) is not slice:
        return False
    start, stop, step = part.start, part.stop, part.step
    return (
        (start is None or _is_integer(start))
        and (stop is None or _is_integer(stop))
        and (step is None or _is_integer(step))
    )


def _is_integer(part: Any) -> bool:
    kind = type(part)
    return kind is int or (kind.__module__ == "numpy" and kind.__name__.startswith(("int", "uint")))


def chosen(array: Seen, index: Any) -> Chosen:
    """Return how much an index selects that holds ndarrays or lists.

    To be asked before the store, which may change the mask.
    """
    try:
        return _chosen(array, index)
    except (IndexError, ValueError):  # NumPy will say so itself
        return UNKNOWN


def _chosen(array: Seen, index: Any) -> Chosen:
    import numpy as np

    given = list(index) if type(index) is tuple else [index]
    parts = [part if is_basic(part) else _positions(part) for part in given]
    taken = sum(part.axes if isinstance(part, _Positions) else _is_axis(part) for part in parts)
    axes = list(array.shape)
    where = next((n for n, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[where : where + 1] = [slice(None)] * (len(axes) - taken)
    items = 1
    sizes: list[tuple[int, ...]] = []
    for part in parts:
        if isinstance(part, _Positions):
            del axes[: part.axes]
            sizes.append(part.shape)
        elif isinstance(part, slice):
            items *= len(range(*part.indices(axes.pop(0))))
        elif _is_axis(part):
            axes.pop(0)
    return Chosen(items * math.prod((*np.broadcast_shapes(*sizes), *axes)))


class _Positions(NamedTuple):
    """A part of an index that is a mask or holds positions."""

    axes: int
    """Of the array that are indexed by it."""
    shape: tuple[int, ...]
    """Of what it selects there."""


def _is_axis(part: Any) -> bool:
    return part is not None and part is not Ellipsis


def _positions(part: Any) -> _Positions:
    """Return what a mask or a list selects.

    Raises:
        ValueError: If that can't be told without running code.
    """
    import numpy as np

    values = part
    if type(part) is list and len(part) <= MOST_LISTED and {*map(type, part)} <= {int, bool}:
        values = np.asarray(part)
    elif type(part).__module__ == "torch":
        values = _elements(RUNNING.describe_any(part))
    if type(values) is not np.ndarray or values.dtype.kind not in "biu":
        msg = "neither a mask nor positions"
        raise ValueError(msg)
    if values.dtype.kind == "b":
        return _Positions(values.ndim, (int(np.count_nonzero(values)),))
    return _Positions(1, values.shape)


def _elements(seen: Seen | None) -> Any:
    """Return another library's mask or positions where they lie; None for anything else."""
    dtype = "" if seen is None else seen.kind.dtype
    if seen is None or seen.span is None or not is_on_host(seen.kind.device):
        return None
    return stand_in(seen).view(dtype) if dtype == "bool" or "int" in dtype else None


def pattern(index: Any, shape: tuple[int, ...]) -> Any:
    """Return what all indices have in common that select as much of an array in the same layout.

    Args:
        index: A basic one, or what another one selects.
        shape: Of the array.
    """
    if type(index) is int:
        return 1
    if isinstance(index, Chosen):
        return Chosen, index.items  # by its kind too: as a tuple, it equals a basic pattern
    parts = index if type(index) is tuple else (index,)
    kept: list[Any] = []
    axis = 0
    for number, part in enumerate(parts):
        if part is None:
            kept.append(None)
        elif part is Ellipsis:
            kept.append(part)
            axis = len(shape) - sum(one is not None for one in parts[number + 1 :])
        else:
            if type(part) is slice:
                reached = range(*part.indices(shape[axis]))
                kept.append((len(reached), reached.step))
            else:
                kept.append(1)
            axis += 1
    return tuple(kept)


def selected(array: Seen, index: Any) -> Seen | None:
    """Return what an index selects: a view where it is a basic one, elements anywhere else."""
    items = math.prod(array.shape)
    if not items or not array.nbytes or array.span is None:
        return None
    if isinstance(index, Chosen):
        if index is UNKNOWN:
            return None
        nbytes = index.items * (array.nbytes // items)
        return array._replace(nbytes=nbytes, shape=(index.items,), strides=(), identity=0)
    if len(array.strides) < len(array.shape):
        return None
    size = array.nbytes // items
    # In bytes: between the fields of a record lies no whole number of elements.
    axes = [(n, round(step * size)) for n, step in zip(array.shape, array.strides, strict=True)]
    address = array.span.start - sum((n - 1) * step for n, step in axes if step < 0)
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
            reached = range(*part.indices(n))
            left.append((len(reached), step * reached.step))
            address += reached.start * step if reached else 0
        else:
            address += range(n)[part] * step
    shape, steps = tuple(n for n, _ in left), tuple(step for _, step in left)
    return array._replace(
        span=reach(address, shape, steps, size),
        nbytes=math.prod(shape) * size,
        shape=shape,
        strides=tuple(in_elements(step, size) for step in steps),
        identity=0,
    )
