"""Keras on JAX and on torch: what its calls convert is charged to the user's line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

TEXT = """
import keras, numpy as np
keras.utils.set_random_seed(3)
rng = np.random.default_rng(4)
x32 = rng.random((512, 16), dtype=np.float32); y32 = rng.random((512, 2), dtype=np.float32)
x64, y64 = x32.astype(float), y32.astype(float)
model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
model.compile(optimizer="sgd", loss="mse")
fit32 = model.fit(x32, y32, epochs=1, batch_size=128, verbose=0, shuffle=False).history
evaluate32 = model.evaluate(x32, y32, batch_size=128, verbose=0)
predict32 = model.predict(x32, batch_size=128, verbose=0)
train_on_batch32 = model.train_on_batch(x32, y32)
call32 = model(x32)
fit64 = model.fit(x64, y64, epochs=1, batch_size=128, verbose=0, shuffle=False).history
evaluate64 = model.evaluate(x64, y64, batch_size=128, verbose=0)
predict64 = model.predict(x64, batch_size=128, verbose=0)
train_on_batch64 = model.train_on_batch(x64, y64)
call64 = model(x64)
"""
X, Y, BATCHES = 512 * 16 * 4, 512 * 2 * 4, 4
RUN = """
import json, sys, tensortoll
text = json.loads(sys.argv[1])
plain = {}
exec(compile(text, "plain", "exec"), plain)
namespace = {}
recording = tensortoll.run_source(text, "keras.py", namespace, memory=False, time=False)
import numpy as np
from keras import ops
look = lambda v: np.asarray(ops.convert_to_numpy(v)) if hasattr(v, "shape") else np.asarray(v)
kept = [k for k in plain if k[-2:] in ("32", "64") and not k.startswith("fit")]
same = all(np.array_equal(look(plain[k]), look(namespace[k])) for k in kept)
print("RESULT", json.dumps([recording.to_dict(), bool(same)]))
"""


@cache
def recorded(backend: str) -> tuple[dict[str, Any], bool]:
    """Return the recording of the text on a backend, and whether its values are the same."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(TEXT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [line] = [one for one in done.stdout.splitlines() if one.startswith("RESULT ")]
    recording, same = json.loads(line.removeprefix("RESULT "))
    return recording, same


def groups(backend: str, name: str, effect: str = "") -> list[dict[str, Any]]:
    """Return what was counted of the arrays given on the line that sets ``name``."""
    line = 1 + next(n for n, text in enumerate(TEXT.splitlines()) if text.startswith(f"{name} ="))
    return [
        one
        for one in recorded(backend)[0]["conversions"]
        if one["line"] == line
        and one["from"]["library"] in {"numpy", backend}
        and one["from"]["dtype"].startswith("float")
        and one["shape"] and one["shape"][0] >= 128
        and (not effect or effect in one["effects"])
    ]  # fmt: skip


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_values_are_those_of_an_unwatched_run(backend: str) -> None:
    """A watched model gives what the same model gives unwatched, and nothing of ours failed."""
    recording, same = recorded(backend)

    assert same
    assert recording["faults"] == []


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize(
    ("name", "arrays", "payload"),
    [("fit32", 2, X + Y), ("evaluate32", 2, X + Y), ("predict32", 1, X)],
)
def test_batches_cross_once_each(backend: str, name: str, arrays: int, payload: int) -> None:
    """Each batch that a compiled or eager step takes in is one conversion, shared or copied."""
    found = [one for one in groups(backend, name) if one["to"]["library"] == backend]
    found = [one for one in found if one["from"]["library"] == "numpy"]
    copied = sum(one["bytes_written"] for one in found if one["outcome"] == "copy")

    assert sum(one["count"] for one in found) in {
        arrays * BATCHES,
        arrays * (BATCHES + 1),  # the first one is looked at once more, to build the model
    }
    assert copied <= payload + payload // BATCHES
    assert all(one["implicit"] for one in found)
    assert all("keras/" in one["via"] for one in found)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize(
    ("name", "payload"), [("fit64", X + Y), ("evaluate64", X + Y), ("predict64", X)]
)
def test_keras_casts_what_is_not_its_float_before_any_backend(
    backend: str, name: str, payload: int
) -> None:
    """Float64 arrays given to `fit` and the like are cast in NumPy: Keras does so up to thrice."""
    found = [one for one in groups(backend, name, "cast") if one["to"]["library"] == "numpy"]

    assert {("numpy", "float64", "numpy", "float32")} == {
        (*list(one["from"].values())[:2], *list(one["to"].values())[:2]) for one in found
    }
    times, left = divmod(sum(one["bytes_written"] for one in found), payload)
    assert (1 <= times <= 3, left) == (True, 0)
    assert 2 * sum(one["bytes_written"] for one in found) == sum(one["bytes_read"] for one in found)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize(("name", "dtype"), [("call32", "float32"), ("call64", "float64")])
def test_a_model_called_with_an_array_converts_it_once(backend: str, name: str, dtype: str) -> None:
    """`model(x)` converts its array implicitly; a float64 array is cast on the way, once."""
    found = groups(backend, name)

    assert all(one["implicit"] and one["count"] == 1 for one in found)
    assert found[0]["from"]["dtype"] == dtype or found[-1]["from"]["dtype"] == dtype
    casts = [one for one in found if "cast" in one["effects"]]
    assert len(casts) == (dtype == "float64")
    assert {backend} == {one["to"]["library"] for one in found}


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", ["train_on_batch32", "train_on_batch64"])
def test_a_single_batch_is_charged_to_its_line(backend: str, name: str) -> None:
    """`train_on_batch` takes both arrays in, each as often as Keras puts it on the device."""
    found = [one for one in groups(backend, name) if one["to"]["library"] == backend]

    assert 2 <= sum(one["count"] for one in found) <= 4
    assert all(one["implicit"] for one in found)
    assert any("cast" in one["effects"] for one in found) is name.endswith("64")
