"""Which code is the user's, and under what name its text is known."""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Callable
from pathlib import Path

from tensortoll.model import Source

Resolve = Callable[[str], Source | None]
"""Says which source a file name of a code object belongs to; None for code of others."""

_OWN = str(Path(__file__).resolve().parents[2])
_LIBRARIES = tuple(
    {
        str(Path(folder).resolve())
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (folder := sysconfig.get_path(name))
    }
)
TYPED_IN = ("<stdin>", "<string>", "<ipython-input-", "<python-input-")
"""File names that Python and IPython give to what is typed in or piped in."""
_PACKAGES = ("site-packages/", "dist-packages/", "site-packages\\", "dist-packages\\")


def is_library(filename: str) -> bool:
    """Say whether a code object's file is a library's, ours or nobody's (`<string>`)."""
    return (
        filename.startswith((*_LIBRARIES, _OWN, "<"))
        or any(part in filename for part in _PACKAGES)
        or not filename
    )


def is_own(filename: str) -> bool:
    """Say whether a code object is one of tensortoll's."""
    return filename.startswith(_OWN)


def short_file(filename: str) -> str:
    """Return a library's file from its package on: `torch/nn/functional.py`."""
    for part in _PACKAGES:
        _, found, rest = filename.rpartition(part)
        if found:
            return rest.replace("\\", "/")
    for folder in _LIBRARIES:
        if filename.startswith(folder):
            return filename[len(folder) :].replace("\\", "/").lstrip("/")
    return "/".join(filename.replace("\\", "/").split("/")[-2:])


class Sources:
    """The texts that conversions are charged to."""

    def __init__(self, resolve: Resolve) -> None:
        """Start with what ``resolve`` knows; it is asked once per file name."""
        self._resolve = resolve
        self._known: dict[str, Source | None] = {}

    def of(self, filename: str) -> Source | None:
        """Return the source a code object's file belongs to, or None where it is not the user's."""
        try:
            return self._known[filename]
        except KeyError:
            found = self._known[filename] = self._resolve(filename)
            return found

    def add(self, filename: str, source: Source) -> None:
        """Make ``filename`` one of the user's."""
        self._known[filename] = source


def only(filename: str, source: Source) -> Sources:
    """Return sources of one text: a script, a cell without a notebook."""
    found = Sources(lambda _: None)
    found.add(filename, source)
    return found


def all_but_libraries() -> Sources:
    """Return sources for code that nobody named: all files but those of libraries."""

    def resolve(filename: str) -> Source | None:
        if is_library(filename) and not filename.startswith(TYPED_IN):
            return None
        text = "".join(linecache.getlines(filename))
        return Source(_shown(filename), text or None)

    return Sources(resolve)


def _shown(filename: str) -> str:
    """Return a file as seen from the working folder, where it lies below it."""
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename
