"""Hold what advice promises against what following it saves.

usage: python benchmarks/advice.py [--budget SECONDS] [--rounds N] [RULE ...]

Each case is run watched and its finding taken, and then both forms are run without a watch, each
in memory that was given back before, as a line finds it that runs once. This is done in turns, as
other work on the machine slows all forms alike. NumPy does not ask for large pages here: where it
does, memory that another library gets later may or may not lie in such, which halves its times or
does not, and a promise could only be kept by luck. Printed are the medians of what was promised and
of what was saved, how far apart they are, and of how many rounds. Where an allocator decides
whether TensorFlow or JAX copies once or twice, bytes differ from round to round, and a promise can
only be held against a run that copied as often, which a watched run right after the timed one
tells: those rounds alone count, if there are three.

Rules of devices (TT3xx) come last, on a device that is none, as far away as it is told to be
(`tests/fakes/fake_accelerator.py`): that shows whether a promise is kept, and nothing of what a
real device takes. TT202 and TT6xx warn, and save nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tensortoll.advice import advised
from tensortoll.capture.running import run
from tensortoll.model import Finding

START: Final = "import numpy as np\nrng = np.random.default_rng(0)\n"
TORCH: Final = f"{START}import torch\n"
TF: Final = f"{START}import tensorflow as tf\n"
JAX: Final = f"{START}import jax\nimport jax.numpy as jnp\n"
SINGLES: Final = "x = rng.random((2_000, 2_000), dtype=np.float32)\n"
ROWS: Final = "rows = [rng.random(4_000) for _ in range(200)]\n"
FAKES: Final = Path(__file__).parents[1] / "tests" / "fakes"
DEVICE: Final = (
    f"{TORCH}import fake_accelerator\nx = torch.rand(200, 300)\nd = x.to('fakegpu')\n"
    "data = torch.rand(1_000, 64)\nfake_accelerator.waits.update("
    "{'read': 0.002, 'pageable': 0.002, 'pinned': 0.0005, 'pin': 0.004})\n"
)
NESTED: Final = "nested = [[row + column / 10 for column in range(500)] for row in range(500)]\n"


@dataclass(frozen=True)
class Case:
    """A costly form, and what it needs."""

    setup: str
    before: str
    after: str = ""
    """The better form; empty where it is what the finding suggests."""
    computed: int = 0
    """Bytes that the costly form writes outside of conversions, less those of the better one."""


TURNS: Final = "for turn in range(100):\n"
"""So many that the first two, which get memory that nobody has touched, do not count."""
CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "TT101": (Case(TORCH + SINGLES, "t = torch.tensor(x)"),),
    "TT102": (
        Case(TORCH + "x = rng.random((2_000, 1_000))", "t = torch.tensor(x).float()"),
        Case(TORCH + "x = rng.random(2_000_000)", "t = torch.tensor(x.astype(np.float32))"),
        Case(TF + "x = rng.random(4_000_000)", "t = tf.cast(tf.constant(x), tf.float32)"),
    ),
    "TT103": (
        Case(
            TORCH + "image = rng.random((40_000, 64), dtype=np.float32)",
            "t = torch.from_numpy(np.ascontiguousarray(image.T))",
        ),
    ),
    "TT104": (
        Case(
            TORCH + SINGLES + "ones = torch.ones(2_000)",
            f"{TURNS}    t = torch.tensor(x)\n    made = torch.tanh(t @ ones)",
            f"t = torch.tensor(x)\n{TURNS}    made = torch.tanh(t @ ones)",
        ),
        Case(
            TF + SINGLES + "ones = tf.ones((2_000, 1))",
            f"{TURNS}    t = tf.constant(x)\n    made = tf.tanh(t @ ones)",
            f"t = tf.constant(x)\n{TURNS}    made = tf.tanh(t @ ones)",
        ),
    ),
    "TT105": (Case(TF + SINGLES + "t = tf.constant(x)", "u = tf.constant(t.numpy())"),),
    "TT106": (
        Case(TF + SINGLES + "v = tf.Variable(x)", "a = np.array(v)"),
        Case(
            f"{START}from PIL import Image\npicture = Image.fromarray("
            "rng.integers(0, 255, (2_000, 1_500, 3), dtype=np.uint8))",
            "a = np.array(picture)",
        ),
    ),
    "TT107": (Case(TF + "x = np.ones((3_000, 3_000))", "t = tf.constant(x)"),),
    "TT108": (
        Case(
            JAX + "room = np.ones(64_000_064, dtype=np.uint8)\nfirst = -room.ctypes.data % 64\n"
            "x = room[first + 16 :][:63_999_936].view(np.float32)",
            "j = jnp.asarray(x)",
        ),
    ),
    "TT109": (
        Case(
            TF + "flat = rng.random(400_000, dtype=np.float32)",
            "t = tf.constant(flat.data, shape=(400_000,), dtype=tf.float32)",
        ),
    ),
    "TT201": (
        Case(
            TORCH,
            "a = np.ones((2_000, 1_000))\nt = torch.tensor(a, dtype=torch.float32)",
            "a = np.ones((2_000, 1_000), dtype=np.float32)\n"
            "t = torch.tensor(a, dtype=torch.float32)",
            computed=8_000_000,
        ),
    ),
    "TT203": (
        Case(
            f"{START}import keras\nmodel = keras.Sequential([keras.Input((500,)), "
            "keras.layers.Dense(4)])\nx = np.ones((8_000, 500))",
            "out = model(x)",
        ),
    ),
    "TT204": (
        Case(
            f"{TORCH}import pandas as pd\ntable = pd.DataFrame({{'n': np.arange(300_000), "
            "'x': np.ones(300_000), 'paid': np.ones(300_000, bool)})",
            "t = torch.from_numpy(table.to_numpy().astype(np.float32))",
        ),
    ),
    "TT401": (
        Case(TORCH + ROWS, "t = torch.tensor(rows)", computed=-6_400_000),
        Case(TF + ROWS, "t = tf.constant(rows)", computed=-6_400_000),
        Case(
            TORCH + "parts = list(torch.rand(5_000))",
            "a = np.array(parts)",
            computed=-20_000,
        ),
    ),
    "TT402": (
        Case(TORCH + NESTED, "t = torch.tensor(nested)"),
        Case(TF + NESTED, "t = tf.convert_to_tensor(nested)"),
        Case(JAX + "nested = rng.random((200, 200)).tolist()", "t = jnp.array(nested)"),
    ),
    "TT403": (
        Case(TORCH + "x = rng.random((500, 500))", "t = torch.tensor(x.tolist())"),
        Case(TF + "x = rng.random((500, 500))", "t = tf.constant(x.tolist())"),
    ),
    "TT301": (
        Case(
            DEVICE,
            f"losses = []\n{TURNS}    loss = (d * turn).mean()\n    losses.append(loss.item())",
            f"losses = []\n{TURNS}    loss = (d * turn).mean()\n    losses.append(loss.detach())\n"
            "losses = torch.stack(losses).tolist()",
        ),
    ),
    "TT302": (Case(DEVICE, "g = x.pin_memory().to('fakegpu', non_blocking=True)"),),
    "TT303": (Case(DEVICE, "g = d.cpu().to('fakegpu')"),),
    "TT304": (
        Case(
            DEVICE,
            "for i in range(0, 1_000, 100):\n    b = data[i : i + 100].to('fakegpu')",
            "pinned = data.pin_memory()\n"
            "for i in range(0, 1_000, 100):\n    b = pinned[i : i + 100].to('fakegpu')",
        ),
    ),
}  # fmt: skip
ROUNDS: Final = 7
ENOUGH: Final = 3
"""Rounds that a median is taken of."""


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("rules", nargs="*")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the costly forms are what libraries warn of
    sys.path.append(str(FAKES))
    assert "numpy" not in sys.modules, "NumPy reads what is asked of it when it is imported"
    os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"
    print("rule   promised                   saved                     apart  of    costly form")
    for code in options.rules or CASES:
        for case in CASES[code]:
            line = next(one for one in case.before.splitlines()[::-1] if "(" in one)
            line = case.before.splitlines()[1].strip() if code in {"TT104", "TT304"} else line
            told = _held(code, case, options.budget, options.rounds)
            print(f"{code:6} {told:61} {line}", flush=True)


def _held(code: str, case: Case, budget_s: float, rounds: int) -> str:
    """Return what was promised and what was saved, in words."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(case.setup, namespace)
    _finding(code, case, namespace, budget_s)  # what a library does once is done now
    found: list[Finding] = []
    saved: list[tuple[int, int]] = []
    for _ in range(rounds):
        finding = _finding(code, case, namespace, budget_s)
        if finding is None:
            continue
        found.append(finding)
        texts = (case.before, case.after or finding.suggestion)
        before, after = (_time(text, namespace) for text in texts)
        more, less = (_bytes(text, namespace) for text in texts)
        saved.append((before - after, more - less + case.computed))
    if not found:
        return "nothing was advised"
    promised = [(one.saved_ns, one.saved_bytes) for one in found]
    both = list(zip(promised, saved, strict=True))
    alike = [(one, other) for one, other in both if one[1] == other[1]]
    compared = alike if len(alike) >= ENOUGH else both
    said, got = (
        tuple(map(statistics.median, zip(*pairs, strict=True)))
        for pairs in zip(*compared, strict=True)
    )
    off = abs(said[0] - got[0]) / max(abs(got[0]), 1)
    return (
        f"{said[0] / 1e6:8.2f} ms {said[1]:13,.0f}  {got[0] / 1e6:8.2f} ms {got[1]:13,.0f}  "
        f"{off:4.0%}  {len(compared)}/{rounds}"
    )


def _finding(code: str, case: Case, space: dict[str, Any], budget_s: float) -> Finding | None:
    outcome = run(case.setup + "\n" + case.before, "case.py", space)
    recording = advised(outcome.recording, outcome.evidence, space, budget_s=budget_s)
    return next((one for one in recording.findings if one.rule == code), None)


def _time(text: str, namespace: dict[str, Any]) -> int:
    """Return how long a text takes when it finds none of its names bound and no memory warm."""
    code = compile(text, "again.py", "exec")
    made = [name for name in code.co_names if f"{name} =" in text]
    for name in made:
        namespace.pop(name, None)
    _give_memory_back()
    started = time.perf_counter_ns()
    exec(code, namespace)
    for name in made:  # JAX works on in the background
        if hasattr(namespace[name], "block_until_ready"):
            namespace[name].block_until_ready()
    return time.perf_counter_ns() - started


def _bytes(text: str, namespace: dict[str, Any]) -> int:
    return run(text, "again.py", namespace).recording.bytes_written


def _give_memory_back() -> None:
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


if __name__ == "__main__":
    main()
