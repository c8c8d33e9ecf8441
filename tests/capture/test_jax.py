"""JAX: what its makers, operators, compiled functions and reads convert, as memory tells it.

What is true of an expression is told apart from our own code: by the addresses of the ndarrays
and buffers themselves, looked at while no watch is on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tensortoll
from tensortoll.capture.probes.jax import handed, kinds, operators
from tensortoll.model import Conversion
from tensortoll.recording import Recording

N = 3600
START = """
import copy
import jax, jax.numpy as jnp, numpy as np
pool = np.zeros(4 * 3600, 'f4'); skip = -pool.ctypes.data % 64 // 4
pool[skip:skip + 3601] = np.arange(3601)  # whatever the allocator gave, the values are the same
even = pool[skip:skip + 3600]; odd = pool[skip + 1:skip + 3601]
x = np.arange(3600.0); i = np.arange(3600); grid = odd.reshape(60, 60)
line = [float(k) for k in range(3600)]
j = jnp.asarray(np.arange(3600.0)); w = jnp.ones(60); out = np.zeros(3600, 'f4')
f = jax.jit(lambda a: a * 2); tree = {'a': odd, 'b': [even]}
first = jax.devices()[0]; raw = odd.tobytes()
"""
D, F, H = 8 * N, 4 * N, 2 * N
FROM, TO = "numpy:float32", "jax:float32"
WIDE = "numpy:float64"


class Case(NamedTuple):
    """What is true of an expression; `copies` and what they write may depend on where a
    temporary array of JAX's own comes to lie, then it is a range."""

    expression: str
    outcome: str
    effects: str
    read: int
    written: tuple[int, int]
    copies: tuple[int, int]
    origin: str = FROM
    target: str = TO
    implicit: bool = False
    count: int = 1


def copied(
    expression: str, effects: str = "", *, nbytes: int = F, copies: int = 1, **others: Any
) -> Case:
    read = others.pop("read", nbytes)
    most = others.pop("most", copies)
    written = others.pop("written", nbytes)
    return Case(
        expression,
        "copy",
        effects,
        read,
        (written * copies, written * most),
        (copies, most),
        **others,
    )


def view(expression: str, **others: Any) -> Case:
    return Case(expression, "view", "", 0, (0, 0), (0, 0), **others)


