"""What the observers saw of memory, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tensortoll.model import Apart, LineCost, Peak
from tensortoll.report.values import Message
from tensortoll.report.words import short_path
from tensortoll.sizes import format_bytes

HIDDEN_WORTH: Final = 1_000_000
"""From so many bytes on, arrays that a library made inside itself get a row of their own."""
_APART_WORTH: Final = 1_000_000
_PEAK_WORTH: Final = 1_000_000
_EXACT: Final = 50
"""Bounds that differ by no more than one part in so many are told as one number."""
_APART: Final[Mapping[Apart, str]] = {
    "mapped": "{} mapped by a library: scratch, a pool or a file",
    "objects": "{} in arenas for small Python objects",
    "tensorflow": "{} by which TensorFlow's arena for tensors grew",
    "threads": "{} by threads of libraries, most likely for this line",
}


def is_hidden(cost: LineCost) -> bool:
    """Say whether a line's memory is worth a row that says where it was allocated."""
    return cost.hidden_bytes >= HIDDEN_WORTH and cost.hidden_via is not None


def hidden(cost: LineCost) -> Message:
    """Return the row on what a library allocated inside of a line that no conversion explains."""
    file = short_path(cost.hidden_via or "")
    told = f"{file} allocated {format_bytes(cost.hidden_bytes)} that no conversion explains"
    return Message("warm", "unexplained", (told, "probably a cast made inside the library"))


def set_apart(cost: LineCost) -> Iterator[Message]:
    """Yield the row on memory that shows on a line and is not its own doing."""
    parts = tuple(
        _APART[kind].format(format_bytes(nbytes))
        for kind, nbytes in cost.apart
        if nbytes >= _APART_WORTH
    )
    if parts:
        yield Message("quiet", "set apart", parts)


def peak_text(peak: Peak | None) -> str:
    """Return the most memory held at one time, and what conversions had of it; empty if little."""
    if peak is None or peak.total < _PEAK_WORTH:
        return ""
    text = f"peak {format_bytes(peak.total)}"
    if not peak.converted_most:
        return text
    least, most = format_bytes(peak.converted_least), format_bytes(peak.converted_most)
    if peak.converted_most - peak.converted_least <= peak.converted_most // _EXACT:
        share = most
    else:
        share = f"{least} to {most}" if peak.converted_least else f"≤ {most}"
    return f"{text}, {share} of it converted"
