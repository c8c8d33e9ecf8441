"""Pairs of arrays in the same memory, as a conversion of the user's made them."""

from __future__ import annotations

import ast
import re
import weakref
from collections.abc import Callable
from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Located
from tensortoll.capture.hazards.contents import checksum, is_readable, shares_elements
from tensortoll.capture.hazards.sides import (
    BufferSide,
    ObjectSide,
    Side,
    StorageSide,
    held_by_array,
)
from tensortoll.capture.text.signs import parsed
from tensortoll.model import Place

Describe = Callable[[object], Seen | None]
"""Returns an array of any library in numbers."""

_TARGET: Final = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?::[^=]*)?=\s*$")


class Alias:
    """One pair. Holds weak references only."""

    __slots__ = ("_result", "names", "origin", "place", "result", "state", "versions")

    def __init__(
        self, located: Located, origin: Side, result: Side, reference: weakref.ref[Any]
    ) -> None:
        """Keep a pair.

        Args:
            located: Where it was made.
            origin: What was converted.
            result: What it became.
            reference: To that.
        """
        self.place = located.place
        self.names = names_of(located)
        self.origin = origin
        self.result = result
        self._result = reference
        self.state: tuple[int, int] | None = None
        """The checksum at the last look."""
        self.versions: tuple[int | None, int | None] = (None, None)

    def is_alive(self) -> bool:
        """Say whether both ends are within somebody's reach."""
        return self.result.is_alive() and self.origin.is_alive()

    def look(self, describe: Describe) -> bool:
        """Take note of the elements as they are; say whether they changed since the last look."""
        result = self._result()
        seen = None if result is None else describe(result)
        before = self.state
        self.state = None if seen is None or not is_readable(seen) else checksum(seen)
        del result
        return before is not None and self.state is not None and before != self.state

    def look_at_versions(self) -> tuple[bool, bool]:
        """Say of each end whether its library counted a write since the last look."""
        now = self.origin.version(), self.result.version()
        before, self.versions = self.versions, now
        one, other = (
            old is not None and new is not None and old != new
            for old, new in zip(before, now, strict=True)
        )
        return one, other


def aliased(
    located: Located,
    origin: weakref.ref[Any] | None,
    result: weakref.ref[Any],
    describe: Describe,
) -> Alias | None:
    """Return the pair that a call made, or None where its ends share nothing or are gone."""
    made = result()
    if made is None:
        return None
    source = None if origin is None else origin()
    seen = describe(made)
    if seen is None or not is_readable(seen) or made is source or _is_mapped(made):
        return None
    side = _origin_of(source, origin, made, seen, result, describe)
    if side is None:
        return None
    pair = Alias(located, side, ObjectSide(result, 0), result)
    del made, source
    return pair


def _origin_of(
    source: Any,
    origin: weakref.ref[Any] | None,
    made: Any,
    seen: Seen,
    result: weakref.ref[Any],
    describe: Describe,
) -> Side | None:
    base = _foreign_base(made)
    if type(base).__module__.partition(".")[0] == "torch":
        return StorageSide(base, held_by_array())
    if source is None:
        return BufferSide(result) if isinstance(base, bytearray | memoryview) else None
    before = describe(source)
    if (
        before is None
        or not is_readable(before)
        or before.kind.library == seen.kind.library
        or _is_mapped(source)
        or not shares_elements(before, seen)
        or origin is None
    ):
        return None
    if before.kind.library == "torch":
        return StorageSide(source, held_by_array())
    return ObjectSide(origin, 1)


def _foreign_base(array: Any) -> Any:
    """Return what below an ndarray is no ndarray."""
    import numpy as np

    base = getattr(array, "base", None) if isinstance(array, np.ndarray) else None
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def _is_mapped(array: Any) -> bool:
    """Say whether looking at an array would read a file."""
    import numpy as np

    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None) if isinstance(array, np.ndarray) else None
    return False


def names_of(located: Located) -> tuple[str, str]:
    """Return what the user calls the two ends: of what was converted, and of what it became."""
    place = located.place
    node = parsed(place.expression.removeprefix("."))
    origin = ""
    if isinstance(node, ast.Call):
        method = located.operation.startswith(".") and isinstance(node.func, ast.Attribute)
        given = [node.func.value] if method else node.args  # type: ignore[attr-defined]
        origin = ast.unparse(given[0]) if given else ""
    elif isinstance(node, ast.Attribute):
        origin = ast.unparse(node.value)
    return origin or "what was converted", _assigned(place) or place.expression


def _assigned(place: Place) -> str:
    """Return the name that the expression is assigned to, if it is all of the statement."""
    lines = (place.source.text or "").splitlines()
    if not 1 <= place.line <= len(lines) or place.column is None or place.end_line != place.line:
        return ""
    line = lines[place.line - 1]
    found = _TARGET.match(line[: place.column])
    rest = line[place.end_column :].split("#")[0].strip()
    return found[1] if found and not rest else ""
