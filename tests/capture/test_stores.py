"""Stores into arrays at slices, masks and positions: what was written, counted by what changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensortoll
from tensortoll.model import Conversion

START = """
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
import torch
a = np.full(2000, -1, np.float32); x = np.full((40, 50), -1.0); y = np.arange(2000).reshape(40, 50)
masked = np.ma.array(np.full(2000, -1.0)); m = y.ravel() % 2 == 0; idx = np.arange(0, 2000, 2)
b = np.arange(2000.0); t = torch.arange(2000.0); c = tf.range(1000.0); j = jnp.arange(1000.0)
"""
COPIES = """
a[m] = b[m] | a | cast | numpy:float64
a[idx] = b[:1000] | a | cast | numpy:float64
a[[1, 2, 3]] = b[:3] | a | cast | numpy:float64
a[m] = t[:1000] | a | | torch:float32
a[2:1002] = t[:1000] | a | | torch:float32
a[...] = t.double() | a | cast | torch:float64
a[None, :1000] = t[:1000] | a | | torch:float32
a[m] = c | a | | tensorflow:float32
a[m] = j | a | | jax:float32
a[m] = b[m] * 2 | a | cast | numpy:float64
a[idx] = [1.0] * 1000 | a | parse | python:object
a[idx[5:9], ...] = b[:4] | a | cast | numpy:float64
x[y > 5] = y[y > 5] | x | cast | numpy:int64
x[:, [1, 2]] = y[:, [1, 2]] | x | cast | numpy:int64
x[1:9, [1, 2]] = y[1:9, [1, 2]] | x | cast | numpy:int64
x[np.ix_([1, 2], [3, 4])] = y[:2, :2] | x | cast | numpy:int64
x[y[:, 0] > 100] = t[:50] | x | cast | torch:float32
x[..., [1, 2]] = t[:2] | x | cast | torch:float32
x[3, [1, 2, 4]] = t[:3] | x | cast | torch:float32
x[torch.from_numpy(y > 5)] = t[6:] | x | cast | torch:float32
x[y > 5] = b[6:] | x | | numpy:float64
masked[m] = t[:1000] | masked | cast | torch:float32
"""
HANDED = {
    "x[y[:, 0] > 100] = t[:50]": 50,
    "x[..., [1, 2]] = t[:2]": 2,
    "x[3, [1, 2, 4]] = t[:3]": 3,
    "x[torch.from_numpy(y > 5)] = t[6:]": 1994,
    "masked[m] = t[:1000]": 1000,
    "a[...] = t.double()": 2000,
}
"""Elements that torch casts into an ndarray of its own, which NumPy copies from: by the store."""
SILENT = """
a[m] = 0.0
a[m] = a[m] * 2
a[m] = np.float32(3)
x[y > 50000] = b[:0]
a[5] = b[5]
held = [0, 1]; held[0] = t
held = {}; held["x"] = t
held = np.empty(3, object); held[0] = t
a[m], other = t[:1000], 3
for k in range(5): a[k] = k
"""


def rows(table: str) -> list[Any]:
    found = [line.split("|") for line in table.strip().splitlines()]
    return [pytest.param(*map(str.strip, row), id=row[0].strip()) for row in found]


def recorded(text: str) -> list[Conversion]:
    recording = tensortoll.run_source(START + text, "case.py", memory=False, time=False)
    assert recording.faults == ()
    first = len(START.splitlines())
    return [one for one in recording.conversions if one.route.place.line > first]


@pytest.mark.parametrize(("text", "name", "effects", "origin"), rows(COPIES))
def test_a_store_is_one_copy_of_as_many_elements_as_changed(
    text: str, name: str, effects: str, origin: str
) -> None:
    """Wherever they lie in the array, and whatever library lent them for it."""
    names: dict[str, Any] = {}
    exec(START, names)
    before = np.array(names[name])
    exec(text, names)
    after = np.asarray(names[name])
    changed = int(np.count_nonzero(before != after)) * after.itemsize
    handed = HANDED.get(text, 0) * after.itemsize

    found = [one for one in recorded(text) if one.route.operation == "[]="]
    [one] = [one for one in found if one.route.origin.dtype != "bool"]  # which is a mask
    assert (one.totals.count, one.totals.copies) == (1, 1 + (handed > 0))
    assert one.totals.bytes_written == handed + changed
    assert " ".join(one.route.effects) == effects
    assert f"{one.route.origin.library}:{one.route.origin.dtype}" == origin
    assert one.route.target.library == "numpy"


@pytest.mark.parametrize("text", SILENT.strip().splitlines())
def test_a_store_that_converts_nothing_is_silent(text: str) -> None:
    """Numbers, results of the same dtype, references; and what no store of ours was seen of."""
    assert recorded(text) == []


def test_a_tensor_that_serves_as_a_mask_is_read_where_it_lies() -> None:
    """The mask is a view, what is stored is a copy."""
    found = recorded("mask = torch.from_numpy(y > 5)\nx[mask] = t[6:]")
    at_store = [one for one in found if one.route.operation == "[]="]
    assert {(one.route.outcome, one.route.origin.dtype) for one in at_store} == {
        ("view", "bool"),
        ("copy", "float32"),
    }


def test_a_store_that_numpy_refuses_leaves_nothing() -> None:
    """Neither a conversion nor a fault of ours."""
    text = "try:\n    a[np.arange(9) > 3] = t[:9]\nexcept IndexError:\n    a[m] = t[:1000]"
    [one] = recorded(text)
    assert (one.route.outcome, one.totals.count) == ("copy", 1)
    assert one.route.place.expression == "a[m]"


def test_without_rewriting_a_store_of_a_tensor_is_not_spoken_of() -> None:
    """What the hooks see of it would be a view, which is not what comes of it."""
    names: dict[str, Any] = {}
    exec(START, names)
    with tensortoll.record() as recorder:
        names["a"][2:1002] = names["t"][:1000]
    assert recorder.recording.conversions == ()


FIELDS = """
r["age"] = y.ravel() | cast layout | numpy:int64 | 8000
r["height"] = b | layout | numpy:float64 | 16000
r[5:25]["height"] = b[:20] | layout | numpy:float64 | 160
r["height"] = t.double() | layout | torch:float64 | 16000
r["age"] = 7 | | |
r["both"] = np.ones((2000, 2)) | | |
r[["age", "height"]] = r[["age", "height"]] | | |
"""


@pytest.mark.parametrize(("text", "effects", "origin", "written"), rows(FIELDS))
@pytest.mark.parametrize("known", ["text", "formats", "namespace"])
def test_a_store_into_a_field_of_records_is_one_copy(
    text: str, effects: str, origin: str, written: str, known: str
) -> None:
    """As a store into any other array, also where the records were made by an earlier cell."""
    make = 'r = np.zeros(2000, [("age", "i4"), ("height", "f8"), ("both", "f8", 2)])\n'
    if known == "formats":
        form = '{"names": ["age", "height", "both"], "formats": ["i4", "f8", ("f8", 2)]}'
        make = f"r = np.zeros(2000, {form})\n"
    names: dict[str, Any] = {}
    if known == "namespace":
        exec(START + make, names)
        recording = tensortoll.run_source(text, "case.py", names, memory=False, time=False)
        found = list(recording.conversions)
    else:
        found = recorded(make + text)
    told = [
        (
            " ".join(one.route.effects),
            f"{one.route.origin.library}:{one.route.origin.dtype}",
            str(one.totals.bytes_written),
        )
        for one in found
        if one.route.operation == "[]="
    ]
    assert told == ([(effects, origin, written)] if origin else [])
