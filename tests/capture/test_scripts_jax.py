"""A training script in JAX's style, as it is: watched it does the same, and is accounted for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tensortoll
from tensortoll.recording import Recording

SCRIPT = Path(__file__).parents[1] / "scripts" / "spirals_jax.py"
EXAMPLES, HELD_OUT, BATCH, EPOCHS, WIDTH = 1536, 512, 128, 4, 32
STEPS = EPOCHS * EXAMPLES // BATCH


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def line_of(text: str) -> int:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if text in line]
    return number


def rows(recording: Recording, text: str) -> list[tuple[Any, ...]]:
    """Return what was counted on the line with this text, without what JAX makes by itself."""
    return sorted(
        (
            one.route.outcome,
            "+".join(one.route.effects),
            f"{one.route.origin.library}:{one.route.origin.dtype}",
            f"{one.route.target.library}:{one.route.target.dtype}",
            one.route.implicit,
            one.totals.count,
            one.totals.bytes_written if one.route.outcome == "copy" else 0,
        )
        for one in recording.conversions
        if one.route.place.line == line_of(text)
    )


def test_a_jax_training_loop_is_accounted_for(tmp_path: Path) -> None:
    """Printed lines and checkpoint are those of an unwatched run; the totals are those by hand."""
    plain, watched, kept = tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "r.json"
    quiet = ("--no-memory", "--no-time", "--quiet", "--json", kept)
    said = run(SCRIPT, plain)

    assert said == run("-m", "tensortoll", "run", *quiet, SCRIPT, watched)
    one, other = np.load(plain), np.load(watched)
    assert all(np.array_equal(one[name], other[name]) for name in one.files + other.files)

    recording = tensortoll.load(kept)
    assert recording.faults == ()
    # Each step takes in two ndarrays of 64-bit numbers, which JAX halves without a word.
    points, labels = 4 * BATCH * 2, 4 * BATCH
    assert rows(recording, "params, value = step(") == [
        ("copy", "cast", "numpy:float64", "jax:float32", True, STEPS, STEPS * points),
        ("copy", "cast", "numpy:int64", "jax:int32", True, STEPS, STEPS * labels),
    ]
    # One cast, one operation that lifts the result, and one more if the cast's result lies badly.
    [(outcome, effects, *ends, implicit, count, written)] = rows(recording, "held_out = jnp.as")
    assert (outcome, effects, implicit, count) == ("copy", "cast", False, 1)
    assert ends == ["numpy:float64", "jax:float32"]
    assert written in {2 * 4 * HELD_OUT * 2, 3 * 4 * HELD_OUT * 2}
    cast, put = rows(recording, "answers = jax.device_put(")
    assert cast[:5] == ("copy", "cast", "numpy:int64", "numpy:int32", False) or (
        put[:5] == ("copy", "cast", "numpy:int64", "numpy:int32", False)
    )
    assert sorted((cast[5:], put[5:]))[1][1] == 4 * HELD_OUT
    # Out of JAX: numbers for the printed line, parameters in place, guesses copied, then unboxed.
    assert rows(recording, "float(value)") == [
        ("copy", "unbox", "jax:float32", "python:float32", False, EPOCHS, 0),
        ("copy", "unbox", "jax:float32", "python:float32", False, EPOCHS, 0),
    ]
    assert rows(recording, "np.asarray(leaf)") == [
        ("view", "", "jax:float32", "numpy:float32", False, 4, 0)
    ]
    assert rows(recording, "guesses = np.array(") == [
        ("copy", "", "jax:int32", "numpy:int32", False, 1, 4 * HELD_OUT)
    ]
    told = {
        line_of(text)
        for text in (
            *("params, value = step(", "held_out = jnp.as", "answers = jax.device_put("),
            *("float(value)", "np.asarray(leaf)", "guesses = np.array(", "guesses.tolist()"),
        )
    }
    # Nothing else of any size: what JAX makes of its own seeds and axes is single numbers.
    others = [one for one in recording.conversions if one.route.place.line not in told]
    assert sum(one.totals.bytes_written for one in others) < 64
    in_all = STEPS * (points + labels) + written + cast[6] + put[6] + 4 * HELD_OUT
    assert recording.bytes_written - sum(one.totals.bytes_written for one in others) == in_all
