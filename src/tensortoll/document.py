"""A JSON object whose values are looked at before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

from tensortoll.errors import RecordingFormatError

_LARGEST: Final = 2**64 - 1
"""Addresses need all of it; no sum of bytes or nanoseconds comes near."""
_SHOWN: Final = 40
_Word = TypeVar("_Word", bound=str)


class Item:
    """One JSON object and where it stands in its document.

    Every method raises `RecordingFormatError` for a value of another type or out of range, and,
    where it has no default, for one that is missing. A null counts as missing.
    """

    __slots__ = ("at", "values")

    def __init__(self, values: object, at: str = "") -> None:
        if not isinstance(values, dict):
            refuse(at or "the document", values, "an object")
        self.values: Mapping[str, object] = values
        self.at = at

    def path(self, key: str) -> str:
        """Return where a key stands, as a person would look for it: `conversions[3].from`."""
        return f"{self.at}.{key}" if self.at else key

    def has(self, key: str) -> bool:
        """Return whether there is a value other than null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None, *, low: int = 0) -> int:
        """Return a whole number from `low` up to what 64 bits hold."""
        value = self._value(key, default)
        # A bool is an int to Python, but none to whoever wrote the document.
        if type(value) is not int or not low <= value <= _LARGEST:
            refuse(self.path(key), value, f"a whole number from {low} to {_LARGEST}")
        return value

    def optional_integer(self, key: str) -> int | None:
        """Return a whole number, or None if there is none."""
        return self.integer(key) if self.has(key) else None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text."""
        value = self._value(key, default)
        if not isinstance(value, str):
            refuse(self.path(key), value, "a text")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a text, or None if there is none."""
        return self.text(key) if self.has(key) else None

    def truth(self, key: str) -> bool:
        """Return true or false."""
        value = self._value(key, None)
        if not isinstance(value, bool):
            refuse(self.path(key), value, "true or false")
        return value

    def word(self, key: str, known: Mapping[str, _Word]) -> _Word:
        """Return a text that is one of a few."""
        return self._known(key, self.text(key), known)

    def words(self, key: str, known: Mapping[str, _Word]) -> tuple[_Word, ...]:
        """Return the texts of a list, each one of a few, sorted by name and each once."""
        return tuple(sorted({self._known(key, one, known) for one in self.texts(key)}))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list; a missing list is an empty one."""
        values = self._list(key, [])
        for value in values:
            if not isinstance(value, str):
                refuse(self.path(key), value, "only texts")
        return tuple(map(str, values))

    def integers(self, key: str) -> tuple[int, ...]:
        """Return the whole numbers of a list, none below 0."""
        numbers = []
        for value in self._list(key, None):
            if type(value) is not int or not 0 <= value <= _LARGEST:
                refuse(self.path(key), value, f"only whole numbers from 0 to {_LARGEST}")
            numbers.append(value)
        return tuple(numbers)

    def child(self, key: str) -> Item:
        """Return an object that stands in this one."""
        return Item(self._value(key, None), self.path(key))

    def optional_child(self, key: str) -> Item:
        """Return an object that stands in this one, an empty one if it is missing."""
        return self.child(key) if self.has(key) else Item({}, self.path(key))

    def children(self, key: str, *, required: bool = False) -> list[Item]:
        """Return the objects of a list; a missing list is an empty one unless it is required."""
        values = self._list(key, None if required else [])
        return [Item(one, f"{self.path(key)}[{n}]") for n, one in enumerate(values)]

    def _value(self, key: str, default: object) -> object:
        value = self.values.get(key)
        if value is not None:
            return value
        if default is None:
            message = f"{self.path(key)} is missing"
            raise RecordingFormatError(message)
        return default

    def _list(self, key: str, default: object) -> list[object]:
        value = self._value(key, default)
        if not isinstance(value, list):
            refuse(self.path(key), value, "a list")
        return value

    def _known(self, key: str, text: str, known: Mapping[str, _Word]) -> _Word:
        word = known.get(text)
        if word is None:
            refuse(self.path(key), text, "one of " + ", ".join(known))
        return word


def refuse(path: str, value: object, wanted: str) -> NoReturn:
    """Raise the error that says where a value stands, what it is and what it should be.

    Raises:
        RecordingFormatError: Always.
    """
    if isinstance(value, dict | list):
        # Its own text could be as large as the document, or nested too deeply to be written.
        found = "an object" if isinstance(value, dict) else "a list"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        found = "a larger number"  # Python refuses to write one of thousands of digits.
    else:
        found = ascii(value)
        if len(found) > _SHOWN:
            found = found[:_SHOWN] + "..."
    message = f"{path} is {found}, where {wanted} should be"
    raise RecordingFormatError(message)