BACK = {"origin": TO, "target": FROM}
OWN = {"origin": TO, "target": TO}
IMPLICIT = {"implicit": True}
CAST = {"read": D, "nbytes": D, "written": F, "origin": WIDE}
WHOLE = {"nbytes": 8 * N, "read": 8 * N, "written": F, "origin": "numpy:int64"}
CASES = [
    # made of an ndarray: an operation of JAX's copies it, and what lies badly is copied before
    copied("jnp.asarray(odd)", copies=2),
    copied("jnp.asarray(even)"),
    copied("jnp.array(odd)", copies=2),
    copied("jnp.copy(even)"),
    copied("jnp.asarray(odd, dtype=jnp.float32)"),
    view("jnp.asarray(even, dtype=jnp.float32)"),
    copied("jax.device_put(odd)"),
    view("jax.device_put(even)"),
    copied("jax.device_put(odd, first)"),
    copied("jax.device_put(even[::2])", "layout", nbytes=H),
    copied("jax.device_put(even[::-1])", "layout"),
    copied("jax.device_put(even.reshape(60, 60).T)", "layout"),
    view("jnp.from_dlpack(even)"),
    copied("jnp.from_dlpack(odd)"),
    copied("jnp.array(odd, ndmin=2)", copies=2),
    copied("jnp.asarray(odd, jnp.float16)", "cast", written=H, copies=2, most=3,
           target="jax:float16"),
    copied("jnp.bfloat16(odd)", "cast", written=H, target="jax:bfloat16"),
    copied("jnp.asarray(memoryview(odd))", copies=2, origin="python:float32"),
    copied("jnp.frombuffer(raw, dtype=jnp.float32)", copies=1, most=2,
           origin="python:uint8"),
    # 64-bit numbers become 32-bit ones in silence
    copied("jnp.asarray(x)", "cast", copies=2, most=3, **CAST),
    copied("jax.device_put(x)", "cast", copies=1, most=2, **CAST),
    copied("jnp.asarray(i)", "cast", copies=2, most=3, target="jax:int32", **WHOLE),
    copied("f(x)", "cast", copies=1, most=2, **CAST, **IMPLICIT),
    copied("j + x", "cast", copies=1, most=2, **CAST, **IMPLICIT),
    # Python objects
    copied("jnp.array(line)", "parse", read=0, origin="python:object"),
    copied("jnp.asarray([odd, odd])", "parse", read=0, written=2 * F, origin="python:object"),
    copied("jnp.asarray(range(3600))", "parse", read=0, origin="python:object",
           target="jax:int32"),
    # handed to what computes
    copied("f(odd)", **IMPLICIT),
    view("f(even)", **IMPLICIT),
    copied("f(odd[::2])", "layout", nbytes=H, **IMPLICIT),
    copied("f(a=odd)", **IMPLICIT),
    copied("f(*[odd])", **IMPLICIT),
    copied("jax.jit(lambda t: t['a'].sum())({'a': odd})", **IMPLICIT),
    copied("f.lower(odd).compile()(odd)", **IMPLICIT),
    copied("odd + j", **IMPLICIT),
    copied("j @ odd", **IMPLICIT),
    copied("j > odd", **IMPLICIT),
    copied("jnp.sin(odd)", **IMPLICIT),
    copied("jnp.sum(odd)", **IMPLICIT),
    view("jnp.sum(even)", **IMPLICIT),
    copied("jnp.dot(odd, j)", **IMPLICIT),
    copied("jnp.add(odd, j)", **IMPLICIT),
    copied("jnp.sum(even.reshape(60, 60).T > 0)", "layout", nbytes=N,
           origin="numpy:bool", target="jax:bool", **IMPLICIT),
    copied("jnp.linalg.norm(odd)", **IMPLICIT),
    copied("jax.nn.relu(odd)", **IMPLICIT),
    copied("jax.lax.add(j, odd)", **IMPLICIT),
    copied("jax.lax.scan(lambda c, a: (c + a, c), 0.0, odd)", **IMPLICIT),
    copied("j.at[:].set(odd)", **IMPLICIT),
    copied("j.dot(odd)", **IMPLICIT),
    copied("jax.vmap(lambda a: a * 2)(odd)", **IMPLICIT),
    copied("jax.grad(lambda v: jnp.sum(grid @ v))(w)", copies=1, most=2, **IMPLICIT),
    copied("jax.checkpoint(jnp.sum)(odd)", copies=1, most=2, **IMPLICIT),
    # inside JAX
    copied("jnp.array(j)", **OWN),
    copied("j.copy()", **OWN),
    copied("copy.deepcopy(j)", **OWN),
    copied("j.astype(jnp.float16)", "cast", written=H, origin=TO, target="jax:float16"),
    copied("jnp.asarray(j, jnp.bfloat16)", "cast", written=H, origin=TO, target="jax:bfloat16"),
    # out of JAX
    view("np.asarray(j)", **BACK),
    view("jax.device_get(j)", **BACK),
    view("np.from_dlpack(j)", **BACK),
    view("np.sin(j)", **BACK, **IMPLICIT),
    copied("np.array(j)", **BACK),
    copied("np.asarray(j, 'f8')", "cast", nbytes=F, written=D, origin=TO, target=WIDE),
    copied("j.tolist()", "unbox", written=0, origin=TO, target="python:float32"),
    copied("float(j[0])", "unbox", read=4, written=0, origin=TO, target="python:float32"),
    copied("j[1].item()", "unbox", read=4, written=0, origin=TO, target="python:float32"),
    copied("np.copyto(out, j)", **BACK),
]  # fmt: skip
VIEWS = [case.expression for case in CASES if case.outcome == "view"]

