"""`tensortoll calibrate`: what this machine can do."""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tensortoll.capture.costs.calibration import Copies, copies, event_costs
from tensortoll.capture.costs.overhead import LIBRARIES
from tensortoll.cli.output import uses_color, write_document_to
from tensortoll.report.card import Card
from tensortoll.report.renderers import terminal
from tensortoll.sizes import format_rate, format_time

_BINARY: Final = ((1 << 20, "MiB"), (1 << 10, "KiB"))


class CalibrateCommand:
    """Measure how fast this machine copies arrays, and what watching a conversion costs on it.

    Copies are measured by size: into memory that is warm, into memory that is allocated for it,
    and with a cast from float64 to float32. What watching costs is measured for each library that
    is installed, with arrays as small as they come; libraries are imported for it. Other work on
    the machine makes all of it look slower: the best of several rounds is told.

    Examples:
      tensortoll calibrate
      tensortoll calibrate --json machine.json --libraries numpy

    Exit status: 0 if all went well, 2 if the file can't be written.
    """

    name = "calibrate"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("--json", type=Path, metavar="F", help="write the measurements there")
        parser.add_argument("--quiet", action="store_true", help="print nothing")
        parser.add_argument(
            "--libraries",
            nargs="*",
            choices=LIBRARIES,
            default=LIBRARIES,
            metavar="NAME",
            help=f"whose conversions are watched: {', '.join(LIBRARIES)}; all that are installed",
        )

    def run(self, options: argparse.Namespace) -> int:
        """Measure, print and write."""
        measured = []
        for one in copies():
            measured.append(one)
            self._progress(f"copies of {_size(one.nbytes)}", options)
        costs = {}
        for library, cost in event_costs(options.libraries):
            costs[library] = cost
            self._progress(f"conversions of {library}", options)
        self._progress("", options)
        if options.json:
            document = {
                "format": "tensortoll-calibration",
                "version": 1,
                "platform": f"{platform.system()} {platform.machine()}",
                "copies_bytes_per_s": [
                    {key: round(value) for key, value in asdict(one).items()} for one in measured
                ],
                "event_ns": costs,
            }
            write_document_to(document, options.json)
        if not options.quiet:
            print(terminal.card(_card(measured, costs), color=uses_color(sys.stdout)))
        return 0

    @staticmethod
    def _progress(done: str, options: argparse.Namespace) -> None:
        """Say on a terminal what has been measured; it is wiped out by the next."""
        if sys.stderr.isatty() and not options.quiet:
            told = f"measured {done}" if done else ""
            print(f"\r{told:<40}", end="\r" if not told else "", file=sys.stderr, flush=True)


def _card(measured: list[Copies], costs: dict[str, int]) -> Card:
    rows = [("written", f"{'warm memory':>14}{'new memory':>14}{'new, cast':>14}")]
    for one in measured:
        speeds = (
            f"{format_rate(round(speed), 10**9):>14}" for speed in (one.warm, one.new, one.cast)
        )
        rows.append((_size(one.nbytes), "".join(speeds)))
    for library, cost in costs.items():
        told = f"{format_time(cost)} more for each conversion" if cost else "too little to measure"
        rows.append((f"watching {library}", told))
    fastest = max(measured, key=lambda one: one.warm)
    return Card(
        f"{platform.system()} {platform.machine()}",
        f"Copies reach {format_rate(round(fastest.warm), 10**9)} at {_size(fastest.nbytes)}.",
        tuple(rows),
        ("The best of several rounds, one thread. Other work on the machine shows in it.",),
    )


def _size(nbytes: int) -> str:
    """Return a power of two as such: these are no sizes of anybody's data."""
    unit, name = next(one for one in _BINARY if nbytes >= one[0])
    return f"{nbytes // unit} {name}"
