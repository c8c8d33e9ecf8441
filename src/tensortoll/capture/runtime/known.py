"""What rewritten expressions know of the watch that is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.exports import Exports
from tensortoll.capture.arrays.seen import Seen, UnknownLayoutError
from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.failures.noticing import Failures
from tensortoll.capture.runtime.evidence import Evidence

if TYPE_CHECKING:
    from tensortoll.capture.hazards.writes import Writes

Describe = Callable[[Any], Seen | None]


class Running:
    """What expressions need of the watch that is on. One object, looked at by all of them."""

    __slots__ = tuple(
        "address_of columns describe_any describers evidence exports failures plain_array readable "
        "recorder writes".split()
    )

    def __init__(self) -> None:
        """Start without a watch."""
        self.recorder: Recorder | None = None
        self.evidence: Evidence | None = None
        self.failures: Failures | None = None
        self.writes: Writes | None = None
        self.describe_any: Describe = self.describe
        """Describes arrays of all libraries, also of those whose conversions hooks count."""
        self.exports = Exports()
        self.plain_array: type = Running
        """NumPy's ndarray, whose subclasses may be anything; no array's type without a watch."""
        self.address_of: Callable[[Any], int] = id
        """Returns where the first element of such an array lies."""
        self.describers: dict[type, Describe | None] = {}
        """How to describe objects of a type; None for types that are no arrays."""
        self.columns: dict[type, Any] = {}
        """How to find a column of a table: a `columns.Indexer` by type."""
        self.readable: dict[type, Describe] = {}
        """Types of other libraries whose memory NumPy reads by the buffer protocol."""

    def clear(self) -> None:
        """Forget the watch."""
        self.recorder = self.evidence = self.failures = self.writes = None
        self.describe_any = self.describe
        self.exports = Exports()
        self.plain_array, self.address_of = Running, id
        self.describers.clear()
        self.columns.clear()
        self.readable.clear()

    def describe(self, value: object) -> Seen | None:
        """Return ``value`` in numbers, or None where it is no array."""
        kind = type(value)
        try:
            describer = self.describers[kind]
        except KeyError:
            describer = self._learn(kind)
        if describer is None:
            return None
        try:
            return describer(value)
        except UnknownLayoutError:
            return None

    def _learn(self, kind: type) -> Describe | None:
        for base in kind.__mro__:
            describer = self.describers.get(base)
            if describer is not None:
                self.describers[kind] = describer
                return describer
        self.describers[kind] = None
        return None


RUNNING: Final = Running()
