"""`tensortoll compare`: what got worse since a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from tensortoll.cli.files import READS, loaded
from tensortoll.cli.output import add_output_options, put_out, write_document_to
from tensortoll.comparison import compare
from tensortoll.report.changes import compared
from tensortoll.report.exports import sarif

WORSE_STATUS: Final = 1


class CompareCommand:
    """Compare two recordings of the same code: what costs more, what less, what is new.

    Compared are outcome, effects, kinds, counts, copies and bytes, which are the same on every
    machine; never times. A conversion is found again by its expression, wherever it stands now,
    so moved lines and cells make no difference. A number that the allocator decides (TensorFlow
    copies an array once or twice) differs only beyond the range that it can take.

    Examples:
      tensortoll compare before.json after.json
      tensortoll compare --fail-on-increase --markdown kept.json new.json >> $GITHUB_STEP_SUMMARY

    Exit status: 0 if all went well, 1 with --fail-on-increase if something costs more, fails, or
    writes to shared memory and did not before, 2 if a file can't be read or written.
    """

    name = "compare"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("old", type=Path, metavar="OLD", help=f"one of two {READS}")
        parser.add_argument("new", type=Path, metavar="NEW", help="the later one")
        parser.add_argument(
            "--fail-on-increase",
            action="store_true",
            help=f"end with status {WORSE_STATUS} if anything costs more than it did",
        )
        parser.add_argument(
            "--sarif", type=Path, metavar="F", help="write what got worse there, for annotations"
        )
        add_output_options(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Show what changed."""
        comparison = compare(loaded(options.old), loaded(options.new))
        if options.sarif:
            write_document_to(sarif.increases(comparison), options.sarif)
        put_out(compared(comparison, old=options.old.name, new=options.new.name), options)
        return WORSE_STATUS if options.fail_on_increase and comparison.is_worse else 0
