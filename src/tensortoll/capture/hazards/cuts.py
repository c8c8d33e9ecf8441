"""Arrays out of which the very line that made them cut a part: `torch.from_numpy(a)[:100]`.

The part holds the whole array as its base, so the whole is alive; but a write beside the part
changes nothing that anybody looks at.
"""

from __future__ import annotations

import re
import sys
import weakref
from functools import lru_cache
from types import FrameType
from typing import Any, Final

from tensortoll.capture.failures.evaluating import variables
from tensortoll.capture.hazards.aliases import Handed
from tensortoll.capture.text.sources import Sources
from tensortoll.model import Place

_CUT: Final = re.compile(r"(?:\.\w+(?:\([^()]*\))?)*\[(?!(?:None|np\.newaxis|[.:,\s])*\])")
"""What follows an expression that is cut at once; new axes leave all elements in."""


def as_kept(handed: Handed, sources: Sources) -> Handed | None:
    """Return a pair with the part that a name of the user's holds; None where none does.

    Args:
        handed: What a call made, and of what.
        sources: What counts as the user's code.
    """
    made = handed.result()
    if made is None or not _is_cut(handed.located.place):
        return handed
    for value in _values(sources):
        if type(value) is type(made) and _base(value) is made:
            return handed._replace(result=weakref.ref(value))
    return None


@lru_cache(maxsize=256)
def _is_cut(place: Place) -> bool:
    lines = (place.source.text or "").splitlines()
    if place.end_column is None or not 1 <= place.end_line <= len(lines):
        return False
    return _CUT.match(lines[place.end_line - 1], place.end_column) is not None


def _base(view: Any) -> Any:
    return getattr(view, "_base", None) if hasattr(view, "_base") else getattr(view, "base", None)


def _values(sources: Sources) -> list[Any]:
    """Return what the names of the user's innermost function stand for."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and sources.of(frame.f_code.co_filename) is None:
        frame = frame.f_back
    return [] if frame is None else list(variables(frame).values())
