"""From a recording to something to read: `build` decides what is said, `renderers` draw it.

To add a format: a module in `renderers`, and a line in its table.
"""

from __future__ import annotations

from tensortoll.report.assembly import build, build_all
from tensortoll.report.card import Card
from tensortoll.report.values import Report

__all__ = ["Card", "Report", "build", "build_all"]
