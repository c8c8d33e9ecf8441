"""What a run left behind, as plain immutable values: numbers and strings only.

No tensor, frame or module is ever held here, so a recording may outlive its process, travel as
JSON and be merged with others. Sizes are integer bytes and times integer nanoseconds, which
makes merging an exact sum: it does not matter in which order the parts of a run are put together.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Outcome = Literal["view", "copy", "failed"]
"""Proven by memory: `view` shares it with the source, `copy` wrote data, `failed` raised."""

Effect = Literal["cast", "layout", "parse", "unbox", "h2d", "d2h", "d2d", "pinned", "non_blocking"]
"""What a conversion did beside moving the data.

`cast`: the dtype differs. `layout`: the elements were laid out anew. `parse`: Python objects were
walked into an array. `unbox`: an array was turned into Python objects. `h2d`, `d2h`, `d2d`: the
device differs. `pinned`: one side is page-locked memory. `non_blocking`: the call did not wait.
"""

Apart = Literal["mapped", "objects", "tensorflow", "threads"]
"""Memory that is taken in stock, so that the line where it shows is not the one that uses it.

`mapped`: mapped by a library, as scratch, as a pool or for a file. `objects`: arenas for small
Python objects. `tensorflow`: the arena that TensorFlow keeps its tensors in. `threads`: allocated
by threads of a library, most likely for this line.
"""

NO_LINE: Final = 0
"""Stands for the time between the lines: reading the text, showing values, waiting."""

TRANSFERS: frozenset[Effect] = frozenset(("h2d", "d2h", "d2d"))


class Source(NamedTuple):
    """A text of the user's: a cell, a script, an expression."""

    name: str
    """How the user knows it: a file name, `cell [7]`."""
    text: str | None
    """Its lines as the user sees them; None where it was left out on purpose."""


class Kind(NamedTuple):
    """What one end of a conversion is."""

    library: str
    """Import name; `python` for lists, scalars and buffers."""
    dtype: str
    """NumPy's name, without byte order: `float32`, `bfloat16`, `object`."""
    device: str = "cpu"
    """`cpu`, `cuda:0`, `meta`; a second logical CPU is `cpu:1`."""


class Place(NamedTuple):
    """The smallest sub-expression of the user's source that made a conversion.

    Lines count from 1 and columns from 0, in characters; both ends are None where only the
    line is known.
    """

    source: Source
    line: int
    end_line: int
    column: int | None
    end_column: int | None
    expression: str


class Route(NamedTuple):
    """What is counted together: one way from one kind to another, from one place."""

    place: Place
    operation: str
    """The call as a user would name it: `torch.tensor`, `ndarray.astype`, `+`."""
    outcome: Outcome
    effects: tuple[Effect, ...]
    """Sorted by name, each at most once."""
    implicit: bool
    """Whether the place did not ask for a conversion by itself."""
    origin: Kind
    target: Kind
    via: str | None = None
    """`file:line` of the library that did it, where that is not the place itself."""
    where: str = "main"
    """`main`, or in words whose thread or process did it."""
    launch_only: bool = False
    """Whether the time is only that of launching what a device then did by itself."""


class Totals(NamedTuple):
    """The cost of any number of conversions. Totals add."""

    count: int = 0  # type: ignore[assignment]  # the field that every reader looks for
    copies: int = 0
    """How many times the full data was written."""
    bytes_read: int = 0
    bytes_written: int = 0
    elapsed_ns: int = 0

    def plus(self, other: Totals) -> Totals:
        """Return the cost of both."""
        return Totals(*map(operator.add, self, other))


class Span(NamedTuple):
    """A range of addresses: the first byte and the first one after it."""

    start: int
    stop: int


class Proof(NamedTuple):
    """Where the two ends of a conversion lay in memory while both were alive."""

    origin: Span
    target: Span


@dataclass(frozen=True, slots=True)
class Conversion:
    """All conversions of one route: a row of the recording."""

    route: Route
    totals: Totals
    shape: tuple[int, ...] | None = None
    """Of the first one seen."""
    proof: Proof | None = None
    """Of the first one seen; None where no addresses could be had."""


@dataclass(frozen=True, slots=True)
class LineCost:
    """What one line of the user's source took, as the observers saw it."""

    source: Source
    line: int
    """From 1; `NO_LINE` for what was between the lines."""
    hits: int = 0
    elapsed_ns: int = 0
    """With what it called."""
    allocated_bytes: int = 0
    """Asked for altogether; of a block that grew in place or moved, by how much it grew."""
    allocations: int = 0
    peak_bytes: int = 0
    """The most that all lines together held when this one allocated."""
    unexplained_bytes: int = 0
    """What it allocated beyond what the conversions seen there have written."""
    surviving_bytes: int = 0
    """Not released when the run ended."""
    hidden_bytes: int = 0
    """Of the unexplained bytes, large arrays that a library made inside itself."""
    hidden_via: str | None = None
    """`file:line` of that library, where it made most of them."""
    apart: tuple[tuple[Apart, int], ...] = ()
    """Bytes that are no part of the ones above, by kind and in its order."""

    def plus(self, other: LineCost) -> LineCost:
        """Return what the same line took in two runs, one after the other."""
        apart: dict[Apart, int] = dict(self.apart)
        for kind, nbytes in other.apart:
            apart[kind] = apart.get(kind, 0) + nbytes
        vias = (self.hidden_via, other.hidden_via)
        return LineCost(
            self.source,
            self.line,
            self.hits + other.hits,
            self.elapsed_ns + other.elapsed_ns,
            self.allocated_bytes + other.allocated_bytes,
            self.allocations + other.allocations,
            max(self.peak_bytes, other.peak_bytes),
            self.unexplained_bytes + other.unexplained_bytes,
            self.surviving_bytes + other.surviving_bytes,
            self.hidden_bytes + other.hidden_bytes,
            # Any order of several runs has to give the same one.
            min((via for via in vias if via is not None), default=None),
            tuple(sorted(apart.items())),
        )


class Peak(NamedTuple):
    """The most memory that the user's lines held at one time, beyond what was there before."""

    total: int
    converted_least: int = 0
    """What the results of conversions had of it, at least."""
    converted_most: int = 0
    """And at most: not every block can be told to be one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A conversion that raised, and why."""

    source: Source
    line: int
    expression: str
    error: str
    cause: str
    explanation: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Hazard:
    """Memory shared by a conversion that was written while both sides were alive."""

    source: Source
    alias_line: int
    write_line: int
    written: str
    aliased: str
    detail: str
    alias_source: str = ""
    """The name of the source that the memory is shared in, where that is another one."""

    @property
    def since(self) -> str:
        """Where the memory is shared since: `line 3`, `cell [2] line 3`."""
        return f"{self.alias_source} line {self.alias_line}".strip()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth changing, where, and what to write instead."""

    rule: str
    source: Source
    line: int
    title: str
    suggestion: str
    verified: bool
    saved_bytes: int = 0
    saved_ns: int = 0
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whether two arrays lie in the same memory, as looked up while both were alive."""

    one: str
    """Its name or expression."""
    other: str
    shared: bool
    """Whether they have a byte in common."""
    spans: tuple[Span, Span]
    one_writable: bool
    other_writable: bool
    history: tuple[str, ...] = ()
    """How they came to share it, as far as it was seen; one sentence each."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a recording was made with."""

    python: str = ""
    platform: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Version by import name, of the libraries that were watched."""
    pid: int | None = None
    rank: int | None = None
    host: str | None = None
