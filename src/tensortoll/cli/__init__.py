"""The `tensortoll` command. One file per subcommand, listed once in `COMMANDS`."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from tensortoll import __version__
from tensortoll.cli.calibrate import CalibrateCommand
from tensortoll.cli.compare import CompareCommand
from tensortoll.cli.explain import ExplainCommand
from tensortoll.cli.merge import MergeCommand
from tensortoll.cli.run import RunCommand
from tensortoll.cli.view import ViewCommand
from tensortoll.errors import TensortollError


class Command(Protocol):
    """A subcommand; its docstring is its help text."""

    name: str

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status."""


COMMANDS: Final[tuple[Command, ...]] = (
    RunCommand(),
    ViewCommand(),
    CompareCommand(),
    MergeCommand(),
    ExplainCommand(),
    CalibrateCommand(),
)
USAGE_STATUS: Final = 2
"""Exit status for wrong usage and for files that can't be read or written."""
CUT_OFF_STATUS: Final = 141
"""Exit status where nobody reads the output any more, as a shell's own commands have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status.

    0: done. 1: what `compare` was asked to fail on. 2: wrong usage, or a file that can't be read or
    written. For `run`: the script's own status.
    """
    parser = argparse.ArgumentParser(
        prog="tensortoll", description="See and cut what tensor conversions cost."
    )
    parser.add_argument("--version", action="version", version=f"tensortoll {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        summary, _, text = (inspect.getdoc(command) or "").partition("\n")
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
    except BrokenPipeError:  # whoever reads has read enough: `tensortoll view … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF_STATUS
    return status
