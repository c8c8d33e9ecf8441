"""The files that commands read and write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tensortoll.errors import TensortollError
from tensortoll.recording import Recording, load, merged

READS: Final = "recordings, as `tensortoll run --json F` writes them"


def loaded(path: Path) -> Recording:
    """Return the recording in a file.

    Raises:
        TensortollError: If there is none that can be read; the message names the file.
    """
    try:
        return load(path)
    except OSError as error:
        msg = f"can't read {str(path)!r}: {error.strerror or error}. Name {READS}."
        raise TensortollError(msg) from error


def sum_of(paths: Iterable[Path]) -> Recording:
    """Return the sum of the recordings in files; one is held at a time."""

    def each() -> Iterator[Recording]:
        for path in paths:
            yield loaded(path)

    return merged(each())


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
