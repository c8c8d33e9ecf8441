"""Placeholders in rewritten source, and the expressions that stand in their place once compiled."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import CodeType
from typing import Any, Final

from tensortoll.capture.hazards.writes import Flag
from tensortoll.capture.runtime.expressions import Expression
from tensortoll.capture.runtime.moments import Moment

PLACEHOLDER: Final = "\x00tensortoll expression "
"""How the constant begins that stands for an expression; its number follows."""
Baked = Expression | Moment | Flag
"""What a placeholder stands for."""
_numbers = itertools.count()


def new_number() -> int:
    """Return a number that nothing else in the process has."""
    return next(_numbers)


def placeholder(number: int) -> str:
    """Return the constant that stands for what is put in its place later."""
    return f"{PLACEHOLDER}{number}"


def baked(code: CodeType, expressions: Mapping[str, Baked]) -> CodeType:
    """Return ``code`` with every placeholder replaced by the expression it stands for."""
    if not expressions:
        return code
    constants = tuple(_baked_constant(constant, expressions) for constant in code.co_consts)
    if all(one is other for one, other in zip(constants, code.co_consts, strict=True)):
        return code
    return code.replace(co_consts=constants)


def _baked_constant(constant: Any, expressions: Mapping[str, Baked]) -> Any:
    if isinstance(constant, CodeType):
        return baked(constant, expressions)
    if isinstance(constant, str) and constant.startswith(PLACEHOLDER):
        return expressions.get(constant, constant)
    return constant
