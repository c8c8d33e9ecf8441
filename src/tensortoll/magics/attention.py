"""Where a line on a long cell's progress can be shown: to somebody who waits for it."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle, display

from tensortoll.capture.progress import Show, is_attended, terminal_line


def attention(shell: InteractiveShell) -> Show | None:
    """Return what shows a line below a running cell; None where nobody would see it."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return terminal_line()
    # Programs that run notebooks let no cell ask for input; frontends with a person do.
    return _Line() if is_attended() and getattr(kernel, "_allow_stdin", False) else None


class _Line:
    """A line in a notebook. It is written over, and empty in the end."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None

    def __call__(self, line: str) -> None:
        shown: dict[str, Any] = {"text/plain": line}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
