"""The failures of one watch: looked into as they are noticed, kept as numbers and strings."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.failures.attempts import Attempt, attempt
from tensortoll.capture.failures.diagnosis import Diagnosis, explained, told
from tensortoll.capture.failures.mismatches import (
    devices_apart,
    dtypes_apart,
    not_cast,
    number_of_another_kind,
)
from tensortoll.capture.failures.refused import is_of_arrays, refused
from tensortoll.capture.failures.stored import refused_by_store
from tensortoll.capture.failures.symbols import symbolic, too_large
from tensortoll.capture.failures.tensors import LEAVING, out_of_torch
from tensortoll.capture.text.sources import Sources
from tensortoll.model import Failure, Place

KEPT: Final = 1_000
"""Places that are told apart."""
LOOKED_AT: Final = 3
"""Errors of one place that are looked into; a loop that fails all the time fails for one reason."""
_ERRORS: Final = (TypeError, ValueError, RuntimeError, OverflowError, BufferError, AttributeError)
_LIBRARIES: Final = frozenset(("tensorflow", "torch", "jax", "keras", "pandas", "pyarrow"))

Rule = Callable[[Attempt], Diagnosis | None]
RULES: Final[tuple[Rule, ...]] = (
    symbolic,
    too_large,
    out_of_torch,
    devices_apart,
    dtypes_apart,
    not_cast,
    number_of_another_kind,
    refused,
    refused_by_store,
)
"""Asked in this order; the first that knows the cause has the word."""


class Failures:
    """What raised while the watch was on. Holds no error, frame or array."""

    def __init__(self, sources: Sources, recorder: Recorder) -> None:
        """Start without any.

        Args:
            sources: What counts as the user's code.
            recorder: Told of our own errors; it counts nothing of what is tried.
        """
        self._sources = sources
        self._recorder = recorder
        self._found: dict[tuple[Any, ...], Failure] = {}
        self._seen: dict[tuple[Any, ...], int] = {}
        self._spots: dict[tuple[object, ...], int] = {}
        self._lock = threading.Lock()

    @property
    def found(self) -> tuple[Failure, ...]:
        """The failures so far."""
        with self._lock:
            return tuple(self._found.values())

    def notice(self, error: BaseException, given: tuple[Place, Any] | None = None) -> None:
        """Look into an error of the user's code; what is no failed conversion is let go.

        Args:
            error: As it was caught. It is left as it is.
            given: The last rewritten call that did not return, and what it was given.
        """
        if not isinstance(error, _ERRORS) and not _is_of_a_library(error):
            return
        table = self._recorder.local.table
        table.quiet += 1  # what works instead is tried, and that is no conversion of the user's
        try:
            self._look(error, given)
        except Exception as ours:
            self._recorder.fault("looking into an error", ours)
        finally:
            table.quiet -= 1

    def _look(self, error: BaseException, given: tuple[Place, Any] | None) -> None:
        # To find out what was attempted takes some 50 µs, and a loop may catch a million errors.
        spot = self._spot(error)
        with self._lock:
            times = self._spots[spot] = self._spots.get(spot, 0) + 1
        if times > LOOKED_AT:
            return
        found = attempt(error, self._sources, given)
        if found is None:
            return
        key = (found.source, found.line, found.expression, type(error))
        with self._lock:
            times = self._seen[key] = self._seen.get(key, 0) + 1
        if times > LOOKED_AT or len(self._seen) > KEPT:
            return
        diagnosis = diagnosed(found)
        if diagnosis is None:
            return
        explanation, remedy = explained(diagnosis, found.written(diagnosis.operand))
        failure = Failure(
            found.source,
            found.line,
            found.expression,
            f"{type(error).__name__}: {_short(found)}",
            diagnosis.cause,
            explanation,
            remedy,
        )
        with self._lock:
            self._found.setdefault((*key, diagnosis.cause), failure)

    def _spot(self, error: BaseException) -> tuple[object, ...]:
        """Return the user's innermost instruction that an error came through, and its type."""
        entry, spot = error.__traceback__, None
        while entry is not None:
            code = entry.tb_frame.f_code
            if self._sources.of(code.co_filename) is not None:
                spot = code.co_filename, code.co_qualname, code.co_firstlineno, entry.tb_lasti
            entry = entry.tb_next
        return spot, type(error)


def diagnosed(found: Attempt) -> Diagnosis | None:
    """Return why a conversion raised; None for an error that is none of a conversion's."""
    for rule in RULES:
        diagnosis = rule(found)
        if diagnosis is not None:
            return diagnosis
    return _otherwise(found)


def _otherwise(found: Attempt) -> Diagnosis | None:
    """Tell of a conversion that raised for a reason of its own: a shape, a buffer's size."""
    if not _asks(found):
        return None
    every = {id(one): one for one in found.operands}.values()
    arrays = [one for one in every if hasattr(one, "shape") and not isinstance(one, type)]
    shapes = [told(tuple(one.shape)) for one in arrays[:3]]
    what = "an array of shape" if len(shapes) == 1 else "arrays of the shapes"
    told_of = f" It was given {what} {', '.join(shapes)}." if shapes else ""
    said = _short(found)
    stop = "" if said.endswith((".", "…", "!", "?")) else "."
    return Diagnosis("other", f"The library refused it: {said}{stop}{told_of}")


_NAMED: Final = LEAVING - frozenset(
    "float int bool list stack concatenate save savez Series DataFrame".split()
) | {"copy_"}

_NUMBERS: Final = frozenset(("float", "int", "complex"))
"""What makes one Python number of an array."""

_MISCALLED: Final = (
    "unexpected keyword",
    "positional argument",
    "missing required",
    "invalid comb",
)


def _asks(found: Attempt) -> bool:
    """Say whether the user's own call is one that converts, and was given something to convert."""
    if isinstance(found.error, AttributeError) or any(one in found.text for one in _MISCALLED):
        return False
    libraries = {"torch", "tensorflow", "numpy", "jax", "keras", "pyarrow", "PIL"}
    arrays = [one for one in found.operands if hasattr(one, "dtype")]
    if found.library == "builtins":
        # Of several elements; one that is text is a Python object already.
        return found.name in _NUMBERS and any(getattr(one, "shape", ()) for one in arrays)
    converts = is_of_arrays(found) or found.name in _NAMED
    return converts and (found.library in libraries or (not found.library and bool(arrays)))


def _is_of_a_library(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _LIBRARIES or (
        isinstance(error, AssertionError) and "CUDA" in str(error)
    )


_LONGEST: Final = 300
"""Characters of a library's message that are kept."""


_COLOURS: Final = re.compile(r"\x1b\[[\d;]*m")
_IN_TRACED_CODE: Final = "in user code:"
_IN_A_LAYER: Final = "Exception encountered when calling"


def _short(found: Attempt) -> str:
    """Return the line of a message that says what is wrong; Keras and AutoGraph first say where."""
    message = _COLOURS.sub("", found.text).partition("Arguments received by")[0]
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    if first.startswith(_IN_TRACED_CODE):
        first = lines[-1].removeprefix(f"{type(found.error).__name__}: ")
    elif first.startswith(_IN_A_LAYER) and len(lines) > 1:
        first = lines[1]
    return first if len(first) <= _LONGEST else f"{first[: _LONGEST - 1]}…"
