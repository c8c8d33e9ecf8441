"""`tensortoll run`: a script or a notebook, watched."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tensortoll.advice import advised
from tensortoll.capture.counting.tracing import MOST_EVENTS, Ring
from tensortoll.capture.observers import Observing
from tensortoll.capture.progress import terminal_line
from tensortoll.capture.scripts import run_script
from tensortoll.cli.files import write_text
from tensortoll.cli.output import show, write_document_to
from tensortoll.errors import TensortollError
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.exports import perfetto
from tensortoll.report.renderers import html


class RunCommand:
    """Run a script or a notebook, and report what its tensor conversions cost.

    The script runs as `python SCRIPT.py ARGS...` would run it: its output, arguments, errors
    and exit status are its own. The report goes to standard error when it has ended. Each cell
    of a notebook is run in a real kernel and gets a report of its own, on standard output.

    Examples:
      tensortoll run train.py --epochs 3
      tensortoll run --json costs.json --quiet train.py
      tensortoll run --html costs.html analysis.ipynb
      tensortoll run --trace trace.json train.py

    Exit status: the script's own; 1 if a cell of a notebook raised; 2 if the target can't be run
    or a file can't be written.
    """

    name = "run"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("--json", type=Path, metavar="F", help="write the recording there")
        parser.add_argument(
            "--html", type=Path, metavar="F", help="write the report there as a page"
        )
        parser.add_argument(
            "--trace",
            type=Path,
            metavar="F",
            help=f"write the last {MOST_EVENTS:,} conversions of a script there, one by one, for "
            "https://ui.perfetto.dev",
        )
        parser.add_argument("--quiet", action="store_true", help="print no report")
        parser.add_argument(
            "--no-memory", action="store_true", help="do not watch allocations (memray)"
        )
        parser.add_argument("--no-time", action="store_true", help="do not time each line")
        parser.add_argument("target", type=Path, metavar="SCRIPT.py|NOTEBOOK.ipynb")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    def run(self, options: argparse.Namespace) -> int:
        """Run the target, then report."""
        target: Path = options.target
        if not target.is_file():
            msg = f"there is no file {str(target)!r} to run. Name a script or a notebook."
            raise TensortollError(msg)
        if target.suffix == ".ipynb":
            return self._notebook(target, options)
        line = None if options.quiet else terminal_line()
        observing = Observing(not options.no_memory, not options.no_time, line)
        ring = Ring() if options.trace else None
        outcome = run_script(target, options.arguments, observing, ring=ring)
        if ring is not None:
            write_document_to(perfetto.timeline(ring.trace()), options.trace)
        recording = outcome.recording
        if outcome.evidence is not None and isinstance(outcome.error, SystemExit | None):
            recording = advised(recording, outcome.evidence, outcome.namespace)
        self._write(recording, options, str(target))
        if not options.quiet:
            show(build_all(recording, ran=str(target)), sys.stderr)
        return outcome.end()

    def _notebook(self, path: Path, options: argparse.Namespace) -> int:
        from tensortoll.notebook import run_notebook

        if options.trace:
            msg = "a notebook is traced cell by cell: begin a cell with %%tensorcost --trace F."
            raise TensortollError(msg)
        if options.arguments:
            told = " ".join(options.arguments)
            msg = (
                f"a notebook takes no arguments, but {told!r} follows it. Options stand before it."
            )
            raise TensortollError(msg)

        def report(recording: Recording, cell: str) -> None:
            if not options.quiet:
                show(build_all(recording, ran=cell), sys.stdout)

        watched = {"memory": not options.no_memory, "time": not options.no_time}
        ran = run_notebook(path, report, **watched)
        self._write(ran.recording, options)
        if ran.error is not None:
            print(ran.error, file=sys.stderr)
        return ran.status

    @staticmethod
    def _write(
        recording: Recording, options: argparse.Namespace, script: str | None = None
    ) -> None:
        if options.json:
            write_document_to(recording.to_dict(), options.json)
        if options.html:
            write_text(html.page(build_all(recording, ran=script)), options.html)
