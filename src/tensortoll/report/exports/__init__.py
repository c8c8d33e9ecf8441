"""Recordings as documents for other programs: one module for each format.

To add one: a module with a function that takes a recording, and a line in `EXPORTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tensortoll.recording import Recording
from tensortoll.report.exports import sarif, speedscope


class Export(NamedTuple):
    """A format that another program reads."""

    help: str
    """What is written, for the help of a command."""
    document: Callable[[Recording], object]
    """Returns it as JSON."""


EXPORTS: Final[Mapping[str, Export]] = {
    "json": Export("the recording there", Recording.to_dict),
    "speedscope": Export(
        "the bytes there, as a flame graph for https://www.speedscope.app", speedscope.flame_graph
    ),
    "sarif": Export(
        "findings, failures and hazards there, for annotations on the code", sarif.findings
    ),
}
"""By the name of the option."""
