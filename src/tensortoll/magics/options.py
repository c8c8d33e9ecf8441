"""The options of `%%tensorcost`, in the manner of IPython's own magics."""

from __future__ import annotations

import argparse
import shlex
from typing import Final, NoReturn

from IPython.core.error import UsageError

MAGIC: Final = "%%tensorcost"


class _Parser(argparse.ArgumentParser):
    """A parser that raises where it would end the process."""

    def error(self, message: str) -> NoReturn:
        text = f"{MAGIC}: {message}. The cell was not run. See {MAGIC} --help"
        raise UsageError(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the magic's own line."""
    made = _Parser(
        prog=MAGIC,
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Run the cell as it is, and show on its own lines what its tensor conversions cost:\n"
            "copied or shared, bytes moved, casts, transfers between devices, time."
        ),
    )
    made.add_argument("-h", "--help", action="store_true", help="show this, and don't run the cell")
    made.add_argument("-o", "--output", metavar="NAME", help="keep the recording under this name")
    made.add_argument("--json", metavar="F", help="write the recording there")
    made.add_argument("--html", metavar="F", help="write the report there as a page")
    made.add_argument("-q", "--quiet", action="store_true", help="show no report")
    made.add_argument("--no-memory", action="store_true", help="do not watch allocations (memray)")
    made.add_argument("--no-time", action="store_true", help="do not time each line")
    return made


def parsed(line: str) -> argparse.Namespace:
    """Return the options of a magic's line.

    Raises:
        UsageError: If there is no such option, or a value is missing or no good.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        msg = f"{MAGIC}: {error}: {line!r}. The cell was not run."
        raise UsageError(msg) from error
    options = parser().parse_args(words)
    if options.output is not None and not options.output.isidentifier():
        parser().error(f"-o wants the name of a variable, not {options.output!r}")
    return options


def is_runnable(line: str) -> bool:
    """Say whether a magic's line asks to run the cell, without a mistake."""
    try:
        return not parsed(line).help
    except UsageError:
        return False
