"""Arrays made for a trial: of the shape, dtype, strides and alignment that the user's had."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from tensortoll.capture.arrays.facts import BORDER, Fact, Framed, Held, Listed, Plain, c_strides

SEED: Final = 7
ELEMENTS: Final = {"int": "int64", "float": "float64", "bool": "bool"}
"""What the elements of a column of objects would be by themselves."""
KNOWN: Final = frozenset(
    f"{kind}{bits}"
    for kind, sizes in (("int", (8, 16, 32, 64)), ("uint", (8, 16, 32, 64)), ("float", (32, 64)))
    for bits in sizes
) | {"bool", "boolean"}
"""Dtypes of columns, in small letters: pandas' nullable ones begin with a large one."""


class CannotMakeError(Exception):
    """Says why there is no stand-in for something."""


class Layer(NamedTuple):
    """A Keras model of which only what it does to its input matters."""

    dtype: str
    """What it computes in."""


class Drawing(NamedTuple):
    """A generator of random numbers."""

    legacy: bool
    """Whether it is a `RandomState`, as `np.random` itself is."""


Likeness = Fact | Layer | Drawing


def made(fact: Likeness, *, ranged: bool = False) -> Any:
    """Return a value like the one that a fact tells of.

    Args:
        fact: What is known of it.
        ranged: Whether an array's values are to be of the range that was seen.

    Raises:
        CannotMakeError: If there is no saying what it was like.
    """
    if isinstance(fact, Plain):
        return fact.value
    if isinstance(fact, Listed):
        return _list(fact)
    if isinstance(fact, Framed):
        return _table(fact)
    if isinstance(fact, Layer):
        return _layer(fact)
    if isinstance(fact, Drawing):
        return _generator(fact)
    makers = {"numpy": _ndarray, "torch": _tensor, "tensorflow": _eager, "PIL": _image}
    if fact.library not in makers:
        msg = f"there is no way to make an array of {fact.library}"
        raise CannotMakeError(msg)
    value = makers[fact.library](fact)
    if ranged and fact.library == "numpy" and fact.writable:
        value[...] = _within(fact)
    return value


def _layer(fact: Layer) -> Any:
    import keras

    # Named, as Keras counts the layers that are not, and names the user's next one after that.
    return keras.layers.Identity(dtype=fact.dtype, name="stand_in")


def _generator(fact: Drawing) -> Any:
    import numpy as np

    return np.random.RandomState(SEED) if fact.legacy else np.random.default_rng(SEED)


def needed_bytes(fact: Likeness) -> int:
    """Return how much memory a stand-in takes, about."""
    if isinstance(fact, Held):
        return max(fact.nbytes, _span(fact)[1])
    if isinstance(fact, Listed):
        inner = fact.array.nbytes if fact.array else 32
        return math.prod(fact.lengths) * inner
    if isinstance(fact, Framed):
        return fact.rows * sum(64 if one == "object" else 16 for one in fact.dtypes)
    return 0


def _ndarray(fact: Held) -> Any:
    import numpy as np

    if fact.class_name:
        msg = f"an array of the class {fact.class_name} may be anything"
        raise CannotMakeError(msg)
    dtype = np.dtype(fact.dtype)
    below, span = _span(fact)
    buffer = np.zeros(span + 2 * BORDER, np.uint8)
    # The first element is where the user's was, seen from the last border before it.
    start = (fact.alignment - buffer.ctypes.data - below) % BORDER
    array: Any = np.ndarray(fact.shape, dtype, buffer, start + below, fact.strides)
    array[...] = _values(dtype, fact.shape)
    array.flags.writeable = fact.writable
    return array


def _span(fact: Held) -> tuple[int, int]:
    """Return how far the elements reach below the first one, and how far altogether."""
    steps = [(n - 1) * step for n, step in zip(fact.shape, fact.strides, strict=True) if n]
    below = -sum(step for step in steps if step < 0)
    return below, below + sum(step for step in steps if step > 0) + fact.itemsize


def _values(dtype: Any, shape: tuple[int, ...]) -> Any:
    import numpy as np

    rng = np.random.default_rng(SEED)
    if dtype.kind == "f":
        return (rng.random(shape, dtype=np.float32) - 0.5).astype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    msg = f"there is no saying what an array of {dtype} holds"
    raise CannotMakeError(msg)


def _within(fact: Held) -> Any:
    """Return values from the least to the greatest that were seen, these two among them."""
    import numpy as np

    values = fact.low + (fact.high - fact.low) * np.random.default_rng(SEED).random(fact.shape)
    values.flat[:1], values.flat[-1:] = fact.low, fact.high
    return np.rint(values) if fact.whole else values


def _tensor(fact: Held) -> Any:
    import numpy as np
    import torch

    dtype = getattr(torch, fact.dtype)
    size = fact.itemsize
    steps = [step // size for step in fact.strides]
    length = _span(fact)[1] // size
    tensor = torch.empty(length, dtype=dtype, device=fact.device)
    # Devices that others bring to torch may know no strides.
    is_plain = fact.strides == c_strides(fact.shape, size)
    tensor = tensor.view(fact.shape) if is_plain else tensor.as_strided(fact.shape, steps)
    kind = np.dtype("float32" if dtype.is_floating_point or dtype.is_complex else "int64")
    if fact.device != "meta":
        tensor.copy_(torch.from_numpy(np.asarray(_values(kind, fact.shape))))
    return torch.nn.Parameter(tensor) if fact.class_name == "Parameter" else tensor


def _eager(fact: Held) -> Any:
    import numpy as np
    import tensorflow as tf

    tensor = tf.constant(_values(np.dtype(fact.dtype), fact.shape))
    return tf.Variable(tensor) if fact.class_name else tensor


def _image(fact: Held) -> Any:
    import numpy as np
    from PIL import Image

    values = np.random.default_rng(SEED).integers(0, 255, fact.shape, dtype=np.uint8)
    return Image.fromarray(values)


def _table(fact: Framed) -> Any:
    import numpy as np
    import pandas as pd

    columns = {}
    for label, name, element in zip(fact.labels, fact.dtypes, fact.elements, strict=True):
        own = ELEMENTS.get(element, "") if name == "object" else name.lower()
        kind = np.dtype("bool" if own == "boolean" else own) if own in KNOWN else None
        if kind is None:
            msg = f"there is no saying what a column of {element or name} holds"
            raise CannotMakeError(msg)
        values = _values(kind, (fact.rows,))
        columns[label] = values if name == kind.name else pd.array(values.astype(object), name)
    return pd.DataFrame(columns)


def _list(fact: Listed) -> Any:
    import numpy as np

    if fact.array is not None:
        count = math.prod(fact.lengths)
        flat = [made(fact.array) for _ in range(count)]
    else:
        low, high = fact.low, fact.high
        rng = np.random.default_rng(SEED)
        count = math.prod(fact.lengths)
        if fact.element == "int":
            flat = rng.integers(int(low), int(high) + 1, count).tolist()
        elif fact.element == "float" and math.isfinite(low) and math.isfinite(high):
            flat = (low + (high - low) * rng.random(count)).tolist()
        elif fact.element == "bool":
            flat = rng.integers(0, 2, count).astype(bool).tolist()
        else:
            msg = f"there is no saying what a list of {fact.element or 'mixed'} elements holds"
            raise CannotMakeError(msg)
    for length in reversed(fact.lengths[1:]):
        flat = [flat[n : n + length] for n in range(0, len(flat), length)]
    return tuple(flat) if fact.kind == "tuple" else flat
