"""Operators and indexing of JAX arrays that are given ndarrays, and what each operation is given.

Both are Python functions of JAX's, so they are replaced. Functions that were compiled before are
not: see `capture.handing` for calls of those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.handed import Arrival, Leaf, Note, Now, settle
from tensortoll.capture.probes.jax.kinds import (
    array_type,
    device_name,
    devices_of,
    is_by_jax,
    is_computing,
)
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.probes.numpy import describe_array

BINARY: Final = (
    "eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv divmod "
    "rdivmod mod rmod pow rpow matmul rmatmul and rand or ror xor rxor lshift rshift rlshift "
    "rrshift getitem"
).split()
"""Operators of two operands, and indexing, by the name of their method without underscores."""
ONLY_COPY: Final = frozenset(("stage", "convert_element_type", "copy", "copy_p"))
"""Operations that write what they are given once more, and nothing else."""


def install_operators(context: Context, now: Now, sharing: Sharing) -> None:
    """Replace operators, of arrays and of what stands for arrays while a function is traced."""
    from jax._src import core

    for name in BINARY:
        for owner, attribute, static in (
            (array_type(), f"__{name}__", False),
            (core.ShapedArray, f"_{name}", True),
        ):
            if hasattr(owner, attribute):
                context.patches.replace(
                    owner,
                    attribute,
                    _static_or_not(_operator(context, now, sharing), static=static),
                )


def install_operations(context: Context, now: Now, sharing: Sharing) -> None:
    """Replace the two functions that see what operations are given one by one."""
    from jax._src import core
    from jax._src.interpreters import pxla

    recorder = context.recorder
    try:
        context.patches.replace(
            core.EvalTrace,
            "process_primitive",
            lambda found: _operation(recorder, now, sharing, found),
        )
        context.patches.replace(
            pxla, "batched_device_put", lambda found: _put(recorder, now, found)
        )
    except AttributeError:
        recorder.blind_spot(
            "This JAX keeps its operations elsewhere: arrays that are given to functions under "
            "`grad` and `vmap` are counted once, however often they are taken in."
        )


def _static_or_not(make: Callable[[Any], Any], *, static: bool) -> Callable[[Any], Any]:
    return (lambda original: staticmethod(make(original))) if static else make


def _operator(context: Context, now: Now, sharing: Sharing) -> Callable[[Any], Any]:
    import numpy as np

    local, places = context.recorder.local, context.places
    ndarray = np.ndarray

    def make(original: Callable[..., Any]) -> Any:
        def operator(self: Any, other: Any, *rest: Any) -> Any:
            kind = type(other)
            if kind is not ndarray and kind is not tuple:
                return original(self, other, *rest)
            table = local.table
            if table.quiet:
                return original(self, other, *rest)
            note = Note(0, 0, certain=False)
            try:
                for one in other if kind is tuple else (other,):
                    add_leaf(note, one)
            except Exception as error:
                context.recorder.fault("jax operators", error)
            if not note.leaves or (now.notes and _inside(sys._getframe(1))):
                return original(self, other, *rest)  # counted with the call that JAX works for
            now.push(note)
            try:
                result = original(self, other, *rest)
            finally:
                now.pop(note)
            try:
                if result is not NotImplemented:
                    frame = sys._getframe(1)
                    if _hands_on(frame):
                        frame = frame.f_back or frame
                    indexing = original.__name__.endswith("getitem")
                    note.certain = not indexing and type(result) is array_type() and is_computing()
                    if note.certain or any(leaf.passes.taken for leaf in note.leaves):
                        site = places.site(table, frame)
                        if site is not None:
                            settle(site, note, device_of(result), sharing)
            except Exception as error:
                context.recorder.fault("jax operators", error)
            return result

        return operator

    return make


def _inside(frame: FrameType) -> bool:
    return is_by_jax(frame) and not _hands_on(frame)


def _hands_on(frame: FrameType) -> bool:
    """Say whether a frame is the method of a tracer's that only hands an operator on."""
    code = frame.f_code
    return code.co_name == "op" and code.co_filename.endswith("array_methods.py")


def add_leaf(note: Note, value: Any) -> None:
    """Note an argument of a call, where it is an ndarray with data."""
    import numpy as np

    if isinstance(value, np.ndarray) and value.ndim and value.nbytes and value.dtype.kind in KINDS:
        note.leaves.append(Leaf(describe_array(value), value.dtype))


KINDS: Final = "biufcV"
"""Kinds of dtypes that JAX takes, `V` for those of its own such as bfloat16."""


def device_of(result: Any) -> str:
    """Return the name of the device that a result lies on; of the first one where on several."""
    if type(result) is array_type():
        return device_name(devices_of(result)[0])
    return "cpu"


def _operation(recorder: Recorder, now: Now, sharing: Sharing, original: Callable[..., Any]) -> Any:
    """Return an `EvalTrace.process_primitive` that takes note of the ndarrays it is given."""

    def process_primitive(self: Any, primitive: Any, args: Any, params: Any, /) -> Any:
        if now.arrivals is not None or now.notes:
            try:
                _arrived(now, sharing, args, copies=primitive.name in ONLY_COPY)
            except Exception as error:
                recorder.fault("jax operations", error)
        return original(self, primitive, args, params)

    return process_primitive


def _put(recorder: Recorder, now: Now, original: Callable[..., Any]) -> Any:
    """Return a `batched_device_put` that takes note of the ndarrays it is given."""

    def batched_device_put(aval: Any, sharding: Any, xs: Any, *args: Any, **kwargs: Any) -> Any:
        if now.arrivals is not None:
            try:
                found = (bare(one) for one in xs)
                now.arrivals += [Arrival(one, "put") for one in found if one is not None]
            except Exception as error:
                recorder.fault("jax operations", error)
        return original(aval, sharding, xs, *args, **kwargs)

    return batched_device_put


def _arrived(now: Now, sharing: Sharing, args: Any, *, copies: bool) -> None:
    for one in map(bare, args):
        if one is None or not one.ndim:
            continue
        if now.arrivals is not None:
            now.arrivals.append(Arrival(one, "copied" if copies else "taken"))
        else:
            leaf = now.leaf_of(one)
            if leaf is not None:
                leaf.passes.arrived(leaf.seen, one, sharing, None)


def bare(value: Any) -> Any:
    """Return the ndarray that JAX has wrapped or not; None for anything else."""
    import numpy as np

    kind = type(value)
    if kind.__name__ == "TypedNdArray":
        value = value.val
        kind = type(value)
    return value if issubclass(kind, np.ndarray) else None
