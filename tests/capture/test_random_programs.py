"""Random programs of conversions over NumPy, torch, TensorFlow and JAX, held against addresses.

The oracle knows nothing of our code. It asks the arrays that a program has left, all of them
alive, where they lie and how large they are: a result that lies in the memory of what it was made
of is a view, any other is a copy of so many bytes. `TENSORTOLL_PROGRAMS=5000` runs as many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

import tensortoll
from tensortoll.model import Conversion

PROGRAMS = int(os.environ.get("TENSORTOLL_PROGRAMS", "100"))
PER_TEST = 20
LONGEST = 12
DTYPES = "float16 float32 float64 int8 int16 int32 int64 uint8 bool complex64".split()
SHAPES = ((2,), (7,), (60,), (4096,), (2, 3), (5, 8), (16, 16), (30, 40), (3, 4, 5), (2, 2, 2500))
"""Few, as JAX and TensorFlow compile anew for each; slices and turns make more of them."""
COUNT, COPIES, WRITTEN = 0, 1, 3
"""Where these stand in `Totals`."""
MOST = 3
"""Times that TensorFlow and JAX write an array on its way, as temporary arrays come to lie."""


class Step(NamedTuple):
    """One way to make an array of another."""

    library: str
    """Of what it is made."""
    text: str
    """`{a}` stands for the array, `{d}` for a dtype of the library's."""
    target: str
    """The library of the result."""
    most: int = 1
    """Times that the data may be written."""
    computes: bool = False
    """Whether the result is no conversion, wherever it lies."""
    fits: Callable[[Any], bool] = lambda _: True


def plain(a: np.ndarray[Any, Any]) -> bool:
    """What torch takes: no negative strides, writable."""
    return all(step > 0 for step in a.strides) and a.flags.writeable


def in_c(a: Any) -> bool:
    return bool(a.flags.c_contiguous)


def even(a: Any) -> bool:
    """What JAX takes from DLPack: in C order without gaps, and not read-only."""
    return bool(a.flags.c_contiguous and a.flags.writeable)


def dense(t: torch.Tensor) -> bool:
    return t.is_contiguous()


STEPS = (
    Step("numpy", "{a}.astype({d})", "numpy"),
    Step("numpy", "{a}.copy()", "numpy"),
    Step("numpy", "np.array({a})", "numpy"),
    Step("numpy", "np.asarray({a}, {d})", "numpy"),
    Step("numpy", "np.ascontiguousarray({a})", "numpy"),
    Step("numpy", "{a}[1:]", "numpy"),
    Step("numpy", "{a}.T", "numpy"),
    Step("numpy", "{a}[..., ::2]", "numpy"),
    Step("numpy", "{a} + {a}", "numpy", computes=True),
    Step("numpy", "torch.from_numpy({a})", "torch", fits=plain),
    Step("numpy", "torch.as_tensor({a})", "torch", fits=plain),
    Step("numpy", "torch.tensor({a})", "torch", fits=plain),
    Step("numpy", "torch.tensor({a}, dtype=torch.float32)", "torch", fits=plain),
    Step("numpy", "torch.asarray({a}, copy=True)", "torch", fits=plain),
    Step("numpy", "torch.from_dlpack({a})", "torch", fits=plain),
    Step("numpy", "tf.constant({a})", "tensorflow", MOST),
    Step("numpy", "tf.convert_to_tensor({a})", "tensorflow", MOST),
    Step("numpy", "tf.identity({a})", "tensorflow", MOST),
    Step("numpy", "jnp.asarray({a})", "jax", MOST),
    Step("numpy", "jnp.array({a}, dtype=jnp.float32)", "jax", MOST),
    Step("numpy", "jax.device_put({a})", "jax", MOST),
    Step("numpy", "jnp.copy({a})", "jax", MOST),
    Step("numpy", "jnp.from_dlpack({a})", "jax", fits=even),
    Step("numpy", "jax.device_put([{a}])[0]", "jax", MOST),
    Step("torch", "{a}.numpy()", "numpy"),
    Step("torch", "np.asarray({a})", "numpy"),
    Step("torch", "np.array({a})", "numpy"),
    Step("torch", "np.from_dlpack({a})", "numpy"),
    Step("torch", "{a}.clone()", "torch"),
    Step("torch", "{a}.to({d})", "torch"),
    Step("torch", "{a}.contiguous()", "torch"),
    Step("torch", "{a}[1:]", "torch"),
    Step("torch", "{a}.mT if {a}.ndim > 1 else {a}[:]", "torch"),
    Step("torch", "{a}.logical_not()", "torch", computes=True),
    Step("torch", "tf.constant({a})", "tensorflow", MOST),
    Step("torch", "jnp.asarray({a})", "jax", MOST),
    Step("torch", "jnp.from_dlpack({a})", "jax", fits=dense),
    Step("tensorflow", "{a}.numpy()", "numpy"),
    Step("tensorflow", "np.asarray({a})", "numpy"),
    Step("tensorflow", "np.array({a})", "numpy"),
    Step("tensorflow", "tf.cast({a}, {d})", "tensorflow"),
    Step("tensorflow", "tf.identity({a})", "tensorflow"),
    Step("tensorflow", "{a}[1:]", "tensorflow", computes=True),
    Step("tensorflow", "jnp.asarray({a})", "jax", MOST),
    Step("jax", "np.asarray({a})", "numpy"),
    Step("jax", "np.array({a})", "numpy"),
    Step("jax", "jax.device_get({a})", "numpy"),
    Step("jax", "np.from_dlpack({a})", "numpy"),
    Step("jax", "{a}.copy()", "jax"),
    Step("jax", "{a}.astype({d})", "jax"),
    Step("jax", "jnp.array({a})", "jax"),
    Step("jax", "jnp.asarray({a})", "jax"),
    Step("jax", "jax.device_put({a})", "jax"),
    Step("jax", "{a}[1:]", "jax", computes=True),
    Step("jax", "{a}.T", "jax", computes=True),
    Step("jax", "{a}.reshape(-1)", "jax", computes=True),
    Step("jax", "{a} == {a}", "jax", computes=True),
    Step("jax", "torch.from_dlpack({a})", "torch"),
    Step("jax", "tf.constant({a})", "tensorflow", MOST),
)
PREFIX = {"numpy": "np", "torch": "torch", "tensorflow": "tf", "jax": "jnp"}
MODULES = {"np": np, "torch": torch, "tf": tf, "jnp": jnp, "jax": jax}


# --------------------------------------------------------------------------------- the oracle


class Lies(NamedTuple):
    """Where an array lies, as the array itself tells."""

    library: str
    dtype: str
    elements: frozenset[int] | range
    """Addresses of all elements."""
    nbytes: int


def library_of(value: Any) -> str:
    kinds = {np.ndarray: "numpy", torch.Tensor: "torch", jax.Array: "jax", tf.Tensor: "tensorflow"}
    return next(name for kind, name in kinds.items() if isinstance(value, kind))


def lies(value: Any) -> Lies:
    library = library_of(value)
    shape = tuple(value.shape)
    size = int(np.dtype(value.dtype.as_numpy_dtype).itemsize) if library == "tensorflow" else 0
    if library == "numpy":
        start, size = int(value.__array_interface__["data"][0]), value.itemsize
        strides, dtype = value.strides, value.dtype.name
    elif library == "torch":
        start, size = value.data_ptr(), value.element_size()
        strides = tuple(step * size for step in value.stride())
        dtype = str(value.dtype).removeprefix("torch.")
    elif library == "tensorflow":
        start = int(np.frombuffer(memoryview(value), np.uint8).__array_interface__["data"][0])
        strides, dtype = None, value.dtype.name
    else:
        start, size = value.unsafe_buffer_pointer(), value.dtype.itemsize
        strides, dtype = None, value.dtype.name
    items = int(np.prod(shape, dtype=np.int64))
    if strides is None:
        return Lies(library, dtype, range(start, start + items * size, size), items * size)
    places = np.full(shape, start, np.int64)
    for axis, (n, step) in enumerate(zip(shape, strides, strict=True)):
        places += (np.arange(n) * step).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return Lies(library, dtype, frozenset(places.ravel().tolist()), items * size)


def share(one: Lies, other: Lies) -> bool:
    return not frozenset(one.elements).isdisjoint(other.elements)


def check(step: Step, source: Any, result: Any, found: list[Conversion]) -> list[str]:
    """Return what is wrong with the report on one line."""
    silent = {"should be silent": not found}
    if result is source or step.computes:
        claims = silent
    else:
        before, after = lies(source), lies(result)
        if not share(before, after):
            claims = copy_claims(step, before, after, found)
        else:
            claims = silent if before.library == after.library else view_claims(found)
    return [claim for claim, holds in claims.items() if not holds]


def view_claims(found: list[Conversion]) -> dict[str, bool]:
    told = [(one.route.outcome, *one.totals[:4]) for one in found]
    return {"should be one view": told == [("view", 1, 0, 0, 0)]}


def copy_claims(step: Step, before: Lies, after: Lies, found: list[Conversion]) -> dict[str, bool]:
    count, times, written = (
        sum(one.totals[part] for one in found) for part in (COUNT, COPIES, WRITTEN)
    )
    most = step.most * max(before.nbytes, after.nbytes)
    casts = any("cast" in one.route.effects for one in found)
    return {
        "should be a copy, and no view": {"copy"} == {one.route.outcome for one in found},
        "should be one conversion": count == 1,
        f"writes its {after.nbytes} bytes, {step.most} times at most": (
            1 <= times <= step.most and after.nbytes <= written <= most
        ),
        "writes them once": step.most > 1 or written == after.nbytes,
        "a cast is where the dtypes differ": casts is (before.dtype != after.dtype),
        f"begins in {before[:2]}": {before[:2]} == {one.route.origin[:2] for one in found},
        f"ends in {after[:2]}": {after[:2]} == {one.route.target[:2] for one in found},
    }


def same(one: Any, other: Any) -> bool:
    """Say whether two runs have left the same value."""
    if type(one) is not type(other) or one.dtype != other.dtype:
        return False
    return np.array_equal(as_array(one), as_array(other), equal_nan=True)


def as_array(value: Any) -> Any:
    array = np.asarray(value.float() if getattr(value, "dtype", 0) is torch.bfloat16 else value)
    return array if array.dtype.kind in "biufc" else array.astype(np.float32)


# ------------------------------------------------------------------------------- the programs


class Program(NamedTuple):
    seed: int
    text: str
    steps: tuple[tuple[str, str, Step], ...]
    """Name of the result, name of the source, step; one for each line."""
    inputs: Callable[[], dict[str, Any]]


def source_arrays(seed: int) -> dict[str, Any]:
    """Return arrays of random dtype, shape, strides and alignment; the same for a seed."""
    dice = random.Random(seed)
    made = {}
    for number in range(dice.randint(1, 3)):
        dtype = np.dtype(dice.choice(DTYPES))
        shape = dice.choice(SHAPES)
        items = int(np.prod(shape)) * 2
        pool = np.zeros(items * dtype.itemsize + 256, np.uint8)
        residue = dice.choice((0, 0, dtype.itemsize, 2 * dtype.itemsize, 16, 32, 48)) % 64
        start = -pool.ctypes.data % 64 + residue
        flat = pool[start : start + items * dtype.itemsize].view(dtype)
        flat[:] = (np.arange(items) % 100).astype(dtype)
        shapes = {
            "plain": lambda a, s: a[: len(a) // 2].reshape(s),
            "every second": lambda a, s: (
                a[::2].reshape(s) if len(s) == 1 else a[: len(a) // 2].reshape(s)[..., ::2]
            ),
            "turned": lambda a, s: a[: len(a) // 2].reshape(s).T,
            "backwards": lambda a, s: a[: len(a) // 2].reshape(s)[::-1],
        }
        way = dice.choice(("plain", "plain", *shapes))
        made[f"v{number}"] = shapes[way](flat, shape)
    return made


def programs(first: int, many: int) -> Iterator[Program]:
    for seed in range(first, first + many):
        yield program(seed)


def program(seed: int) -> Program:
    """Write a program by trying each line out: only what runs stands in it."""
    dice = random.Random(-1 - seed)
    namespace = {**MODULES, **source_arrays(seed)}
    names = [name for name in namespace if name.startswith("v")]
    lines: list[str] = []
    steps: list[tuple[str, str, Step]] = []
    for _ in range(dice.randint(1, LONGEST)):
        for _try in range(20):
            source = dice.choice(names)
            value = namespace[source]
            library = library_of(value)
            step = dice.choice([one for one in STEPS if one.library == library])
            dtype = f"{PREFIX[library]}.{dice.choice(DTYPES)}".replace("np.bool", "np.bool_")
            text = step.text.format(a=source, d=dtype.replace("jnp.bool", "jnp.bool_"))
            if not step.fits(value):
                continue
            try:
                result = eval(text, namespace)
                shape = result.shape
            except Exception:  # this library does not take this array
                continue
            if not shape or not all(shape):
                continue
            name = f"v{len(names)}"
            namespace[name] = result
            names.append(name)
            lines.append(f"{name} = {text}")
            steps.append((name, source, step))
            break
    return Program(seed, "\n".join(lines) + "\n", tuple(steps), lambda: source_arrays(seed))


@pytest.mark.parametrize("first", range(0, PROGRAMS, PER_TEST))
@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning", "ignore::DeprecationWarning"
)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_what_is_recorded_equals_what_addresses_say(first: int) -> None:
    """Each line of a random program is reported as its arrays lie, and its values are the same."""
    for one in programs(first, min(PER_TEST, PROGRAMS - first)):
        plain_run = {**MODULES, **one.inputs()}
        exec(one.text, plain_run)
        watched = {**MODULES, **one.inputs()}
        recording = tensortoll.run_source(one.text, "program.py", watched, memory=False, time=False)

        assert recording.faults == (), one
        for number, (name, source, step) in enumerate(one.steps, 1):
            found = [c for c in recording.conversions if c.route.place.line == number]
            wrong = check(step, watched[source], watched[name], found)
            told = [(*c.route[2:4], c.route.origin, c.route.target, c.totals[:4]) for c in found]
            line = one.text.splitlines()[number - 1]
            where = f"program {one.seed}, line {number}: {line}: {wrong}; told: {told}"
            assert not wrong, f"{where}\n{one.text}"
            assert same(plain_run[name], watched[name]), f"{where}: another value"
