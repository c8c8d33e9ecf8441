"""Hold what advice promises against what following it saves.

usage: python benchmarks/advice.py [--budget SECONDS] [RULE ...]

Each case is run watched; its finding's suggestion is put in, and both forms are run again without
a watch. Printed are the bytes and the time that were promised and those that were saved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any, Final

from tensortoll.advice import advised
from tensortoll.capture.running import run

START: Final = """
import numpy as np
rng = np.random.default_rng(0)
x = rng.random((2_000, 2_000), dtype=np.float32)
doubles = rng.random((2_000, 1_000))
image = rng.random((40_000, 64), dtype=np.float32)
rows = [rng.random(4_000) for _ in range(200)]
nested = [[row + column / 10 for column in range(500)] for row in range(500)]
ones = np.ones(2_000_000)
"""
CASES: Final = {
    "TT101": "import torch\n", "TT102": "import torch\n", "TT103": "import torch\n",
    "TT105": "import tensorflow as tf\nt = tf.constant(x)\n",
    "TT106": "import tensorflow as tf\nv = tf.Variable(x)\n",
    "TT107": "import tensorflow as tf\nbig = np.ones((3_000, 3_000))\n",
    "TT109": "import tensorflow as tf\nflat = x.ravel()[:400_000]\n",
    "TT401": "import torch\n", "TT402": "import torch\n", "TT403": "import torch\n",
}  # fmt: skip
LINES: Final = {
    "TT101": "t = torch.tensor(x)",
    "TT102": "t = torch.tensor(doubles).float()",
    "TT103": "t = torch.from_numpy(np.ascontiguousarray(image.T))",
    "TT105": "u = tf.constant(t.numpy())",
    "TT106": "a = np.array(v)",
    "TT107": "t = tf.constant(big)",
    "TT109": "t = tf.constant(flat.data, shape=(400_000,), dtype=tf.float32)",
    "TT401": "t = torch.tensor(rows)",
    "TT402": "t = torch.tensor(nested)",
    "TT403": "t = torch.tensor(x.tolist())",
}
ROUNDS: Final = 7


def main() -> None:
    """Print a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("rules", nargs="*")
    options = parser.parse_args()
    print("rule    promised             saved                time  bytes")
    for code in options.rules or CASES:
        print(f"{code:7} {_held(code, options.budget)}", flush=True)


def _held(code: str, budget_s: float) -> str:
    """Return what was promised and what was saved, in words."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outcome = run(START + CASES[code] + LINES[code], "case.py", namespace)
    recording = advised(outcome.recording, outcome.evidence, namespace, budget_s=budget_s)
    found = [one for one in recording.findings if one.rule == code]
    if not found:
        return f"nothing was advised: {recording.blind_spots}"
    (finding,) = found
    before, after = _times(LINES[code], finding.suggestion, namespace)
    saved_ns = before - after
    saved_bytes = _bytes(LINES[code], namespace) - _bytes(finding.suggestion, namespace)
    promised = f"{finding.saved_ns / 1e6:8.2f} ms {finding.saved_bytes:10,}"
    off = abs(finding.saved_ns - saved_ns) / max(abs(saved_ns), 1)
    same = "same" if finding.saved_bytes == saved_bytes else "differ"
    return f"{promised}  {saved_ns / 1e6:8.2f} ms {saved_bytes:10,}  {off:4.0%}  {same}"


def _times(one: str, other: str, namespace: dict[str, Any]) -> tuple[float, float]:
    times: dict[str, list[int]] = {one: [], other: []}
    for _ in range(ROUNDS):
        for text, found in times.items():
            started = time.perf_counter_ns()
            exec(text, namespace)
            found.append(time.perf_counter_ns() - started)
    return statistics.median(times[one]), statistics.median(times[other])


def _bytes(text: str, namespace: dict[str, Any]) -> int:
    return run(text, "again.py", namespace).recording.bytes_written


if __name__ == "__main__":
    main()
