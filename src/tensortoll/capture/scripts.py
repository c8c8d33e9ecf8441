"""Run a script file watched, as `python SCRIPT ARGS…` would run it."""

from __future__ import annotations

import builtins
import sys
import threading
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tensortoll.capture.counting.tracing import Ring
from tensortoll.capture.observers import Observing
from tensortoll.capture.running import run
from tensortoll.capture.runtime.evidence import Evidence
from tensortoll.capture.watch import NOTHING
from tensortoll.errors import TensortollError
from tensortoll.recording import Recording

FAILED_STATUS = 1


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """What came of running a script."""

    recording: Recording
    error: BaseException | None
    evidence: Evidence | None = None
    """What the conversions were handed; None where nothing was run."""
    namespace: Mapping[str, Any] = field(default_factory=dict)
    """The script's globals."""

    def end(self) -> int:
        """Show what the script raised as Python would, and return its exit status.

        Raises:
            KeyboardInterrupt: If that ended the script, so that the shell sees it too.
        """
        error = self.error
        if error is None:
            return 0
        if isinstance(error, SystemExit):
            return _status(error)
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            # Python ends itself by the signal, so that the shell sees it; it was shown already.
            sys.excepthook = lambda *_: None
            raise KeyboardInterrupt
        return FAILED_STATUS


def _status(error: SystemExit) -> int:
    """Return the exit status of `sys.exit(…)`: a text is printed, and means failure."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return FAILED_STATUS


def run_script(
    path: Path,
    arguments: Sequence[str],
    observing: Observing = NOTHING,
    *,
    ring: Ring | None = None,
) -> ScriptOutcome:
    """Run the script at ``path`` watched, and observed as is asked for.

    Args:
        path: The script.
        arguments: Its own.
        observing: What is observed beside the conversions.
        ring: Keeps single events too.

    Raises:
        TensortollError: If the file can't be read as Python source; nothing was run.
    """
    try:
        with tokenize.open(path) as file:  # in the encoding that the file declares
            text = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read as Python source: {error}"
        raise TensortollError(msg) from error
    with _as_main(path, arguments) as module:
        try:
            outcome = run(
                text,
                str(path),
                vars(module),
                filename=str(path.absolute()),
                before_end=_wait_for_threads,
                observing=observing,
                ring=ring,
            )
        except SyntaxError as error:
            return ScriptOutcome(Recording(), error.with_traceback(None))
    return ScriptOutcome(outcome.recording, outcome.error, outcome.evidence, vars(module))


@contextmanager
def _as_main(path: Path, arguments: Sequence[str]) -> Iterator[ModuleType]:
    """Be the process that the script expects: its `__main__`, its arguments, its folder."""
    module = ModuleType("__main__")
    # Python shows the script's full path in tracebacks, but leaves the argument as it was given.
    vars(module).update(__file__=str(path.absolute()), __builtins__=builtins, __spec__=None)
    before = sys.modules["__main__"], sys.argv, sys.path[0]
    sys.modules["__main__"] = module
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        yield module
    finally:
        # The module stays: what the script leaves for the end of the process may need it.
        sys.argv, sys.path[0] = before[1:]


def _wait_for_threads() -> None:
    """Wait as Python does at its end: the script's threads are part of it."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
