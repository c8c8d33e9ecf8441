"""Every error that tensortoll raises on purpose. Imports nothing, so every module may import it."""

from __future__ import annotations


class TensortollError(Exception):
    """Base class: catch this to catch all of them."""


class RecordingFormatError(TensortollError, ValueError):
    """A stored recording can't be read: foreign, damaged, or of a newer version."""


class AlreadyWatchingError(TensortollError, RuntimeError):
    """A second watch was started inside the first; a process has one at a time."""


class MissingLibraryError(TensortollError, ImportError):
    """A command needs a library that is not installed; the message names the extra with it."""


class NotebookError(TensortollError, ValueError):
    """A file that should be a notebook is none."""
