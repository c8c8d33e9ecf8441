"""Merge many recordings, and say how long it took and what memory: `python benchmarks/merging.py`.

usage: python benchmarks/merging.py [RECORDINGS [PLACES]]

By default 1,000 recordings of 1,000 places each, as so many ranks of one program would leave them:
the same places, other numbers, other addresses.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensortoll.model import (
    Conversion,
    Environment,
    Kind,
    Place,
    Proof,
    Route,
    Source,
    Span,
    Totals,
)
from tensortoll.recording import Recording, load


def rank(number: int, places: int) -> Recording:
    """Return what one rank would leave behind."""
    dice = random.Random(number)
    text = "\n".join(f"x{n} = torch.tensor(a[{n}], dtype=torch.float32)" for n in range(places))
    source = Source("train.py", text)
    rows = []
    for n in range(places):
        expression = f"torch.tensor(a[{n}], dtype=torch.float32)"
        place = Place(source, n + 1, n + 1, 5, 5 + len(expression), expression)
        kinds = Kind("numpy", "float64"), Kind("torch", "float32")
        route = Route(place, "torch.tensor", "copy", ("cast",), implicit=False,
                      origin=kinds[0], target=kinds[1])  # fmt: skip
        count = dice.randrange(1, 100)
        nbytes = 4_000_000 * count
        start = dice.randrange(2**40, 2**47)
        spans = Span(start, start + 8_000_000), Span(start - 9_000_000, start - 5_000_000)
        totals = Totals(count, count, 2 * nbytes, nbytes, dice.randrange(10**9))
        rows.append(Conversion(route, totals, (1_000, 1_000), Proof(*spans)))
    about = Environment("3.11", "Linux", {"torch": "2"}, pid=number + 1, rank=number, host="a")
    return Recording(tuple(rows), (source,), 10**9, environment=about)


def main(recordings: int = 1_000, places: int = 1_000) -> None:
    """Write them, merge them by the command, and print what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number}.json" for number in range(recordings)]
        for number, file in enumerate(files):
            rank(number, places).save(file)
        size = sum(file.stat().st_size for file in files)
        command = [sys.executable, "-m", "tensortoll", "merge", *map(str, files)]
        started = time.perf_counter()
        subprocess.run([*command, "-o", str(folder / "sum.json")], check=True)
        elapsed = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = load(folder / "sum.json")
        print(
            f"{recordings:,} recordings of {places:,} places, {size / 1e6:,.0f} MB: "
            f"{elapsed:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU, "
            f"at most {used.ru_maxrss / 1024:,.0f} MiB in a process; "
            f"{len(total.conversions):,} places, {total.count:,} conversions"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
