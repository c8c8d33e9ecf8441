"""What is said of a conversion that raised, and the line that works instead, tried out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

from tensortoll.capture.failures.evaluating import UNKNOWN
from tensortoll.capture.patching import silenced

TRIED_ON: Final = 1_000
"""Rows of a long array that a remedy is tried on."""
_LONGEST: Final = 60
_MODULES: Final = {"np": "numpy", "torch": "torch", "tf": "tensorflow", "jnp": "jax.numpy"}
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
    """Expressions with `{x}` for the operand, the best first."""
    operand: Any = UNKNOWN
    """What the remedies are tried on."""
    advice: str = ""
    """Told where no remedy is an expression that could be tried."""


def into(library: str, expression: str) -> str:
    """Return an expression with its array taken in by a library."""
    return WRAPPED.get(library, "{}").replace("{}", expression)


def worked(found: Diagnosis, argument: str) -> str:
    """Return the first remedy that works on the operand, as the user would write it."""
    shown = argument if 0 < len(argument) <= _LONGEST else "x"
    plain = shown.isidentifier() or shown.endswith((")", "]"))
    for remedy in found.remedies:
        if _works(remedy, found.operand):
            # Only a name or a call can be followed by a dot; all else needs brackets there.
            name = shown if plain or "{x}." not in remedy else f"({shown})"
            return remedy.replace("{x}", name)
    return found.advice


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
