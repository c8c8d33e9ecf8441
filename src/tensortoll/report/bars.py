"""Bars of block characters."""

from __future__ import annotations

from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LEVELS: Final = " ▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Return a bar over part of `width` characters, in eighths of one; upright if that is 1.

    Whatever is more than nothing is at least an eighth.

    Args:
        share: 0 to 1.
        width: At least 1.
    """
    eighths = min(round(share * width * 8), width * 8) or int(share > 0)
    if width == 1:
        return _LEVELS[eighths]
    full, rest = divmod(eighths, 8)
    return ("█" * full + _EIGHTHS[rest]).rstrip().ljust(width)
