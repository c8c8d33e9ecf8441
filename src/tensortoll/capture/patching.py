"""The only module that changes objects it does not own, and puts them back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

_ABSENT: Final = object()


class Patches:
    """What was changed while a watch is on; everything is undone in reverse order."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self._stack = ExitStack()
        self._originals: dict[int, tuple[object, object]] = {}

    def replace(self, owner: object, name: str, make: Callable[[Any], Any]) -> None:
        """Set ``owner.name`` to what ``make`` builds around the original.

        An attribute that was inherited is inherited again afterwards.
        """
        original = getattr(owner, name)
        own = vars(owner).get(name, _ABSENT)
        replacement = make(original)

        def restore() -> None:
            if own is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        setattr(owner, name, replacement)
        self._stack.callback(restore)
        self._originals[id(replacement)] = (replacement, original)

    def at_end(self, undo: Callable[[], object]) -> None:
        """Have ``undo`` called when everything else after it has been undone."""
        self._stack.callback(undo)

    def original(self, value: object) -> object:
        """Return what ``value`` replaced, or ``value`` itself where it is no replacement."""
        replacement, original = self._originals.get(id(value), (None, None))
        return original if replacement is value else value

    def undo(self) -> None:
        """Put everything back; does nothing the second time."""
        self._stack.close()
