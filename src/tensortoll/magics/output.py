"""Where the reports of a cell go, as the magic's options say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from IPython.display import display

from tensortoll.capture.counting.tracing import Ring
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.exports import perfetto
from tensortoll.report.renderers import html
from tensortoll.report.shown import Shown
from tensortoll.report.summary import summary
from tensortoll.store import write_document


def put_out(
    recording: Recording,
    cell: str,
    options: argparse.Namespace,
    namespace: dict[str, Any],
    ring: Ring | None,
) -> None:
    """Show and write what was seen of a cell.

    Args:
        recording: What was seen.
        cell: The cell's name.
        options: Of the magic.
        namespace: The user's, for the recording if it is to be kept there.
        ring: Holds the single events, where a trace was asked for.
    """
    reports = build_all(recording, ran=cell)
    if options.output:
        namespace[options.output] = recording
    if options.json:
        recording.save(options.json)
    if options.html:
        Path(options.html).write_text(html.page(reports), encoding="utf-8")
    if ring is not None:
        write_document(perfetto.timeline(ring.trace()), options.trace)
    if not options.quiet:
        display(Shown(*reports))


def print_line(recording: Recording) -> None:
    """Print the one line that a cell gets while `%tensorcost on` holds."""
    line = summary(recording)
    more = "" if line.endswith(".") else "; %tensorcost last for the report"
    print(f"tensortoll: {line}{more}")
