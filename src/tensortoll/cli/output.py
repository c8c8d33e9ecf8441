"""How commands show reports, and the options that say where to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tensortoll.cli.files import unwritable, write_text
from tensortoll.recording import Recording
from tensortoll.report.exports import EXPORTS
from tensortoll.report.renderers import html, markdown, terminal
from tensortoll.report.values import Report
from tensortoll.store import write_document


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command with a report has."""
    parser.add_argument("--html", type=Path, metavar="F", help="write the report there as a page")
    parser.add_argument(
        "--markdown", action="store_true", help="print Markdown, for an issue or a pull request"
    )
    parser.add_argument("--quiet", action="store_true", help="print no report")


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each format that other viewers read."""
    for name, export in EXPORTS.items():
        parser.add_argument(f"--{name}", type=Path, metavar="F", help=f"write {export.help}")


def write_exports(recording: Recording, options: argparse.Namespace) -> None:
    """Write a recording in each format that was asked for."""
    for name, export in EXPORTS.items():
        path: Path | None = getattr(options, name)
        if path is not None:
            write_document_to(export.document(recording), path)


def put_out(reports: Sequence[Report], options: argparse.Namespace) -> None:
    """Write and print reports as the options say."""
    if options.html:
        write_text(html.page(reports), options.html)
    if options.quiet:
        return
    if options.markdown:
        print("\n".join(map(markdown.render, reports)), end="")
        return
    show(reports, sys.stdout)


def show(reports: Sequence[Report], stream: TextIO) -> None:
    """Print reports for a reader at a terminal, or for a file."""
    for report in reports:
        print(terminal.render(report, color=uses_color(stream)), file=stream)
        print(file=stream, flush=True)


def write_document_to(document: object, path: Path) -> None:
    """Write a JSON document to a file, whole or not at all.

    Raises:
        TensortollError: If it can't be written; the message names the file.
    """
    try:
        write_document(document, path)
    except OSError as error:
        raise unwritable(path, error) from error


def uses_color(stream: TextIO) -> bool:
    """Say whether a stream is a terminal whose user wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
