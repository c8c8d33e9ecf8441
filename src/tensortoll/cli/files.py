"""The files that commands read and write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

from tensortoll import recording
from tensortoll.errors import TensortollError
from tensortoll.recording import Recording, load, merged

READS: Final = "recordings, as `tensortoll run --json F` writes them"
MOST_PROCESSES: Final = 8
WORTH_A_PROCESS: Final = 50
"""Files from which on it pays to start another process."""


def loaded(path: Path) -> Recording:
    """Return the recording in a file.

    Raises:
        TensortollError: If there is none that can be read; the message names the file.
    """
    try:
        return load(path)
    except OSError as error:
        raise _unreadable(error) from error


def sum_of(paths: Sequence[Path]) -> Recording:
    """Return the sum of the recordings in files; many of them are read by several processes.

    Each process holds its sum and one recording.

    Raises:
        TensortollError: If a file can't be read; the message names it.
    """
    processes = min(os.cpu_count() or 1, MOST_PROCESSES, len(paths) // WORTH_A_PROCESS)
    if processes > 1:
        shares = [paths[number::processes] for number in range(processes)]
        try:
            with ProcessPoolExecutor(processes) as pool:
                return merged(pool.map(_sum_of, shares))
        except (OSError, NotImplementedError, BrokenProcessPool):
            pass  # no processes to be had here: slower, and the same sum
    return _sum_of(paths)


def _sum_of(paths: Sequence[Path]) -> Recording:
    try:
        return recording.sum_of(paths)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> TensortollError:
    return TensortollError(
        f"can't read {str(error.filename)!r}: {error.strerror or error}. Name {READS}."
    )


def write_text(text: str, path: Path) -> None:
    """Write a text to a file.

    Raises:
        TensortollError: If it can't be written; the message names the file.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> TensortollError:
    """Return the error for a file that can't be written."""
    return TensortollError(f"can't write {str(path)!r}: {error.strerror or error}.")
