"""JAX's dtypes, devices and arrays in the words of the recording."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.seen import Seen, changes
from tensortoll.capture.probes.torch.kinds import seen_tensor
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.runtime.judging import with_transfer
from tensortoll.capture.text.sources import short_file
from tensortoll.model import Effect, Kind

if TYPE_CHECKING:
    import numpy as np

    DType = np.dtype[Any]

EXPLICIT: Final = frozenset(
    (
        # into JAX
        "asarray array device_put device_put_sharded device_put_replicated copy frombuffer "
        "from_dlpack make_array_from_callback make_array_from_process_local_data "
        # inside it
        "astype convert_element_type to_device bfloat16 "
        # out of it
        "device_get to_dlpack __dlpack__ __array__ tolist item float int bool complex"
    ).split()
)
"""Names of calls that ask for a conversion; all others that convert do so implicitly."""

DEEPEST: Final = 8
"""Levels of containers in which arguments are looked for."""
MOST_LEAVES: Final = 10_000


@cache
def array_type() -> type:
    """Return the class of JAX's arrays that hold data."""
    from jax._src.array import ArrayImpl

    found: type = ArrayImpl
    return found


def is_computing() -> bool:
    """Say whether operations run at once: no function is being traced on this thread."""
    from jax._src import core

    return bool(core.trace_ctx.is_top_level())


def is_by_jax(frame: FrameType) -> bool:
    """Say whether a line of JAX's own computes."""
    return short_file(frame.f_code.co_filename).startswith("jax/_src/")


@cache
def device_name(device: Any) -> str:
    """Return `cpu`, `cpu:1`, `cuda:0`."""
    platform = str(device.platform)
    if platform == "cpu":
        return "cpu" if device.id == 0 else f"cpu:{device.id}"
    if platform == "gpu" and str(device).startswith("cuda"):
        platform = "cuda"
    return f"{platform}:{device.id}"


@cache
def kind_of(dtype: DType, device: Any) -> Kind:
    """Return the kind of an array with this dtype on this device."""
    return Kind("jax", dtype.name, device_name(device))


def effects_between(seen: Seen, out: Seen) -> tuple[Effect, ...]:
    """Return the effects of making ``out`` of ``seen``, sorted."""
    effects = set(changes(seen, out))
    if seen.kind == Kind("python", "uint8"):  # bytes, which have no dtype
        effects.discard("cast")
    return with_transfer(seen, out, tuple(effects))


def devices_of(array: Any) -> list[Any]:
    """Return the devices that hold an array's data, in order."""
    return sorted(array.sharding.device_set, key=lambda one: one.id)


def in_c_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of an array that lies in C order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def describe_array(array: Any) -> Seen | None:
    """Return an array that lies on one device in numbers; None for any other.

    Waits until the array has memory, which an array that is still being computed may not have.
    """
    devices = array.sharding.device_set
    if len(devices) != 1:
        return None
    (device,) = devices
    try:
        address = array.unsafe_buffer_pointer()
    except RuntimeError:  # given away to a computation, or deleted
        return None
    return described(array, address, device)


def describe_first(array: Any) -> Seen | None:
    """Return the first of the equal copies of an array on several devices; None for any other."""
    if not array.is_fully_replicated:
        return None
    shard = array.addressable_shards[0]
    return described(array, shard.data.unsafe_buffer_pointer(), shard.device)


def described(array: Any, address: int, device: Any) -> Seen:
    """Return an array whose elements begin at ``address``."""
    shape: tuple[int, ...] = array.shape
    size = array.dtype.itemsize
    strides = in_c_order(shape)
    return Seen(
        kind_of(array.dtype, device),
        reach(address, shape, [step * size for step in strides], size),
        math.prod(shape) * size,
        shape,
        strides,
        swapped=False,
        identity=id(array),
    )


def describe_source(value: Any) -> Seen | None:
    """Return what JAX is given in numbers; None for scalars, tracers and what is no array."""
    seen = RUNNING.describe(value)
    if seen is None:
        torch = sys.modules.get("torch")
        if torch is not None and type(value).__module__.startswith("torch"):
            try:
                seen = seen_tensor(value)
            except (RuntimeError, AttributeError, TypeError):  # sparse, wrapped, or no tensor
                return None
    if seen is None or (seen.span is not None and not (seen.nbytes and seen.shape)):
        return None
    return seen


def ndarrays(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the ndarrays in an argument, in the containers that JAX looks into too."""
    import numpy as np

    kind = type(value)
    if issubclass(kind, np.ndarray):
        yield value
    elif depth < DEEPEST and issubclass(kind, list | tuple | dict):
        inner = dict.values(value) if issubclass(kind, dict) else value
        if len(inner) <= MOST_LEAVES:
            for one in inner:
                yield from ndarrays(one, depth + 1)


def holds_arrays(value: Any) -> bool:
    """Say whether a result is, or holds, an array with data."""
    from jax import tree_util

    kind = array_type()
    return type(value) is kind or any(type(leaf) is kind for leaf in tree_util.tree_leaves(value))