SILENT = """
jnp.asarray(j); jnp.asarray(j, jnp.float32); jax.device_put(j); jax.device_put(j, first)
j.astype(jnp.float32); jnp.asarray(3.0); jnp.asarray(np.float32(3)); jnp.float32(2)
jnp.zeros(5000); jnp.arange(5000); jnp.eye(80); jnp.linspace(0, 1, 5000); jnp.full(5000, 2.0)
jax.random.normal(jax.random.key(0), (5000,)); jax.random.split(jax.random.key(1), 2000)
j + 1; 2.0 * j; j + np.float32(1); j ** 2; -j; j @ j; j[::2]; j.T; j[None]; j[3:9]; j[j > 5]
j.reshape(60, 60); j.ravel(); j.flatten(); jnp.reshape(j, (60, 60)); jnp.transpose(j)
jnp.stack([j, j]); jnp.concatenate([j, j]); jnp.where(j > 0, j, 0.0); jnp.sort(j); jnp.split(j, 2)
j.at[5].set(1.0); j.at[:10].add(j[:10]); jnp.take(j, 5); jnp.sum(j); j.mean(); jnp.cumsum(j)
f(j); jax.jit(lambda a, b: a * b)(j, 2.0); jax.grad(lambda a: jnp.sum(a ** 2))(j)
jax.vmap(jnp.sin)(j); jax.value_and_grad(lambda a: jnp.sum(jnp.sin(a)))(j); jax.hessian(f)(w[:2])
jax.lax.scan(lambda c, a: (c + a, c), 0.0, j); jax.lax.fori_loop(0, 3, lambda n, c: c + 1, j)
jax.lax.cond(True, lambda c: c, lambda c: -c, j); jax.lax.map(lambda a: a + 1, j)
jax.tree.map(lambda leaf: leaf.shape, tree); jax.tree.leaves(tree); jax.eval_shape(f, odd)
jnp.shape(odd); jnp.ndim(odd); jnp.size(odd); jnp.result_type(odd); jnp.zeros_like(odd)
jnp.ones_like(odd); jax.make_jaxpr(f)(odd); jax.jit(lambda: jnp.asarray(odd))
jax.jit(lambda a: a + jnp.asarray(odd) + odd)(j); jax.jit(lambda a: jnp.stack([a, odd]))(j)
jax.jit(jax.grad(lambda a: jnp.sum(a * odd)))(j); jax.jit(jax.vmap(lambda a: a * odd))(j[:2])
jax.block_until_ready(j); j.block_until_ready(); jax.nn.softmax(j); jnp.linalg.norm(j); j.dtype
jax.make_array_from_single_device_arrays; jax.lax.stop_gradient(j); j.view(jnp.int32); j.nbytes
np.shape(j); np.ndim(j); np.size(j); np.result_type(j); np.iscomplexobj(j); np.zeros_like(j)
np.sum(j); np.mean(j); np.max(j, axis=0); np.argmax(j); np.transpose(j); np.squeeze(j); np.std(j)
repr(j); str(j); f'{j}'; print(j, file=open(__import__('os').devnull, 'w')); len(j); list(j[:2])
{'a': j}['a']; [a for a in (j, j)]; (lambda a: a)(odd); max([1, 2]); len(odd); sum([odd[0], 1.0])
"""


def ran(text: str, namespace: dict[str, Any] | None = None) -> Recording:
    recording = tensortoll.run_source(START + text, "case.py", namespace, memory=False, time=False)
    assert recording.faults == ()
    return recording


def last_line(recording: Recording, text: str) -> list[Conversion]:
    """Return what was counted on the last line of a text."""
    line = len((START + text).rstrip().splitlines())
    return [one for one in recording.conversions if one.route.place.line == line]


