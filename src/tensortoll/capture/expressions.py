"""The run-time side of a rewritten expression: sees what goes in and what comes out.

`a.astype(t)` becomes `E.made(E.given(a).astype(t))`, where `E` is an object of this module that
the compiled code holds as a constant. The call itself stays in the user's frame, so tracebacks,
`super()`, stack levels of warnings and everything else that looks at frames find what they
expect, and no name is added anywhere.

What goes in is described in numbers at once and never held: a reference would change when arrays
die. The numbers are proof enough. The caller's own stack keeps the inputs alive until the call
returns, so a result that lies in the same memory was made while they were alive, and shares it.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

from tensortoll.capture.addresses import overlap, reach, read_bytes
from tensortoll.capture.exports import Exports
from tensortoll.capture.recorder import NOWHERE, Located, Recorder, Site, Sums, Table
from tensortoll.model import Effect, Kind, Outcome, Proof, Span

MAX_PENDING: Final = 10_000
"""Descriptions kept of calls that have not returned. Only calls that raise leave one behind."""


_COMPLETE: Final = 4
"""Parts of the note on a store: what was given, when, the array, the index."""


class Seen(NamedTuple):
    """An array in numbers."""

    kind: Kind
    span: Span | None
    """None for Python objects, whose elements lie anywhere."""
    nbytes: int
    shape: tuple[int, ...]
    strides: tuple[float, ...]
    """In elements, so that a cast alone does not change them. Whole but in fields of records."""
    swapped: bool
    """Whether the bytes of an element stand in a foreign order."""
    identity: int


Describe = Callable[[Any], Seen | None]


class Running:
    """What expressions need of the watch that is on. One object, looked at by all of them."""

    __slots__ = ("describers", "exports", "readable", "recorder")

    def __init__(self) -> None:
        """Start without a watch."""
        self.recorder: Recorder | None = None
        self.exports = Exports()
        self.describers: dict[type, Describe | None] = {}
        """How to describe objects of a type; None for types that are no arrays."""
        self.readable: dict[type, Describe] = {}
        """Types of other libraries whose memory NumPy reads by the buffer protocol."""

    def clear(self) -> None:
        """Forget the watch."""
        self.recorder = None
        self.exports = Exports()
        self.describers.clear()
        self.readable.clear()

    def describe(self, value: object) -> Seen | None:
        """Return ``value`` in numbers, or None where it is no array."""
        kind = type(value)
        try:
            describer = self.describers[kind]
        except KeyError:
            describer = self._learn(kind)
        return None if describer is None else describer(value)

    def _learn(self, kind: type) -> Describe | None:
        for base in kind.__mro__:
            describer = self.describers.get(base)
            if describer is not None:
                self.describers[kind] = describer
                return describer
        self.describers[kind] = None
        return None


RUNNING: Final = Running()
FUNCTIONS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""The living functions that rewritten code has defined."""


