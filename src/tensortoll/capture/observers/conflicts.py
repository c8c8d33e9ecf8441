"""Code that would not do the same while Python reports calls and lines: it is found by its text.

What is only mentioned is taken for used: not to observe a run is better than to change it.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import Final

from tensortoll.errors import UnavailableError

_HAS_MONITORING: Final = sys.version_info >= (3, 12)
_TRACING: Final = re.compile(
    r"\b(settrace|gettrace|set_trace|breakpoint|pdb|ipdb|bdb|debugpy|pydevd|coverage)\b|%debug\b"
)
_PROFILING: Final = re.compile(r"\b(cProfile|profile\.Profile|LineProfiler)\b|%l?prun\b|%%l?prun\b")
_BYTECODE: Final = re.compile(r"\b(dis|__code__|co_code|marshal)\b")
_RESIZING: Final = re.compile(r"(?:^|;)\s*[\w.\[\]]+\.resize\s*\(", re.MULTILINE)
_MAGIC: Final = re.compile(r"^\s*%%.*")


def refuse_memory(text: str) -> None:
    """Raise where memray would change what ``text`` does.

    Raises:
        UnavailableError: If so.
    """
    _refuse_counting(text)


def refuse_time(text: str) -> None:
    """Raise where line_profiler would change what ``text`` does, or the other way round.

    Raises:
        UnavailableError: If so.
    """
    if _HAS_MONITORING:
        if _PROFILING.search(text):
            msg = "the code profiles too, and Python has room for one profiler"
            raise UnavailableError(msg)
        return
    _refuse_counting(text)
    if found := _TRACING.search(text):
        msg = f"the code itself may trace lines ({found[0]}), and Python 3.11 has one tracer"
        raise UnavailableError(msg)


def reads_bytecode(text: str) -> bool:
    """Say whether a text looks at the bytecode of functions, which line_profiler makes longer."""
    return bool(_BYTECODE.search(text))


def _refuse_counting(text: str) -> None:
    # Python 3.11 binds each method that it reports, which is one more reference to its object.
    if _HAS_MONITORING:
        return
    if ".resize" in text and _resizes(text):
        msg = "`ndarray.resize` refuses to work while Python 3.11 reports calls"
        raise UnavailableError(msg)
    if "getrefcount" in text:
        msg = "reference counts are others while Python 3.11 reports calls"
        raise UnavailableError(msg)


def _resizes(text: str) -> bool:
    """Say whether a text calls a `resize` that returns nothing, as that of arrays."""
    try:
        tree = ast.parse(_MAGIC.sub("", text))
    except (SyntaxError, ValueError, RecursionError):  # with `%magics`, or no Python
        return bool(_RESIZING.search(text))
    return any(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "resize"
        for node in ast.walk(tree)
    )
