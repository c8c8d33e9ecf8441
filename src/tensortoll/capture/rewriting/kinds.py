"""What stands for an expression at run time, by its rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tensortoll.capture.counting.recorder import Located
from tensortoll.capture.rewriting import handing
from tensortoll.capture.runtime import naming, reading, storing
from tensortoll.capture.runtime.expressions import Expression
from tensortoll.capture.runtime.taking import Taking

_KINDS: Final[Mapping[str, type[Expression]]] = {
    "take": Taking,
    handing.RULE: handing.Handing,
    naming.RULE: naming.Naming,
    reading.RULE: reading.Reading,
    **dict.fromkeys(storing.RULES, storing.Storing),
}
CONVERTING: Final = (Expression, storing.Storing)
"""Those that convert by themselves; the others only look at what hooks count."""


def expression_of(number: int, located: Located, rule: str) -> Expression:
    """Return what stands for an expression with a rule of `rewrites.Rewrites`, or of its own."""
    return _KINDS.get(rule, Expression)(number, located, rule)