class Expression:
    """One rewritten expression of the user's source."""

    __slots__ = ("__weakref__", "located", "number", "rule")

    def __init__(self, number: int, located: Located, rule: str) -> None:
        """Stand for an expression.

        Args:
            number: Unique in the process.
            located: Where it is and what it calls.
            rule: What the call does with its arrays; see `rewriting.Rewrites`.
        """
        self.number = number
        self.located = located
        self.rule = rule

    def __reduce__(self) -> tuple[Callable[[], Expression], tuple[()]]:
        """Come out of a pickle as an expression that does nothing."""
        return inert, ()

    def given(self, value: Any) -> Any:
        """Take note of the first array that goes in; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            try:
                table = recorder.local.table
                pending = table.pending
                table.lent = []
                seen = RUNNING.describe(value)
                if seen is not None:
                    if len(pending) > MAX_PENDING:
                        pending.clear()
                    pending[id(sys._getframe(1)), self.number] = [[seen], time.perf_counter_ns()]
                elif pending:
                    # What a call that raised has left here must not pass for this one's input.
                    pending.pop((id(sys._getframe(1)), self.number), None)
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def also(self, value: Any) -> Any:
        """Take note of another array that goes in; return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            try:
                pending = recorder.local.table.pending
                entry = pending.get((id(sys._getframe(1)), self.number)) if pending else None
                if entry is not None:
                    seen = RUNNING.describe(value)
                    if seen is not None:
                        entry[0].append(seen)
                    entry[1] = time.perf_counter_ns()
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def made(self, result: Any) -> Any:
        """Judge what came out, and return it."""
        recorder = RUNNING.recorder
        if recorder is not None:
            try:
                table = recorder.local.table
                entry = table.pending.pop((id(sys._getframe(1)), self.number), None)
                lent, table.lent = table.lent, None
                if lent and not table.quiet:
                    _judge_lent(self._site(table), lent, entry, result, self.rule)
                if entry is not None and not table.quiet:
                    elapsed = time.perf_counter_ns() - entry[1]
                    site = self._site(table)
                    if self.rule == "into":
                        _judge_into(site, entry[0], elapsed)
                    elif self.rule == "export":
                        RUNNING.exports.add(result, entry[0][0].kind)
                    else:
                        _judge(site, entry[0][0], result, elapsed, self.rule)
            except Exception as error:
                recorder.fault("expression", error)
        return result

    def read(self, value: Any) -> Any:
        """Take note of another library's array that NumPy computes with; return it."""
        describe = RUNNING.readable.get(type(value))
        recorder = RUNNING.recorder
        if describe is not None and recorder is not None:
            try:
                table = recorder.local.table
                if not table.quiet:
                    _count_read(self._site(table), describe(value))
            except Exception as error:
                recorder.fault("expression", error)
        return value

    def defined(self, function: Any) -> Any:
        """Take note of a function whose code was rewritten; return it."""
        with contextlib.suppress(TypeError):  # not a plain function after all
            FUNCTIONS.add(function)
        return function

    def base(self, value: Any) -> Any:
        """Take note of the array that is stored into; return it."""
        entry = self._pending(sys._getframe(1))
        if entry is not None:
            try:
                seen = RUNNING.describe(value)
            except Exception as error:
                self._fault(error)
            else:
                if seen is not None and seen.span is not None and seen.kind.library == "numpy":
                    entry.append(seen)
        return value

    def index(self, value: Any) -> Any:
        """Take note of where in the array is stored; return it."""
        entry = self._pending(sys._getframe(1))
        if entry is not None and is_basic(value):
            entry.append(value)
            entry[1] = time.perf_counter_ns()  # what comes next is the store itself
        return value

    @staticmethod
    def slice(start: Any, stop: Any, step: Any) -> slice:
        """Return `start:stop:step` as a value."""
        return slice(start, stop, step)

    def stored(self) -> None:
        """Judge a store that has just been made."""
        ended_ns = time.perf_counter_ns()
        recorder = RUNNING.recorder
        entry = self._pending(sys._getframe(1))
        if recorder is None or entry is None:
            return
        try:
            table = recorder.local.table
            table.pending.pop((id(sys._getframe(1)), self.number), None)
            if len(entry) == _COMPLETE and not table.quiet:
                (seen, *_), began_ns, base, index = entry
                elapsed = ended_ns - began_ns
                _judge_store(self._site(table), seen, base, index, elapsed, self.rule)
        except Exception as error:
            recorder.fault("store", error)

    def _pending(self, frame: object) -> list[Any] | None:
        recorder = RUNNING.recorder
        if recorder is None:
            return None
        pending = recorder.local.table.pending
        return pending.get((id(frame), self.number)) if pending else None

    @staticmethod
    def _fault(error: Exception) -> None:
        recorder = RUNNING.recorder
        if recorder is not None:
            recorder.fault("expression", error)

    def _site(self, table: Table) -> Site:
        site = table.expressions.get(self.number)
        if site is None:
            site = table.expressions[self.number] = Site(self.located, table)
        return site


def inert() -> Expression:
    """Return an expression that records nothing, for code that travelled to another process."""
    return _Inert(-1, NOWHERE, "none")


class _Inert(Expression):
    __slots__ = ()

    def given(self, value: Any) -> Any:
        return value

    also = made = read = base = index = defined = given  # type: ignore[assignment]

    def stored(self) -> None:
        """Record nothing."""


