"""Run a text watched, and say what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensortoll.advice import advised
from tensortoll.capture.observers import Observing
from tensortoll.capture.running import run
from tensortoll.capture.watch import Watch
from tensortoll.model import Source
from tensortoll.recording import Recording


def run_source(
    text: str,
    name: str = "<cell>",
    namespace: dict[str, Any] | None = None,
    *,
    memory: bool = True,
    time: bool = True,
) -> Recording:
    """Run ``text`` as `%%tensorcost` runs a cell, without a notebook, and return what was seen.

    Args:
        text: Python source.
        name: Stands in the recording and in tracebacks.
        namespace: The globals to run in; a new `__main__` where None.
        memory: Whether to watch what each line allocates.
        time: Whether to time each line.

    Raises:
        SyntaxError: If ``text`` is no Python; nothing was run.
        AlreadyWatchingError: If a watch is on; nothing was run.
        BaseException: What the text raised, once the watch has ended.
    """
    space = {"__name__": "__main__"} if namespace is None else namespace
    outcome = run(text, name, space, observing=Observing(memory, time))
    if outcome.error is not None:
        raise outcome.error
    return advised(outcome.recording, outcome.evidence, space)


def recorded(watch: Watch, source: Source, namespace: Mapping[str, Any]) -> Recording:
    """Return what a watch that has ended saw of a source, and what to write instead."""
    return advised(watch.recording((source,)), watch.evidence, namespace)
