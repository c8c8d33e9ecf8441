"""`tensortoll view`: recordings, shown again."""

from __future__ import annotations

import argparse
from pathlib import Path

from tensortoll.cli.files import READS, sum_of
from tensortoll.cli.output import add_export_options, add_output_options, put_out, write_exports
from tensortoll.report import build_all


class ViewCommand:
    """Show recordings again: in the terminal, as a page, as Markdown, or for another viewer.

    Several recordings are added up first, as `tensortoll merge` does it.

    Examples:
      tensortoll view costs.json
      tensortoll view --html costs.html rank0.json rank1.json
      tensortoll view --speedscope bytes.speedscope.json --quiet costs.json

    Exit status: 0 if all went well, 2 if a file can't be read or written.
    """

    name = "view"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORDING", help=READS)
        add_output_options(parser)
        add_export_options(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Show the sum of the recordings."""
        recording = sum_of(options.recordings)
        write_exports(recording, options)
        put_out(build_all(recording), options)
        return 0
