"""Pairs of arrays in the same memory, as a conversion of the user's made them."""

from __future__ import annotations

import ast
import mmap
import re
import weakref
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Located
from tensortoll.capture.hazards.contents import LARGEST, checksum, readable, shares_elements
from tensortoll.capture.hazards.sides import (
    AddressSide,
    BufferSide,
    CapsuleSide,
    Describe,
    ObjectSide,
    Side,
    StorageSide,
    held_by_array,
    held_by_image,
)
from tensortoll.capture.text.signs import parsed
from tensortoll.model import Place

MAPPED: Final = (
    "Memory is shared that lies in a file, or where other processes may write: it is not looked "
    "at, and writes to it are not told."
)
SAMPLED: Final = (
    "More than 1 GiB of memory is shared: only samples of it are looked at, so some lines that "
    "write to it may be missing."
)
_TARGET: Final = re.compile(r"(?:.*;)?\s*([A-Za-z_][\w.]*)\s*(?::[^=]*)?=\s*$")


class Handed(NamedTuple):
    """What a call was given and what it made, until it is looked at whether they share memory."""

    located: Located
    origin: weakref.ref[Any] | None
    """None for what has no weak references."""
    result: weakref.ref[Any]
    buffer: Seen | None = None
    """What a `bytearray` was when it was given, in numbers."""


class Layout(NamedTuple):
    """How an array lies."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[float, ...]


class Alias:
    """One pair. Holds weak references only."""

    __slots__ = tuple(
        "_layout _moved _origin_at _result _seen names origin place result state versions".split()
    )

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
        self._layout: Layout | None = None
        self._origin_at: int | None = None
        self._moved = False
        self._seen: Seen | None = None
        self.state: tuple[int, int] | None = None
        """The checksum at the last look."""
        self.versions: tuple[int | None, int | None] = (None, None)

    def is_alive(self, describe: Describe) -> bool:
        """Say whether both ends are within somebody's reach, and in the same memory."""
        # The result first: while it lies where it lay, it keeps the origin's memory alive.
        return self.result.is_alive() and self._stays(describe) and self.origin.is_alive()

    def _stays(self, describe: Describe) -> bool:
        """Say whether both ends lie where they lay: `t.data = other` and the like move one."""
        found = self._seen = readable(describe(self._result()))
        if found is None or found.span is None or self._moved:
            return False
        start = found.span.start
        if self._layout is not None and self._layout.start != start:
            self._moved = True
            return False
        at = self.origin.where(describe)
        if self._origin_at is None:
            self._origin_at = at
        self._moved = at is not None and at != self._origin_at
        layout = Layout(start, found.shape, found.strides)
        if self._layout != layout:
            self._layout, self.state = layout, None  # the elements come in another order
        return not self._moved

    def look(self) -> bool:
        """Take note of the elements as they are; say whether they changed since the last look.

        To be asked right after `is_alive`, of a pair that is.
        """
        before, result = self.state, self._result()  # which keeps the elements alive
        self.state = None if result is None or self._seen is None else checksum(self._seen)
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


def aliased(handed: Handed, describe: Describe, blind_spot: Callable[[str], None]) -> Alias | None:
    """Return the pair that a call made, or None where its ends share nothing or are gone."""
    made = handed.result()
    seen = readable(describe(made))
    if made is None or seen is None or seen.span is None:
        return None
    source = None if handed.origin is None else handed.origin()
    if made is source:
        return None
    side = _origin_of(handed, source, made, seen, describe)
    if side is None:
        return None
    if _is_mapped(made) or _is_mapped(source):
        blind_spot(MAPPED)
        return None
    if seen.span.stop - seen.span.start > LARGEST:
        blind_spot(SAMPLED)
    del made, source
    return Alias(handed.located, side, ObjectSide(handed.result, 0), handed.result)


def _origin_of(
    handed: Handed, source: Any, made: Any, seen: Seen, describe: Describe
) -> Side | None:
    base = _foreign_base(made)
    if _library(base) == "torch":
        return StorageSide(base, held_by_array())
    if source is None:
        return _buffer_of(handed, base, made, seen)
    before = readable(describe(source))
    if before is None or handed.origin is None or before.kind.library == seen.kind.library:
        return None
    if not shares_elements(before, seen):
        return None
    if before.kind.library == "torch":
        by_capsule = type(base).__name__ == "PyCapsule"
        return CapsuleSide(source) if by_capsule else StorageSide(source, held_by_array())
    return ObjectSide(handed.origin, _held(handed, source, made))


def _buffer_of(handed: Handed, base: Any, made: Any, seen: Seen) -> Side | None:
    """Return the `bytearray` that an array lies in."""
    if isinstance(base, bytearray | memoryview):
        return BufferSide(handed.result)
    buffer, library = handed.buffer, _library(made)
    if buffer is None or library == "numpy" or not shares_elements(buffer, seen):
        return None
    if library == "torch":
        return AddressSide(buffer.identity, 1, made.untyped_storage())
    return AddressSide(buffer.identity, held_by_image() if library == "PIL" else 1)


def _held(handed: Handed, source: Any, made: Any) -> int:
    """Return how often what was made of an object refers to it."""
    library = _library(made)
    if library == "PIL":
        return held_by_image()
    if type(source) is memoryview and library == "numpy":
        return 0  # NumPy holds what is below
    if _is_fresh_view(source, made):
        return 0  # which holds what lies inside of the table
    if _library(source) in {"jax", "jaxlib"} and library == "torch":
        return int(handed.located.name == "asarray")  # a capsule holds the memory alone
    return 1


def _is_fresh_view(table: Any, made: Any) -> bool:
    """Say whether an ndarray was made for who asked, and is none that the table itself holds."""
    # pandas makes those that it hands out read-only, and hands out its own as they are.
    shell = _library(table)
    read_only = _library(made) == "numpy" and not made.flags.writeable
    return shell == "polars" or (shell == "pandas" and read_only)


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _foreign_base(array: Any) -> Any:
    """Return what below an ndarray is no ndarray."""
    import numpy as np

    base = getattr(array, "base", None) if isinstance(array, np.ndarray) else None
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def _is_mapped(array: Any) -> bool:
    """Say whether an array lies in a file, or where other processes may write."""
    import numpy as np

    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, memoryview):
        array = array.obj
    if _library(array) == "torch":
        return bool(array.is_shared())
    return isinstance(array, mmap.mmap)


def names_of(located: Located) -> tuple[str, str]:
    """Return what the user calls the two ends: of what was converted, and of what it became."""
    place = located.place
    node = parsed(place.expression.removeprefix("."))
    origin = ""
    if isinstance(node, ast.Call):
        method = located.operation.startswith(".") and isinstance(node.func, ast.Attribute)
        given = [node.func.value] if method else node.args  # type: ignore[attr-defined]
        # `Image.frombuffer("L", (width, height), data)`
        given = [one for one in given if not isinstance(one, ast.Constant | ast.Tuple)]
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
    return found[1] if found and rest[:1] in {"", ";"} else ""
