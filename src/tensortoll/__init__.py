"""See and cut what tensor conversions cost.

In a notebook: `%load_ext tensortoll`, then `%%tensorcost` at the top of a cell, or
`%convcheck EXPRESSION`. In a shell: `tensortoll run train.py`. In Python: `record`,
`run_source` and `check`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from tensortoll.advice.running import run_source as run_source
    from tensortoll.capture.block import record as record
    from tensortoll.capture.checking import check as check
    from tensortoll.errors import LimitError as LimitError
    from tensortoll.errors import LimitWarning as LimitWarning
    from tensortoll.errors import TensortollError as TensortollError
    from tensortoll.guarding import allow as allow
    from tensortoll.guarding import guard as guard
    from tensortoll.recording import Recording as Recording
    from tensortoll.recording import load as load
    from tensortoll.recording import merged as merged
    from tensortoll.verdict import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "LimitError": "tensortoll.errors",
    "LimitWarning": "tensortoll.errors",
    "Recording": "tensortoll.recording",
    "TensortollError": "tensortoll.errors",
    "Verdict": "tensortoll.verdict",
    "allow": "tensortoll.guarding",
    "check": "tensortoll.capture.checking",
    "guard": "tensortoll.guarding",
    "load": "tensortoll.recording",
    "merged": "tensortoll.recording",
    "record": "tensortoll.capture.block",
    "run_source": "tensortoll.advice.running",
}
"""Where the public names stand. They are looked up when first used: importing us stays cheap."""

__all__ = [  # noqa: PLE0604 - all of them are strings
    *_HOMES,
    "load_ipython_extension",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *_HOMES))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: `%load_ext tensortoll`. IPython is imported here and not before."""
    from tensortoll.magics import register

    register(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away: `%unload_ext tensortoll`."""
    from tensortoll.magics import unregister

    unregister(shell)
