"""The kernel's side of `tensortoll run NOTEBOOK.ipynb`."""

from __future__ import annotations

import itertools
from pathlib import Path

from IPython.core.getipython import get_ipython

from tensortoll import magics
from tensortoll.capture.observers import Observing
from tensortoll.recording import Recording
from tensortoll.store import write_document


def record_into(folder: str, memory: bool, time: bool) -> None:
    """Record every cell that is run from now on into a file of its own in ``folder``.

    Args:
        folder: Where the recordings go.
        memory: Whether to watch what each line allocates.
        time: Whether to time each line.
    """
    shell = get_ipython()
    if shell is None:
        msg = "there is no IPython shell to record"
        raise RuntimeError(msg)
    if magics.session_of(shell) is None:
        shell.run_line_magic("load_ext", "tensortoll")
    session = magics.session_of(shell)
    if session is None:
        msg = "the tensortoll extension could not be loaded"
        raise RuntimeError(msg)
    numbers = itertools.count()

    def write(recording: Recording, cell: str) -> None:
        document = {"ran": cell, "recording": recording.to_dict()}
        write_document(document, Path(folder) / f"{next(numbers):06}.json")

    session.sink = write
    session.observing = Observing(memory, time)