def address(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return int(value.__array_interface__["data"][0])
    return int(value.unsafe_buffer_pointer())


@pytest.mark.parametrize("case", CASES, ids=[one.expression for one in CASES])
def test_a_conversion_is_reported_as_memory_tells_it(case: Case) -> None:
    """Outcome, effects, copies, bytes and kinds of each conversion are what they are."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    result = eval(case.expression, namespace)
    converted = isinstance(result, np.ndarray | jax.Array) and not case.implicit
    if converted and case.target.partition(":")[0] in {"jax", "numpy"}:
        stood = [one for one in namespace.values() if isinstance(one, np.ndarray | jax.Array)]
        starts = {address(one) for one in stood if one is not result}
        assert (address(result) in starts) is (case.outcome == "view")
        if case.outcome == "copy":
            assert case.written[0] % result.nbytes == 0
            assert case.written[0] // result.nbytes == case.copies[0]

    [one] = last_line(ran(case.expression), case.expression)

    route, totals = one.route, one.totals
    assert (route.outcome, "+".join(route.effects)) == (case.outcome, case.effects)
    assert totals.count == case.count
    assert case.copies[0] <= totals.copies <= case.copies[1]
    assert case.written[0] <= totals.bytes_written <= case.written[1]
    assert case.read == totals.bytes_read or case.copies[0] != case.copies[1]
    assert f"{route.origin.library}:{route.origin.dtype}" == case.origin
    assert f"{route.target.library}:{route.target.dtype}" == case.target
    assert route.implicit is case.implicit


@pytest.mark.parametrize(("name", "shared"), [("even", True), ("odd", False), ("even[::2]", False)])
def test_a_compiled_function_takes_arrays_in_as_they_lie(name: str, shared: bool) -> None:
    """What a compiled function did in C shows from memory, by a write that comes in between.

    The function waits for another, slow computation. An array that it shares is written
    meanwhile, and the result tells; one that was copied when the function was called is not.
    """
    text = f"""
slow = jax.jit(lambda m: jnp.linalg.matrix_power(m, 40)[0, :1] * 0)
start = jnp.zeros((900, 900)); slow(start).block_until_ready()
g = jax.jit(lambda zero, a: a + zero); given = {name}
g(slow(start), given).block_until_ready(); before = given[0]
pending = g(slow(start), given)
given[0] = before + 1
shared = bool(pending[0] == before + 1)
"""
    namespace: dict[str, Any] = {}
    exec(START + text, namespace)

    assert namespace["shared"] is shared


def test_what_converts_nothing_is_silent() -> None:
    """Computing in JAX, tracing, transforming, looking and sharing are not reported."""
    first = len(START.splitlines())
    loud = [
        (one.route.place.expression, one.route.outcome, one.totals)
        for one in ran(SILENT).conversions
        if one.route.place.line > first and one.totals.bytes_written + one.totals.bytes_read > 64
    ]
    assert loud == []


SITUATIONS = {
    "list(map(f, [odd, odd]))": ("map(f, [odd, odd])", 2, 2 * F, "main"),
    "import functools\nh = functools.partial(jax.jit(lambda a, b: a + b), odd)\nh(odd)": (
        "h(odd)",
        2,
        2 * F,
        "main",
    ),
    "import functools\nlist(map(functools.partial(f), [odd] * 3))": (
        "map(functools.partial(f), [odd] * 3)",
        3,
        3 * F,
        "main",
    ),
    "jax.tree.map(f, {'a': odd, 'b': [odd]})": (
        "jax.tree.map(f, {'a': odd, 'b': [odd]})",
        2,
        2 * F,
        "main",
    ),
    "from concurrent.futures import ThreadPoolExecutor as P\n"
    "with P(2) as p: list(p.map(f, [odd] * 4))": ("p.map(f, [odd] * 4)", 4, 4 * F, "thread"),
    "from concurrent.futures import ThreadPoolExecutor as P\n"
    "with P(2) as p: p.submit(f, odd).result()": ("p.submit(f, odd)", 1, F, "thread"),
    "for b in (odd, odd, odd): f(b)": ("f(b)", 3, 3 * F, "main"),
    "def g(a):\n    return jnp.asarray(a)\nfor _ in range(2): g(even)": (
        "jnp.asarray(a)",
        2,
        2 * F,
        "main",
    ),
    "from concurrent.futures import ThreadPoolExecutor as P\n"
    "with P(2) as p: list(p.map(lambda a: f(a), [odd] * 4))": ("f(a)", 4, 4 * F, "thread"),
    "import threading\n"
    "t = threading.Thread(target=lambda: jax.device_put(odd)); t.start(); t.join()": (
        "jax.device_put(odd)",
        1,
        F,
        "thread",
    ),
    "jax.tree.map(jnp.asarray, {'a': even, 'b': [even]})": (
        "jax.tree.map(jnp.asarray, {'a': even, 'b': [even]})",
        2,
        2 * F,
        "main",
    ),
    "list(map(jnp.asarray, [even, even]))": (
        "list(map(jnp.asarray, [even, even]))",
        2,
        2 * F,
        "main",
    ),
    "class M:\n    def __init__(self): self.f = jax.jit(lambda a: a + 1)\n"
    "    def __call__(self, a): return self.f(a)\nM()(odd)": ("self.f(a)", 1, F, "main"),
    "import functools\n@functools.partial(jax.jit, static_argnums=1)\n"
    "def g(a, n): return a * n\ng(odd, 3)": ("g(odd, 3)", 1, F, "main"),
    "@jax.jit\ndef g(pair): return pair[0] + pair[1]['y']\ng((odd, {'y': odd}))": (
        "g((odd, {'y': odd}))",
        2,
        2 * F,
        "main",
    ),
    "def loss(v, a): return jnp.sum(a @ v)\njax.jit(jax.grad(loss))(w, grid)": (
        "jax.jit(jax.grad(loss))(w, grid)",
        1,
        F,
        "main",
    ),
    "try: f(np.array(['a'] * 2000, object))\nexcept TypeError: pass\nf(odd)": (
        "f(odd)",
        1,
        F,
        "main",
    ),
}


@pytest.mark.parametrize("text", SITUATIONS)
def test_the_innermost_line_of_the_users_is_charged(text: str) -> None:
    """Loops, threads, methods, containers, transformed functions: each array counts once."""
    expression, count, written, where = SITUATIONS[text]
    first = len(START.splitlines())
    found = [
        one
        for one in ran(text).conversions
        if one.route.place.line > first and one.route.target.library == "jax"
    ]
    assert {expression} == {one.route.place.expression for one in found}
    assert count == sum(one.totals.count for one in found)
    assert written == sum(one.totals.bytes_written for one in found)
    assert {where} == {one.route.where for one in found}


def test_functions_named_before_the_watch_are_seen() -> None:
    """A maker that an earlier cell imported by name counts, once, like one called through jax."""
    namespace: dict[str, Any] = {}
    exec(START + "from jax.numpy import asarray as make\nput = jax.device_put\n", namespace)
    text = "a = make(even)\nb = put(odd)\nc = f(odd)\n"
    recording = tensortoll.run_source(text, "cell.py", namespace, memory=False, time=False)
    rows = [(one.route.place.line, *one.totals[:2]) for one in recording.conversions]

    assert [(1, 1, 1), (2, 1, 1), (3, 1, 1)] == sorted(rows)


def test_a_block_sees_makers_and_operators() -> None:
    """`record()` rewrites nothing, and still sees what the hooks see."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    with tensortoll.record() as recorder:
        jnp.asarray(namespace["even"])
        namespace["j"] + namespace["odd"]
        float(namespace["j"][0])
    rows = [(one.route.operation, one.totals.count) for one in recorder.recording.conversions]

    assert [("+", 1), ("float", 1), ("jnp.asarray", 1)] == sorted(rows)


def test_results_are_those_of_an_unwatched_run() -> None:
    """Values, dtypes and types are the same, and so is what a function is to JAX."""
    text = """
a = jnp.asarray(odd); b = f(odd) + odd; c = jax.grad(lambda v: jnp.sum((grid @ v) ** 2))(w)
d = jax.device_get({'k': b}); e = jax.jit(lambda a: a + 1)(x); g = jax.vmap(lambda r: r @ w)(grid)
h = jax.device_put(tree); k = float(b[3]), b[:3].tolist(), (odd * j).dtype, type(j == odd)
m = jnp.stack([odd, even]); n = j[np.arange(9)]; q = jnp.array(line, dtype=jnp.bfloat16)
import inspect
said = str(inspect.signature(jnp.asarray)), jnp.asarray.__name__, jnp.asarray.__module__
"""
    plain: dict[str, Any] = {}
    exec(START + text, plain)
    watched: dict[str, Any] = {}
    ran(text, watched)

    for name in "abcdeghmnq":
        one, other = jax.tree.leaves(plain[name]), jax.tree.leaves(watched[name])
        assert [(type(a), a.dtype) for a in one] == [(type(a), a.dtype) for a in other]
        same = [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
        assert all(same), name
    assert plain["k"] == watched["k"]
    assert plain["said"] == watched["said"]


def test_an_error_of_jax_is_the_users_and_leaves_nothing_behind() -> None:
    """What JAX raises goes to the user's code; the next call counts as if nothing had happened."""
    text = """
for bad in (np.array(['a'] * 2000), np.ones(7, 'f4')):
    try:
        jnp.dot(bad, odd)
    except (TypeError, ValueError) as error:
        said = str(error)
f(odd)
"""
    namespace: dict[str, Any] = {}
    recording = ran(text, namespace)
    [one] = last_line(recording, text)

    assert "dot" in namespace["said"]
    assert (one.totals.count, one.totals.bytes_written) == (1, F)


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("module", "name"),
    [(handed, "settle"), (kinds, "describe_array"), (operators, "add_leaf"), (operators, "bare")],
)
def test_a_failure_of_ours_never_reaches_the_user(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text does what it does; the failure stands in the recording."""
    text = "y = np.asarray(f(odd) + odd); z = jnp.asarray(odd); j[np.arange(9)]; float(z[0])\n"
    namespace: dict[str, Any] = {}
    original = getattr(module, name)
    with monkeypatch.context() as patched:
        for one in tuple(sys.modules.values()):
            ours = getattr(one, "__name__", "").startswith("tensortoll.capture.probes.jax")
            if ours and vars(one).get(name) is original:
                patched.setattr(one, name, broken)
        recording = tensortoll.run_source(
            START + text, "case.py", namespace, memory=False, time=False
        )

    assert np.array_equal(namespace["y"], 3 * namespace["odd"])
    assert any("on purpose" in fault for fault in recording.faults)


def in_a_process(text: str, **environment: str) -> str:
    """Run a text in a process of its own, where JAX has two devices, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


DEVICES = """
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import jax, jax.numpy as jnp, numpy as np
one, two = jax.devices()
mesh = Mesh(np.array([one, two]), 'x'); halves = NamedSharding(mesh, P('x'))
both = NamedSharding(mesh, P()); x = np.arange(5001, dtype='f4')[1:]; x = np.append(x, 1)[1:]
j = jnp.arange(5000.0)
k = jax.device_put(j, two)
k2 = j.to_device(two)
same = jax.device_put(j, one)
back = jax.device_put(k, one)
s = jax.device_put(j, halves)
again = jax.device_put(s, halves)
r = jax.device_put(j, both)
a = np.asarray(s)
b = np.asarray(r)
c = np.asarray(k)
d = jax.device_get(s)
e = k * 2 + 1
"""


def test_moves_between_devices_have_their_devices_and_bytes() -> None:
    """A move to another device is a copy; to the same one, or read in place, it is none."""
    text = f"""
    import tensortoll
    text = {DEVICES!r}
    namespace = {{}}
    recording = tensortoll.run_source(text, "two.py", namespace, memory=False, time=False)
    assert recording.faults == (), recording.faults
    lines = text.splitlines()
    for one in recording.conversions:
        route = one.route
        if one.totals.bytes_written > 100 or route.outcome == "view":
            what = lines[route.place.line - 1].partition(" =")[0]
            print(what, route.outcome, "+".join(route.effects) or "-", route.origin.device,
                  route.target.device, one.totals.copies, one.totals.bytes_written)
    pointer = lambda a: a.unsafe_buffer_pointer()
    assert pointer(namespace["j"]) == pointer(namespace["same"]) != pointer(namespace["k"])
    assert namespace["c"].ctypes.data == pointer(namespace["k"])
    shards = [pointer(one.data) for one in namespace["r"].addressable_shards]
    assert namespace["b"].ctypes.data in shards
    """
    rows = in_a_process(text).splitlines()
    assert sorted(
        (
            "k copy d2d cpu cpu:1 1 20000",
            "k2 copy d2d cpu cpu:1 1 20000",
            "back copy d2d cpu:1 cpu 1 20000",
            "s copy d2d cpu cpu 1 20000",
            "r copy d2d cpu cpu 1 20000",
            "a copy - cpu cpu 1 20000",
            "b view - cpu cpu 0 0",
            "c view - cpu:1 cpu 0 0",
            "d copy - cpu cpu 1 20000",
        )
    ) == sorted(row for row in rows if row.split()[0] not in {"mesh", "both"})


def test_texts_that_do_not_use_jax_keep_their_calls() -> None:
    """Where a text names nothing of JAX's, none of its calls is looked at for JAX's sake."""
    text = "def g(a): return a\nfor n in range(3): g(n)\n"
    namespace: dict[str, Any] = {}
    tensortoll.run_source(text, "plain.py", namespace, memory=False, time=False)
    import ast

    from tensortoll.capture.probes.jax import JaxProbe
    from tensortoll.capture.rewriting.handing import Handing
    from tensortoll.capture.rewriting.rewriter import rewrite
    from tensortoll.model import Source

    def calls(source: str) -> int:
        tree = ast.parse(source)
        made = rewrite(tree, Source("t", source), JaxProbe.rewrites, frozenset(), {})
        return sum(isinstance(one, Handing) for one in made.expressions.values())

    assert (0, 2) == (calls(text), calls("import jax\nh(1, 2)\nh(x)\nh(y, z)\n"))


def test_nothing_of_the_users_is_held() -> None:
    """Arrays that were handed to JAX die when the user lets go of them."""
    text = """
import gc, weakref
y = odd.copy(); z = jnp.asarray(y); f(y); z + y; died = [weakref.ref(y), weakref.ref(z)]
del y, z
gc.collect()
left = [ref() is None for ref in died]
"""
    namespace: dict[str, Any] = {}
    ran(text, namespace)
    assert namespace["left"] == [True, True]
