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


class LimitError(TensortollError, RuntimeError):
    """A guard's limit was broken, at the line where this was raised.

    What broke it had ended by then: nothing was left half done.
    """

    def __init__(self, message: str, conversion: object = None) -> None:
        """Say what broke which limit; ``conversion`` is the row of it, a `model.Conversion`."""
        super().__init__(message)
        self.conversion = conversion


class LimitWarning(UserWarning):
    """A guard's limit was broken, where the guard was asked to warn and no more."""


class UnavailableError(TensortollError, RuntimeError):
    """Something that would watch the code can't run here and now; the message says why."""


class TargetError(TensortollError, ValueError):
    """A way was asked for to something that is no target, or from something that is no array."""
