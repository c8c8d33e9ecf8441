"""The only module that changes objects it does not own, and puts them back."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

_ABSENT: Final = object()
_SILENT: Final = ("ignore", None, Warning, None, 0)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Show no warnings in this block, which is our own work and not the user's.

    `warnings.catch_warnings` would make Python forget which warnings it has shown already, and
    show them again.
    """
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    filters.insert(0, _SILENT)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            filters.remove(_SILENT)


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

    def replace_item(self, owner: dict[Any, Any], key: object, make: Callable[[Any], Any]) -> None:
        """Set ``owner[key]``, where it is present, to what ``make`` builds around the original."""
        original = owner[key]
        owner[key] = make(original)
        self._stack.callback(owner.__setitem__, key, original)

    def add_item(self, owner: dict[Any, Any], key: object, value: object) -> None:
        """Set ``owner[key]``, which is absent, to ``value``; what others set there stays."""
        owner[key] = value
        self._stack.callback(lambda: owner.pop(key) if owner.get(key) is value else None)

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
