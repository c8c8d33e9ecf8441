"""What one event costs, in instructions: exact from run to run, unlike times.

    python benchmarks/instructions.py            # some minutes; wants valgrind

The events run plain and under a watch in one process under callgrind, which is asked for a dump
before and after each loop. Instructions are those of the process alone, whatever else the machine
does meanwhile: so a change of a few per cent shows, where a time would need hours to settle.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from workloads import ONE_THREAD

EVENTS = 500
WARM = 60


def events() -> dict[str, str]:
    """Statements that convert, or that could be taken to; `a` is an array, `t` a tensor."""
    return {
        "torch.from_numpy(a)": "wraps",
        "t.numpy()": "wraps",
        "t.double()": "casts 32 bytes",
        "t * 2.0": "is no conversion, yet passes through `copy_`",
        "s.item()": "reads a number",
        "t + t": "is no conversion",
    }


def dump(label: str) -> None:
    """Have callgrind write what was counted since the last dump."""
    command = ["callgrind_control", f"--dump={label}", str(os.getpid())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def child() -> None:
    """Run every event plain and watched, with a dump around each loop."""
    import numpy as np
    import torch

    import tensortoll

    torch.set_num_threads(1)
    array = np.arange(8, dtype=np.float32)
    names = {"torch": torch, "a": array, "t": torch.arange(8.0), "s": torch.tensor(1.5)}
    loops = {}
    for event in events():
        exec(f"def loop(n):\n    for _ in range(n):\n        {event}", names)
        loops[event] = names["loop"]
        loops[event](WARM)

    def measure(kind: str) -> None:
        for event, loop in loops.items():
            loop(WARM)
            dump("before")
            loop(EVENTS)
            dump(f"{kind} {event}")

    dump("before")
    dump("nothing")
    measure("plain")
    with tensortoll.record():
        measure("watched")


def counted(folder: Path) -> dict[str, int]:
    """Instructions by the label of the dump that ended them."""
    found = {}
    for file in folder.iterdir():
        text = file.read_text(errors="replace")
        label = re.search(r"Trigger: dump (.*)", text)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if label and total:
            found[label[1]] = int(total[1])
    return found


def main() -> None:
    """Start the child under callgrind, and print a table."""
    if shutil.which("valgrind") is None:
        sys.exit("this wants valgrind: install it with your system's package manager")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
                *(sys.executable, __file__, "--child"),
            ],
            check=True,
            env=os.environ | ONE_THREAD,
            stderr=subprocess.DEVNULL,
        )
        found = counted(Path(folder))
    around = found["nothing"]
    print("| event | | plain | watched | more |\n|---|---|---|---|---|")
    for event, what in events().items():
        plain, watched = ((found[f"{kind} {event}"] - around) / EVENTS for kind in KINDS)
        print(f"| `{event}` | {what} | {plain:,.0f} | {watched:,.0f} | {watched - plain:,.0f} |")


KINDS = ("plain", "watched")

if __name__ == "__main__":
    child() if sys.argv[1:] == ["--child"] else main()
