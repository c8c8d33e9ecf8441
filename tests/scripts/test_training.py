"""Real training scripts, as they are: watched, they do what they do unwatched, to the last digit.

What they convert is reckoned here by hand, from the sizes that stand in them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import tensortoll
from tensortoll.model import Conversion

SCRIPTS = Path(__file__).parent
SOURCES = Path(tensortoll.__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(SOURCES),
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


class Row(NamedTuple):
    """One line of an account; the expression is told by a piece of it."""

    piece: str
    ends: str
    outcome: str
    effects: str
    count: int
    read: int
    written: int
    """By one copy, where the allocator's luck decides between one copy and two."""
    where: str = "main"
    lucky: bool = False


F, D = 4, 8
ROWS, FEATURES, BATCHES = 512, 128, 2 * 512 // 64
WEIGHTS = FEATURES * 32 + 32 + 32 * 2 + 2
TORCH = [
    # Each row of each epoch, in a worker: float64 of the array into float32 of a tensor.
    Row(
        "torch.tensor(self.samples[index]",
        "numpy:float64 torch:float32",
        "copy",
        "cast",
        *(2 * ROWS, 2 * ROWS * FEATURES * D, 2 * ROWS * FEATURES * F, "a worker process"),
    ),
    # The labels of each batch, numbers that the default collate function walks into a tensor.
    Row(
        "for batch, target in loader",
        "python:int64 torch:int64",
        "copy",
        "parse",
        *(BATCHES, 0, 2 * ROWS * 8, "a worker process"),
    ),
    Row("loss.item()", "torch:float32 python:float32", "copy", "unbox", BATCHES, BATCHES * F, 0),
    Row("one.clone()", "torch:float32 torch:float32", "copy", "", 4, WEIGHTS * F, WEIGHTS * F),
    Row(").double()", "torch:float32 torch:float64", "copy", "cast", 4, WEIGHTS * F, WEIGHTS * D),
    Row(
        "load_state_dict",
        "torch:float32 torch:float64",
        "copy",
        "cast",
        4,
        WEIGHTS * F,
        WEIGHTS * D,
    ),
    Row("weight.detach().numpy()", "torch:float32 numpy:float32", "view", "", 1, 0, 0),
    Row("torch.from_numpy(samples)", "numpy:float64 torch:float64", "view", "", 1, 0, 0),
    Row(
        "from_numpy(samples).float()",
        "torch:float64 torch:float32",
        "copy",
        "cast",
        *(1, ROWS * FEATURES * D, ROWS * FEATURES * F),
    ),
    Row("scores.numpy()", "torch:float32 numpy:float32", "view", "", 1, 0, 0),
    Row(".astype(np.int64)", "numpy:bool numpy:int64", "copy", "cast", 1, ROWS, ROWS * 8),
]

TABLE, TRAIN, TEST, COLUMNS = 2_000, 1_600, 400, 8
KERAS = [
    # Into the table, which stores by columns, and out of it again.
    Row(
        "pd.DataFrame",
        "numpy:float64 pandas:float64",
        "copy",
        "layout",
        *(1, TABLE * COLUMNS * D, TABLE * COLUMNS * D),
    ),
    Row('columns="y").to_numpy()', "pandas:float64 numpy:float64", "view", "", 1, 0, 0),
    Row('table["y"].to_numpy()', "pandas:float64 numpy:float64", "view", "", 1, 0, 0),
    # Keras casts features and targets in NumPy, then hands each to TensorFlow once per call.
    *(
        row
        for piece, rows in (("model.fit(", TRAIN), ("model.evaluate(", TEST))
        for row in (
            Row(
                piece,
                "numpy:float64 numpy:float32",
                "copy",
                "cast",
                *(2, rows * (COLUMNS + 1) * D, rows * (COLUMNS + 1) * F),
            ),
            Row(
                piece,
                "numpy:float32 tensorflow:float32",
                "copy",
                "layout",
                *(1, rows * COLUMNS * F, rows * COLUMNS * F, "main", True),
            ),
            Row(
                piece,
                "numpy:float32 tensorflow:float32",
                "copy",
                "",
                *(1, rows * F, rows * F, "main", True),
            ),
        )
    ),
    Row(
        'features[test].astype("float32")',
        "numpy:float64 numpy:float32",
        "copy",
        "cast+layout",
        *(1, TEST * COLUMNS * D, TEST * COLUMNS * F),
    ),
    Row(
        "model.predict(",
        "numpy:float32 tensorflow:float32",
        "copy",
        "layout",
        *(1, TEST * COLUMNS * F, TEST * COLUMNS * F, "main", True),
    ),
    # What a batch gave is copied for callbacks, four times; then all of it, put together.
    Row(
        "model.predict(",
        "tensorflow:float32 numpy:float32",
        "copy",
        "",
        *(TEST // 100 + 1, 2 * TEST * F, 2 * TEST * F),
    ),
    Row(
        "tf.constant(small)",
        "numpy:float32 tensorflow:float32",
        "copy",
        "layout",
        *(1, TEST * COLUMNS * F, TEST * COLUMNS * F, "main", True),
    ),
    Row(
        "model(known).numpy()",
        "tensorflow:float32 numpy:float32",
        "copy",
        "",
        1,
        TEST * F,
        TEST * F,
    ),
]


def ran(*arguments: str) -> str:
    """Run Python in the folder of the scripts; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=SCRIPTS,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("script", "account"), [("train_torch.py", TORCH), ("train_keras.py", KERAS)]
)
def test_a_training_script_converts_what_its_account_says(
    script: str, account: list[Row], tmp_path: Path
) -> None:
    """The same results as unwatched, and each row of the account, and no row beside it."""
    saved = tmp_path / "recording.json"
    options = ("-m", "tensortoll", "run", "--no-memory", "--no-time", "--quiet")
    watched = ran(*options, "--json", str(saved), script)
    assert ran(script) == watched

    recording = tensortoll.load(saved)
    assert (recording.faults, recording.blind_spots) == ((), ())
    left = list(recording.conversions)
    for row in account:
        found = [one for one in left if _is(one, row)]
        assert found, f"not recorded: {row}"
        left = [one for one in left if one not in found]
        sums: Counter[str] = Counter()
        for one in found:
            sums.update(one.totals._asdict())
        copies = sums["copies"] if row.lucky else row.count * (row.outcome == "copy")
        assert row.count <= copies <= 2 * row.count or row.outcome == "view"
        assert (row.count, copies) == (sums["count"], sums["copies"])
        factor = copies // row.count if row.lucky else 1
        assert (row.read * factor, row.written * factor) == (
            sums["bytes_read"],
            sums["bytes_written"],
        )
    assert left == []


def _is(one: Conversion, row: Row) -> bool:
    route = one.route
    ends = " ".join(f"{side.library}:{side.dtype}" for side in (route.origin, route.target))
    return (
        row.piece in route.place.expression
        and (ends, route.outcome) == (row.ends, row.outcome)
        and "+".join(route.effects) == row.effects
        and route.where == row.where
    )
