"""The options of `%%tensorcost`, in the manner of IPython's own magics."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Final, NoReturn

from IPython.core.error import UsageError

from tensortoll.limits import Limit, count_limit, limit

if TYPE_CHECKING:
    from tensortoll.guarding import Guarded

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
    made.add_argument("--trace", metavar="F", help="write the conversions there, one by one")
    made.add_argument("-q", "--quiet", action="store_true", help="show no report")
    made.add_argument("--no-memory", action="store_true", help="do not watch allocations (memray)")
    made.add_argument("--no-time", action="store_true", help="do not time each line")
    _add_limits(made)
    return made


def _add_limits(made: argparse.ArgumentParser) -> None:
    limits = made.add_argument_group("limits, broken by the very line that goes beyond one")
    limits.add_argument(
        "--max-copies", type=_copies, metavar="N", help="data is written N times in full at most"
    )
    limits.add_argument(
        "--max-bytes", type=_bytes, metavar="SIZE", help="copies write so much at most: '16 MB'"
    )
    limits.add_argument("--no-casts", action="store_true", help="nothing changes its dtype")
    limits.add_argument("--no-transfers", action="store_true", help="nothing changes its device")
    limits.add_argument(
        "--guard",
        choices=("raise", "warn"),
        default="raise",
        help="what the line that breaks a limit gets: an error, unless `warn` is said",
    )


def _copies(text: str) -> Limit:
    """A number of copies; a size is taken for what it is."""
    return count_limit(int(text)) if text.isdecimal() else _bytes(text)


def _bytes(text: str) -> Limit:
    try:
        return limit("copies", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def guarded(options: argparse.Namespace) -> Guarded | None:
    """Return the guard that a cell asks for, or None."""
    limits = [one for one in (options.max_copies, options.max_bytes) if one is not None]
    limits += [limit("casts", 0)] * options.no_casts
    limits += [limit("transfers", 0)] * options.no_transfers
    if not limits:
        return None
    from tensortoll.guarding import Guarded

    return Guarded(tuple(limits), failures=options.guard)


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
