"""A recording in one line, for under a cell."""

from __future__ import annotations

from tensortoll.recording import Recording
from tensortoll.report.verdict import counted
from tensortoll.sizes import format_bytes, format_time


def summary(recording: Recording) -> str:
    """Return what a cell converted in a line without an end."""
    totals = recording.totals
    if not totals.count and not recording.failures:
        return "No conversions."
    copied = sum(
        one.totals.bytes_written for one in recording.conversions if one.route.outcome == "copy"
    )
    failed = max(
        len(recording.failures),
        sum(one.totals.count for one in recording.conversions if one.route.outcome == "failed"),
    )
    parts = [
        counted(totals.count, "conversion"),
        f"{format_bytes(copied)} copied",
        format_time(totals.elapsed_ns) if totals.elapsed_ns else "",
        f"{failed:,} failed" if failed else "",
        f"{counted(len(recording.hazards), 'write')} to shared memory" if recording.hazards else "",
    ]
    return ", ".join(part for part in parts if part)
