"""What is said of a conversion that raised, and the line that works instead, tried out."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import Any, Final

from tensortoll.capture.failures.evaluating import UNKNOWN
from tensortoll.capture.patching import silenced

NOTE: Final = "  # "
"""Between a remedy and what it changes of the data, which is told with the explanation."""
TRIED_ON: Final = 1_000
"""Rows of a long array that a remedy is tried on."""
_LONGEST: Final = 60
_MODULES: Final = {
    "np": "numpy",
    "pd": "pandas",
    "torch": "torch",
    "tf": "tensorflow",
    "jnp": "jax.numpy",
}
_CLOSED: Final = (
    ast.Name,
    ast.Attribute,
    ast.Call,
    ast.Subscript,
    ast.List,
    ast.Dict,
    ast.ListComp,
)
"""Expressions that a dot or an operator can follow without brackets."""
WRAPPED: Final = {
    "torch": "torch.tensor({})",
    "tensorflow": "tf.constant({})",
    "keras": "tf.constant({})",
    "jax": "jnp.asarray({})",
}
"""How a library takes an array in, by its import name; NumPy's own are arrays already."""


@dataclass(frozen=True)
class Diagnosis:
    """Why a conversion raised."""

    cause: str
    explanation: str
    remedies: tuple[str, ...] = ()
    """Expressions with `{x}` for the operand, the best first; see `NOTE`."""
    operand: Any = UNKNOWN
    """What the remedies are tried on."""
    advice: str = ""
    """Told where no remedy is an expression that could be tried."""


def into(library: str, expression: str) -> str:
    """Return an expression with its array taken in by a library."""
    code, mark, note = expression.partition(NOTE)
    return WRAPPED.get(library, "{}").replace("{}", code) + mark + note


def explained(found: Diagnosis, argument: str) -> tuple[str, str]:
    """Return what is told, and the first remedy that works on the operand, as the user writes it.

    Args:
        found: Why the conversion raised.
        argument: The operand as the user wrote it; empty where that is not known.
    """
    known = 0 < len(argument) <= _LONGEST
    shown = argument if known else "x"
    is_closed = isinstance(ast.parse(shown, mode="eval").body, _CLOSED)
    for remedy in found.remedies:
        if _works(remedy, found.operand):
            code, _, note = remedy.partition(NOTE)
            followed = any(one in code for one in ("{x}.", "{x} ", "{x}["))
            stands = "" if known or "{x}" not in code else "x stands for what was to be converted"
            notes = "; ".join(one for one in (note, stands) if one)
            told_of = f" With what follows, {notes}." if notes else ""
            name = shown if is_closed or not followed else f"({shown})"
            return f"{found.explanation}{told_of}", code.replace("{x}", name)
    return found.explanation, found.advice


def _works(remedy: str, operand: Any) -> bool:
    """Try a remedy, made of the libraries' own functions, on the operand or its first rows."""
    if operand is UNKNOWN:
        return False
    names: dict[str, Any] = {
        name: sys.modules[module] for name, module in _MODULES.items() if module in sys.modules
    }
    names["operand"] = _head(operand)
    try:
        with silenced():
            eval(remedy.replace("{x}", "operand"), names)
    except Exception:
        return False
    return True


def _head(operand: Any) -> Any:
    try:
        return operand[:TRIED_ON] if len(operand) > TRIED_ON else operand
    except TypeError:  # without a length, or with nothing to cut
        return operand


def told(value: Any) -> str:
    """Return a value as text of a bounded length."""
    try:
        text = repr(value)
    except Exception:
        text = type(value).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
