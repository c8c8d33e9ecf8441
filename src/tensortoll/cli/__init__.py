"""The `tensortoll` command. One file per subcommand, listed once in `COMMANDS`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from tensortoll import __version__
from tensortoll.cli.run import RunCommand
from tensortoll.errors import TensortollError


class Command(Protocol):
    """A subcommand; its docstring is its help text."""

    name: str

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status."""


COMMANDS: Final[tuple[Command, ...]] = (RunCommand(),)
USAGE_STATUS: Final = 2
"""Exit status for wrong usage and for input that can't be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status.

    0: done. 2: wrong usage, or input that can't be read. For `run`: the script's own status.
    """
    parser = argparse.ArgumentParser(
        prog="tensortoll", description="See and cut what tensor conversions cost."
    )
    parser.add_argument("--version", action="version", version=f"tensortoll {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        summary, _, text = (command.__doc__ or "").partition("\n")
        subparser = subparsers.add_parser(
            command.name,
            help=summary,
            description=f"{summary}\n{text}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.prepare(subparser)
        subparser.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except TensortollError as error:
        print(f"tensortoll: {error}", file=sys.stderr)
        return USAGE_STATUS
    return status
