"""Limits that hold while code runs: the line that breaks one gets an error or a warning.

While a guard is on, the thread that entered it counts into a table of its own (`counting`), whose
groups tell each addition to the guards of the running task (`scopes`). The user's line hears of a
broken limit once all that it had called has returned (`verge`). No other thread, and no code
outside of a guard, runs a different instruction for it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from tensortoll.capture.text.sources import all_but_libraries
from tensortoll.capture.watch import Watch, current
from tensortoll.errors import AlreadyWatchingError
from tensortoll.guarding import counting, verge
from tensortoll.guarding.scopes import SCOPES, Failures, Scope
from tensortoll.limits import SUBJECTS, Limit, Subject, limit


def guard(
    *,
    copies: str | int | None = None,
    casts: str | int | None = None,
    transfers: str | int | None = None,
    failures: Failures = "raise",
) -> Guarded:
    """Return a context manager in which no more than this may be converted.

    ```python
    with tensortoll.guard(copies="16 MB", casts=0, transfers=0):
        train(model, arrays)
    ```

    The line that goes beyond a limit gets a `LimitError` that names the conversion, once what the
    line had called has returned. Guards can be nested: each adds up what happens inside of it. A
    guard holds for its own thread and task, and the tasks that are started in it. It sees what
    `tensortoll.record` sees, and NumPy's own methods too in a watched cell, script or test.

    Args:
        copies: The most bytes that copies may write.
        casts: How many conversions may change the dtype; or a size, for the bytes they write.
        transfers: The same, for conversions that change the device.
        failures: `"raise"`, or `"warn"` for a `LimitWarning` per line.

    Raises:
        ValueError: If a limit is no number and no size.
    """
    given: dict[Subject, str | int | None] = {
        "copies": copies,
        "casts": casts,
        "transfers": transfers,
    }
    limits = tuple(limit(name, most) for name, most in given.items() if most is not None)
    return Guarded(limits, failures=failures)


def allow(*subjects: Subject) -> Guarded:
    """Return a context manager in which the guards around it count nothing.

    Args:
        subjects: `"copies"`, `"casts"`, `"transfers"`; all of them where none is named.

    Raises:
        ValueError: If there is no such subject.
    """
    unknown = sorted(set(subjects).difference(SUBJECTS))
    if unknown:
        message = f"allow() knows {', '.join(SUBJECTS)}; not {', '.join(map(repr, unknown))}"
        raise ValueError(message)
    return Guarded((), frozenset(subjects or SUBJECTS))


class Guarded:
    """A guard, or an allowance inside of one. A context manager that can be entered again."""

    def __init__(
        self,
        limits: tuple[Limit, ...],
        allowed: frozenset[Subject] = frozenset(),
        failures: Failures = "raise",
    ) -> None:
        """Prepare; nothing is changed before it is entered."""
        if failures not in {"raise", "warn"}:
            message = f"failures is 'raise' or 'warn', not {failures!r}"
            raise ValueError(message)
        self._made = limits, allowed, failures
        self._entered: list[tuple[Scope, Token[tuple[Scope, ...]]]] = []

    def __enter__(self) -> Self:
        """Hold the limits from here on, in this thread and task."""
        _WATCH.begin()
        scope = Scope(*self._made)
        self._entered.append((scope, SCOPES.set((*SCOPES.get(), scope))))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; an error goes on its way."""
        scope, token = self._entered.pop()
        scope.end()
        with suppress(ValueError):  # entered in another context: a cell's, that has ended
            SCOPES.reset(token)
        _WATCH.end()
        unraised = scope.unraised if error is None else None
        verge.restore(sys._getframe(1), error)
        if unraised is not None:
            raise unraised


class _SharedWatch:
    """The watch that guards need: the one that is on, or else one for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: Watch | None = None
        self._guards = 0

    def begin(self) -> None:
        """Have this thread count for its guards."""
        with self._lock:
            watch = current() or self._started()
            self._guards += 1
        counting.begin(watch.recorder)

    def _started(self) -> Watch:
        watch = Watch(all_but_libraries())
        try:
            watch.start()
        except AlreadyWatchingError:  # another thread was faster
            other = current()
            if other is None:
                raise
            return other
        self._own = watch
        return watch

    def end(self) -> None:
        """Count as before; the last guard to end stops the watch that the first one started."""
        counting.end()
        with self._lock:
            self._guards -= 1
            if self._guards == 0 and self._own is not None:
                self._own.stop()
                self._own = None


_WATCH: Final = _SharedWatch()
