"""The user's own calls of JAX: of what was compiled, of its functions, of what those return."""

from __future__ import annotations

import functools
from types import FrameType, FunctionType, MethodType
from typing import Any, Final

from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.handed import Note, Now, settle
from tensortoll.capture.probes.jax.kinds import (
    array_type,
    holds_arrays,
    is_computing,
    ndarrays,
)
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.probes.jax.operators import add_leaf, device_of
from tensortoll.capture.probes.jax.references import StandIn, calls_what_it_is_given, unbound
from tensortoll.capture.rewriting.handing import HANDED, Handing
from tensortoll.capture.text.sources import is_own, short_file

COMPILED: Final = frozenset(("PjitFunction", "Compiled"))
"""Classes of functions that take in all they are handed."""
COMPUTING: Final = (
    "jax.numpy jax._src.numpy jax.nn jax._src.nn jax.lax jax._src.lax jax.scipy jax._src.scipy "
    "jax.random jax._src.random jax.image jax._src.image jax.ops jax._src.ops"
)
"""Modules whose functions compute with the arrays that they are handed."""
LOOKS_ONLY: Final = frozenset(
    (
        "shape ndim size result_type dtype iscomplexobj isrealobj isscalar issubdtype can_cast "
        "promote_types broadcast_shapes zeros_like ones_like full_like empty_like save savez "
        "array_repr array_str array2string eval_shape"
    ).split()
)
"""Functions there that ask an array for no more than shape and dtype, or write it to a file."""

_NOT, _OF_JAX, _CERTAIN = range(3)


class Calls:
    """Is told of every call in a text that uses JAX, and counts what was handed to JAX there."""

    def __init__(
        self, context: Context, now: Now, sharing: Sharing, replaced: dict[int, Any]
    ) -> None:
        """Start.

        Args:
            context: Of the watch.
            now: What is going on.
            sharing: Tells what is copied.
            replaced: Replacements by the identity of what they replaced.
        """
        self._context = context
        self._now = now
        self._sharing = sharing
        self._replaced = replaced
        self._types: dict[type, int] = {}
        self._computing = tuple(COMPUTING.split())

    def called(self, call: Handing, frame: FrameType, function: Any) -> Any:
        """Note a call of JAX's; return the hook of a function that was named before the watch."""
        if calls_what_it_is_given(function):
            return functools.partial(self._handing_on, call, function)
        called, held = unbound(function)
        known = self._kind(called)
        if known and (called is function or known == _CERTAIN):
            hook = self._replaced.get(id(called))
            if hook is not None:
                return hook if called is function else function
            self._now.push(Note(id(frame), call.number, certain=known == _CERTAIN))
            for value in held:
                self.handed(call, frame, value)
        return function

    def _handing_on(self, call: Handing, caller: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what calls its first argument; where that is compiled, with what tells of it."""
        if args and self._kind(unbound(args[0])[0]) == _CERTAIN:
            args = (StandIn(args[0], functools.partial(self._around, call)), *args[1:])
        return caller(*args, **kwargs)

    def _around(self, call: Handing, function: Any, args: Any, kwargs: Any) -> Any:
        """Call a compiled function for somebody else, and count what it takes in."""
        if HANDED.to is not self:  # the watch has ended meanwhile
            return function(*args, **kwargs)
        note = Note(0, call.number, certain=True)
        self._now.push(note)
        try:
            for value in (*unbound(function)[1], *args, *kwargs.values()):
                if type(value) is not array_type():
                    for one in ndarrays(value):
                        add_leaf(note, one)
        except Exception as error:
            self._context.recorder.fault("jax references", error)
        try:
            result = function(*args, **kwargs)
        except BaseException:
            self._now.pop(note)
            raise
        try:
            self._settle(call, note, result)
        except Exception as error:
            self._context.recorder.fault("jax references", error)
        return result

    def handed(self, call: Handing, frame: FrameType, value: Any) -> None:
        """Note the ndarrays in an argument."""
        if self._now.notes:
            note = self._now.find(id(frame), call.number)
            if note is not None and type(value) is not array_type():
                for one in ndarrays(value):
                    add_leaf(note, one)

    def returned(self, call: Handing, frame: FrameType, result: Any) -> None:
        """Count what the call took in."""
        now = self._now
        if not now.notes:
            return
        note = now.find(id(frame), call.number)
        if note is not None:
            self._settle(call, note, result)

    def _settle(self, call: Handing, note: Note, result: Any) -> None:
        self._now.pop(note)
        if not note.leaves:
            return
        table = self._context.recorder.local.table
        if table.quiet:
            return
        note.certain = note.certain and is_computing() and holds_arrays(result)
        if note.certain or any(leaf.passes.taken for leaf in note.leaves):
            settle(call.site(table), note, device_of(result), self._sharing)

    def _kind(self, function: Any) -> int:
        if type(function) is MethodType:
            function = function.__func__
        kind = type(function)
        if kind is FunctionType:
            filename = function.__code__.co_filename
            if is_own(filename) or not short_file(filename).startswith("jax/"):
                return _NOT  # our own hooks count by themselves
            return self._of_function(function)
        known = self._types.get(kind)
        if known is None:
            known = self._types[kind] = self._of_type(kind)
        return self._of_function(function) if known == _OF_JAX else known

    def _of_type(self, kind: type) -> int:
        home = kind.__module__.partition(".")[0]
        if home not in {"jax", "jaxlib"}:
            return _NOT
        return _CERTAIN if kind.__name__ in COMPILED else _OF_JAX

    def _of_function(self, function: Any) -> int:
        module = getattr(function, "__module__", None) or ""
        name = getattr(function, "__name__", "")
        if name in LOOKS_ONLY:
            return _NOT
        return _CERTAIN if module.startswith(self._computing) else _OF_JAX
