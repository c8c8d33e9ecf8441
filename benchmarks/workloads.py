"""Fixed workloads for measuring what watching a program costs.

Every workload is a plain function ``name(size, ...)`` that imports what it uses, so
the same code can be called, run as the text of a notebook cell (`Workload.cell`), or
run as a script under a tool that wants a whole process:

    python workloads.py torch-casts                 # prints the times of three runs
    scalene run workloads.py --- torch-casts        # the same, watched

A workload's inputs are made by its `prepare` function, outside the time taken.
"""

import argparse
import gc
import importlib.util
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# More threads than free cores make a run's time a matter of luck.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
}

# ---------------------------------------------------------------- the workloads


def torch_tiny_ops(size, x, y):
    """No conversion at all: what the tool costs code that is none of its business."""
    for _ in range(size):
        z = x + y
    return z


def torch_tiny_conversions(size, array):
    """The worst case for a tool that records each conversion: they are free themselves."""
    import torch

    for _ in range(size):
        back = torch.from_numpy(array).numpy()
    return back


def torch_casts(size, t):
    """Casts of one megabyte: real work per event."""
    for _ in range(size):
        back = t.double().float()
    return back


class Rows:
    """A data set over two arrays, as one writes it for a DataLoader."""

    def __init__(self, features, targets):
        self.features, self.targets = features, targets

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index):
        return self.features[index], self.targets[index]


def torch_training(size, features, targets):
    """One epoch of a small MLP; default_collate converts every row and batch."""
    import torch
    from torch.utils.data import DataLoader

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(features.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = torch.nn.MSELoss()
    total = 0.0
    for batch, target in DataLoader(Rows(features, targets), batch_size=64, num_workers=0):
        optimiser.zero_grad()
        loss = loss_of(model(batch), target)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / size


def tf_tiny_ops(size, x, y):
    """Eager TensorFlow without conversions."""
    for _ in range(size):
        z = x + y
    return z


def tf_tiny_conversions(size, array):
    """Into TensorFlow and back, a few bytes at a time."""
    import tensorflow as tf

    for _ in range(size):
        back = tf.convert_to_tensor(array).numpy()
    return back


def keras_fit(size, model, features, targets):
    """Keras converts the arrays on its own, batch by batch and behind `fit`."""
    history = model.fit(features, targets, epochs=2, batch_size=64, verbose=0)
    return history.history["loss"][-1]


def notebook_cell(size, frame, model):
    """Data preparation as in a notebook: six borders crossed, most of them large."""
    import numpy as np
    import pandas as pd
    import torch

    values = frame.to_numpy()
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    small = values.astype(np.float32)
    batch = torch.tensor(small)
    with torch.no_grad():
        scores = model(batch)
    table = pd.DataFrame(scores.numpy(), columns=["low", "middle", "high"])
    return table.mean()


def numpy_scalar_loop(size, values):
    """A Python loop over scalars: what a line-by-line tracer costs a cell without tensors."""
    total = 0.0
    step = 0
    for value in values:
        step += 1
        if value > 0.5:
            total += value * 0.5
        else:
            total -= 0.25
    return total / step


# ----------------------------------------------------------- their inputs (untimed)


def _two_torch_vectors(size):
    import torch

    return size, torch.arange(8.0), torch.arange(8.0)


def _eight_floats(size):
    import numpy as np

    return size, np.arange(8, dtype=np.float32)


def _torch_megabyte(size):
    import torch

    return size, torch.rand(262_144)


def _rows_and_targets(size):
    import numpy as np

    random = np.random.default_rng(0)
    features = random.random((size, 32), dtype=np.float32)
    return size, features, features.sum(axis=1, keepdims=True)


def _two_tf_vectors(size):
    import tensorflow as tf

    return size, tf.range(8.0), tf.range(8.0)


def _keras_model(size):
    import keras

    keras.utils.set_random_seed(0)
    size, features, targets = _rows_and_targets(size)
    model = keras.Sequential(
        [keras.Input((32,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    return size, model, features, targets


def _frame_and_model(size):
    import numpy as np
    import pandas as pd
    import torch

    random = np.random.default_rng(0)
    columns = {f"measured_{i}": random.random(size) for i in range(12)}
    columns |= {f"counted_{i}": random.integers(0, 100, size) for i in range(8)}
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(len(columns), 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    )
    return size, pd.DataFrame(columns), model


def _scalars(size):
    import numpy as np

    return size, np.random.default_rng(0).random(size)


# ------------------------------------------------------------------- the catalogue


@dataclass(frozen=True)
class Workload:
    """One workload: its function, what makes its inputs, and the size that takes 0.2-2 s."""

    name: str
    function: Callable[..., Any]
    prepare: Callable[[int], tuple]
    size: int
    libraries: tuple[str, ...]
    helpers: tuple[type, ...] = ()

    @property
    def what(self) -> str:
        return inspect.getdoc(self.function)

    def missing(self) -> list[str]:
        """The libraries it needs and this Python does not have."""
        return [name for name in self.libraries if importlib.util.find_spec(name) is None]

    def functions(self) -> list[Callable]:
        """All of the workload's own functions, for a tool that must be told which to watch."""
        methods = [
            member
            for helper in self.helpers
            for member in vars(helper).values()
            if inspect.isfunction(member)
        ]
        return [self.function, *methods]

    @cached_property
    def cell(self) -> str:
        """The text of the workload as a notebook cell, for a namespace that has `inputs`."""
        parts = [inspect.getsource(part) for part in (*self.helpers, self.function)]
        parts.append(f"result = {self.function.__name__}(*inputs)\n")
        return "\n\n".join(parts)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("torch-tiny-ops", torch_tiny_ops, _two_torch_vectors, 250_000, ("torch",)),
        Workload(
            "torch-tiny-conversions", torch_tiny_conversions, _eight_floats, 200_000, ("torch",)
        ),
        Workload("torch-casts", torch_casts, _torch_megabyte, 1_000, ("torch",)),
        Workload("torch-training", torch_training, _rows_and_targets, 24_000, ("torch",), (Rows,)),
        Workload("tf-tiny-ops", tf_tiny_ops, _two_tf_vectors, 20_000, ("tensorflow",)),
        Workload(
            "tf-tiny-conversions", tf_tiny_conversions, _eight_floats, 20_000, ("tensorflow",)
        ),
        Workload("keras-fit", keras_fit, _keras_model, 16_000, ("tensorflow", "keras")),
        Workload("notebook-cell", notebook_cell, _frame_and_model, 800_000, ("pandas", "torch")),
        Workload("numpy-scalar-loop", numpy_scalar_loop, _scalars, 2_000_000, ("numpy",)),
    )
}


def seconds(action: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Wall and CPU seconds (user and system, all threads) of a call, and its result."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, result


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one workload and print its times.")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--size", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the times there instead of printing them")
    options = parser.parse_args()

    os.environ.update(ONE_THREAD)
    workload = WORKLOADS[options.workload]
    if missing := workload.missing():
        sys.exit(f"{workload.name} needs {', '.join(missing)}")
    inputs = workload.prepare(options.size or workload.size)
    workload.function(*inputs)
    runs = [seconds(lambda: workload.function(*inputs))[0] for _ in range(options.runs)]
    text = json.dumps(runs)
    if options.json:
        options.json.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
