"""`tensortoll merge`: several recordings as one."""

from __future__ import annotations

import argparse
from pathlib import Path

from tensortoll.cli.files import READS, sum_of
from tensortoll.cli.output import write_document_to


class MergeCommand:
    """Add recordings up into one: of several processes, ranks or runs.

    It does not matter in which order they are named. Counts, bytes and times are sums; conversions
    of one place become one row; each source is kept once. Where the runs differ in something that
    can't be added (host, process), it is left out.

    With --no-source the text of the sources is left out, for sharing. The expressions that
    converted something stay, as do names of files, and messages of errors: look before you share.

    Examples:
      tensortoll merge rank*.json -o all.json
      tensortoll merge --no-source costs.json -o to-share.json

    Exit status: 0 if all went well, 2 if a file can't be read or written.
    """

    name = "merge"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORDING", help=READS)
        parser.add_argument(
            "-o", "--output", type=Path, metavar="F", required=True, help="write the sum there"
        )
        parser.add_argument(
            "--no-source", action="store_true", help="leave out the text of the sources"
        )

    def run(self, options: argparse.Namespace) -> int:
        """Write the sum of the recordings."""
        recording = sum_of(options.recordings)
        if options.no_source:
            recording = recording.without_text()
        write_document_to(recording.to_dict(), options.output)
        return 0