def _judge(site: Site, seen: Seen, result: Any, elapsed_ns: int, rule: str) -> None:
    """Add up what a call that can convert made of its first array."""
    if id(result) == seen.identity:
        return
    out = RUNNING.describe(result)
    if seen.span is None:
        if out is not None and out.span is not None and out.shape and out.nbytes:
            _add(site, seen, out, "copy", ("parse",), 0, out.nbytes, elapsed_ns)
        return
    if out is None or out.span is None:
        if seen.nbytes and is_python(result):
            target = seen._replace(kind=Kind("python", seen.kind.dtype), span=None)
            whole = type(result) in (list, tuple)
            read = _read(seen) if whole else seen.nbytes // max(math.prod(seen.shape), 1)
            _add(site, seen, target, "copy", ("unbox",), read, 0, elapsed_ns)
        return
    if not out.nbytes or (not out.shape and seen.kind.library == "python"):
        return
    if overlap(seen.span, out.span):
        if seen.kind.library != out.kind.library:
            _add(site, seen, out, "view", (), 0, 0, 0)
        return
    effects = _effects(seen, out, rule)
    _add(site, seen, out, "copy", effects, _read(seen), out.nbytes, elapsed_ns)


def _effects(seen: Seen, out: Seen, rule: str) -> tuple[Effect, ...]:
    effects = changes(seen, out)
    if "layout" not in effects and (
        rule == "swap" or (rule == "reorder" and not _is_one_run(seen))
    ):
        # Reshaping shares where the order of the elements stays: a copy shows that it did not.
        effects += ("layout",)
    if out.kind.library == "python":  # bytes, which have no dtype: the same elements as before
        effects = tuple(one for one in effects if one != "cast")
    return effects


def _judge_lent(
    site: Site, lent: list[tuple[Sums, Seen]], entry: list[Any] | None, result: Any, rule: str
) -> None:
    """Take back the views of other libraries' arrays that NumPy only read to make a copy."""
    first = None if entry is None else entry[0][0]
    if rule == "into":
        if first is not None and len(entry[0]) == 1:  # type: ignore[index]
            sums, seen = lent[-1]
            sums.count -= 1
            _count_store(site, seen, first, 0)
        return
    out = RUNNING.describe(result)
    if out is None or out.span is None or any(_in_common(one, out) for _, one in lent):
        return
    if first is not None and first.span is None:  # a list of them, which is counted as a whole
        for sums, _ in lent:
            sums.count -= 1
    elif first is None and len(lent) == 1 and lent[0][1].nbytes and out.shape:
        sums, seen = lent[0]
        sums.count -= 1
        _add(site, seen, out, "copy", changes(seen, out), _read(seen), out.nbytes, 0)


def _in_common(one: Seen, other: Seen) -> bool:
    return one.span is not None and other.span is not None and overlap(one.span, other.span)


def is_python(value: object) -> bool:
    """Say whether a result consists of Python objects."""
    return type(value) in (list, tuple, float, int, bool, complex, str, bytes)


def changes(seen: Seen, out: Seen) -> tuple[Effect, ...]:
    """Return what differs between two arrays of the same elements, beside their memory."""
    effects: list[Effect] = []
    if seen.kind.dtype != out.kind.dtype:
        effects.append("cast")
    if seen.swapped != out.swapped or _laid_out_anew(seen, out):
        effects.append("layout")
    return tuple(effects)


def _laid_out_anew(seen: Seen, out: Seen) -> bool:
    """Say whether elements that follow one another did not do so before."""
    if seen.shape == out.shape:
        both = zip(seen.shape, seen.strides, out.strides, strict=True)
        return any(n > 1 and before != after for n, before, after in both)
    # Reshaped: a C-contiguous array keeps the order of its elements, any other loses it.
    return not is_c_contiguous(seen)


def _is_one_run(seen: Seen) -> bool:
    """Say whether the elements have one order only, whichever axis goes first."""
    return is_c_contiguous(seen) and sum(n > 1 for n in seen.shape) <= 1


def is_c_contiguous(seen: Seen) -> bool:
    """Say whether the elements lie in C order without gaps."""
    expected = 1
    for n, step in zip(reversed(seen.shape), reversed(seen.strides), strict=True):
        if n > 1 and step != expected:
            return False
        expected *= n
    return True


def _read(seen: Seen) -> int:
    if seen.span is None:
        return 0
    return read_bytes(seen.span, (seen.nbytes,), 1)


