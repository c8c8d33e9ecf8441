"""What counting one conversion costs on this machine: measured, for the report's last line."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from tensortoll.capture.counting.recorder import NOWHERE
from tensortoll.capture.runtime.expressions import Expression
from tensortoll.capture.text.sources import Sources, only
from tensortoll.model import Source

ROUNDS: Final = 400
WORTH: Final = 500
"""Conversions from which on the hooks' own cost is worth knowing: about a millisecond."""

_NAME: Final = "<calibration>"
_LOOPS: Final = {
    "torch": "for _ in range(n): torch.from_numpy(a).numpy(); torch.tensor(a).double()",
    "tensorflow": "for _ in range(n): tensorflow.constant(a).numpy()",
    "numpy": "for _ in range(n): e.made(e.given(a).copy())",
}
"""Conversions as small as they come; NumPy's as they are when rewritten."""
LIBRARIES: Final = tuple(sorted(_LOOPS))
"""Those whose cost can be measured."""
PER_ROUND: Final = {"torch": 4, "tensorflow": 2, "numpy": 1}

Watching = Callable[[Sources], Any]


def event_ns(watching: Watching, library: str) -> int:
    """Return what one conversion of a library costs more under a watch.

    Measured once per process and library, in a few milliseconds; 0 for a library without hooks.

    Args:
        watching: Makes a context manager that watches its block.
        library: Import name.
    """
    return _measured(watching, library) if library in _LOOPS else 0


def measured_event_ns(watching: Watching, library: str) -> int:
    """Return what one conversion of a library costs more under a watch, measured now."""
    from importlib import import_module

    import numpy as np

    text = _LOOPS[library]
    names = {
        library: import_module(library),
        "a": np.zeros(8, np.float32),
        "n": ROUNDS,
        "e": Expression(-1, NOWHERE, "convert"),
    }
    code = compile(text, _NAME, "exec", dont_inherit=True)
    exec(code, names)
    plain = _elapsed(code, names)
    with watching(only(_NAME, Source(_NAME, text))):
        exec(code, names)
        watched = _elapsed(code, names)
    return max(0, watched - plain) // (PER_ROUND[library] * ROUNDS)


_measured: Final = cache(measured_event_ns)


def _elapsed(code: Any, names: dict[str, Any]) -> int:
    started = time.perf_counter_ns()
    exec(code, names)
    return time.perf_counter_ns() - started