def _add(
    site: Site,
    seen: Seen,
    out: Seen,
    outcome: Outcome,
    effects: tuple[Effect, ...],
    read: int,
    written: int,
    elapsed_ns: int,
) -> None:
    key: Hashable = (seen.kind, out.kind, outcome, effects)
    sums = site.groups.get(key)
    if sums is None:
        proof = None
        if seen.span is not None and out.span is not None:
            proof = Proof(seen.span, out.span)
        new = Sums(
            outcome, seen.kind, out.kind, effects, shape=seen.shape or out.shape, proof=proof
        )
        sums = site.add(key, new)
    sums.count += 1
    sums.read += read
    sums.written += written
    sums.elapsed_ns += elapsed_ns
    if outcome == "copy":
        sums.copies += 1


def _judge_into(site: Site, inputs: list[Seen], elapsed_ns: int) -> None:
    """Add up `np.copyto(target, source)`."""
    if len(inputs) > 1 and inputs[0].span is not None:
        target, source = inputs[:2]
        _count_store(site, source, target, elapsed_ns)


def _count_store(site: Site, source: Seen, target: Seen, elapsed_ns: int) -> None:
    if source.span is None:
        if target.shape and source.shape:
            _add(site, source, target, "copy", ("parse",), 0, target.nbytes, elapsed_ns)
        return
    if source.nbytes == 0 or not source.shape:
        return
    effects = changes(source, target) if source.shape == target.shape else ()
    if source.kind.dtype != target.kind.dtype and "cast" not in effects:
        effects = ("cast", *effects)
    _add(site, source, target, "copy", effects, _read(source), target.nbytes, elapsed_ns)


def _judge_store(
    site: Site, source: Seen, base: Seen, index: Any, elapsed_ns: int, rule: str
) -> None:
    """Add up `array[index] = source`."""
    target = selected(base, index)
    if target is None or not target.shape:
        return
    if rule == "store result" and source.kind == target.kind:
        return  # a result of arithmetic, put where it belongs: nothing was converted
    _count_store(site, source, target, elapsed_ns)


def is_basic(index: Any) -> bool:
    """Say whether ``index`` selects a view: integers, slices, `...` and new axes.

    An object of the user's own that stands for an integer does not count: asking it runs code.
    """
    parts = index if type(index) is tuple else (index,)
    return all(
        part is None or part is Ellipsis or _is_integer(part) or _is_slice(part) for part in parts
    )


def _is_slice(part: Any) -> bool:
    ends = (part.start, part.stop, part.step) if type(part) is slice else (part,)
    return type(part) is slice and all(end is None or _is_integer(end) for end in ends)


def _is_integer(part: Any) -> bool:
    kind = type(part)
    return kind is int or (kind.__module__ == "numpy" and kind.__name__.startswith(("int", "uint")))


def selected(array: Seen, index: Any) -> Seen | None:
    """Return the view that a basic index selects, reckoned without the array itself.

    Indexing the array would run the code of a subclass, and holding it until the store is made
    would keep a later `resize` from working.
    """
    items = math.prod(array.shape)
    if not items or not array.nbytes or array.span is None:
        return None
    strides_in_elements = [step for step in array.strides if isinstance(step, int)]
    if len(strides_in_elements) < len(array.strides):
        return None
    size = array.nbytes // items
    axes = list(zip(array.shape, strides_in_elements, strict=True))
    address = array.span.start - sum((n - 1) * step * size for n, step in axes if step < 0)
    parts = list(index) if type(index) is tuple else [index]
    free = len(axes) - sum(part is not None and part is not Ellipsis for part in parts)
    where = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts[where : where + 1] = [slice(None)] * free
    left: list[tuple[int, int]] = []
    for part in parts:
        if part is None:
            left.append((1, 0))
            continue
        n, step = axes.pop(0)
        if isinstance(part, slice):
            chosen = range(*part.indices(n))
            left.append((len(chosen), step * chosen.step))
            address += chosen.start * step * size if chosen else 0
        else:
            address += range(n)[part] * step * size
    shape, strides = tuple(n for n, _ in left), tuple(step for _, step in left)
    return array._replace(
        span=reach(address, shape, [step * size for step in strides], size),
        nbytes=math.prod(shape) * size,
        shape=shape,
        strides=strides,
        identity=0,
    )


def _count_read(site: Site, seen: Seen | None) -> None:
    if seen is not None and seen.nbytes:
        _add(
            site, seen, seen._replace(kind=seen.kind._replace(library="numpy")), "view", (), 0, 0, 0
        )
