"""NumPy: every conversion of the text's own is reported, with its cost, and nothing else is.

What is true of an expression is told by memory, apart from our own code: NumPy itself is asked
whether the result shares memory with what it was made of.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensortoll
from tensortoll.capture.runtime import expressions, judging, stores, storing
from tensortoll.model import Conversion
from tensortoll.recording import Recording

N = 3600
START = """
import array, copy
import numpy as np
x = np.arange(3600.0).reshape(60, 60); f = x.astype('f4'); i = np.arange(3600, dtype='i4')
line = [float(k) for k in range(3600)]; rows = [x[0], x[1]]; out = np.zeros((60, 60), 'f4')
swapped = i.astype('>i4'); wide = np.broadcast_to(x[0], (60, 60)); raw = bytearray(28800)
names = np.array(['abc'] * 3600); days = np.arange('2000-01-01', '2010-01-01', dtype='M8[D]')
masked = np.ma.masked_greater(x, 5.0); pairs = np.zeros(3600, [('a', 'f8'), ('b', 'i4')])
"""


class Case(NamedTuple):
    expression: str
    outcome: str
    effects: str
    read: int
    written: int
    origin: str
    target: str


D, F, H, B = 8 * N, 4 * N, 2 * N, N
CASES = [
    Case("x.astype('f4')", "copy", "cast", D, F, "numpy:float64", "numpy:float32"),
    Case("x.astype('f8')", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case(
        "x.astype('f4', order='F')", "copy", "cast+layout", D, F, "numpy:float64", "numpy:float32"
    ),
    Case("x.astype(bool)", "copy", "cast", D, B, "numpy:float64", "numpy:bool"),
    Case("x.astype(np.int8)", "copy", "cast", D, B, "numpy:float64", "numpy:int8"),
    Case("x.astype(np.float16)", "copy", "cast", D, H, "numpy:float64", "numpy:float16"),
    Case("x.astype(complex)", "copy", "cast", D, 2 * D, "numpy:float64", "numpy:complex128"),
    Case("x.astype(object)", "copy", "cast", D, D, "numpy:float64", "numpy:object"),
    Case("names.astype('S3')", "copy", "cast", 12 * N, 3 * N, "numpy:str", "numpy:bytes"),
    Case(
        "days.astype('i8')",
        "copy",
        "cast",
        3653 * 8,
        3653 * 8,
        "numpy:datetime64[D]",
        "numpy:int64",
    ),
    Case("np.float32(x)", "copy", "cast", D, F, "numpy:float64", "numpy:float32"),
    Case("np.complex64(x)", "copy", "cast", D, D, "numpy:float64", "numpy:complex64"),
    Case("np.asarray(f, dtype=float)", "copy", "cast", F, D, "numpy:float32", "numpy:float64"),
    Case("np.array(x)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("np.array(x, ndmin=3)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("np.copy(x)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("np.matrix(x)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("np.ma.array(x, copy=True)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("masked.copy()", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("copy.deepcopy(x)", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("x.flatten()", "copy", "", D, D, "numpy:float64", "numpy:float64"),
    Case("x.flatten('F')", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("x.ravel('F')", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("x.reshape(-1, order='F')", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("np.reshape(x.T, -1)", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("x.T.copy()", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("x.copy(order='F')", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("x[::-1].copy()", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("np.ascontiguousarray(x.T)", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case(
        "np.ascontiguousarray(x[:, ::2])",
        "copy",
        "layout",
        D // 2,
        D // 2,
        "numpy:float64",
        "numpy:float64",
    ),
    Case("np.ascontiguousarray(wide)", "copy", "layout", 480, D, "numpy:float64", "numpy:float64"),
    Case(
        "np.require(x, 'f4', ['F'])", "copy", "cast+layout", D, F, "numpy:float64", "numpy:float32"
    ),
    Case("np.asfortranarray(x)", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("i.byteswap()", "copy", "layout", F, F, "numpy:int32", "numpy:int32"),
    Case("swapped.astype('i4')", "copy", "layout", F, F, "numpy:int32", "numpy:int32"),
    Case("pairs['a'].copy()", "copy", "layout", D, D, "numpy:float64", "numpy:float64"),
    Case("np.array(line)", "copy", "parse", 0, D, "python:object", "numpy:float64"),
    Case("np.asarray(tuple(line), 'f4')", "copy", "parse", 0, F, "python:object", "numpy:float32"),
    Case("np.array(rows)", "copy", "parse", 0, 960, "python:object", "numpy:float64"),
    Case("np.asarray(range(3600))", "copy", "parse", 0, D, "python:object", "numpy:int64"),
    Case(
        "np.fromiter((k for k in line), float)",
        "copy",
        "parse",
        0,
        D,
        "python:object",
        "numpy:float64",
    ),
    Case(
        "np.fromiter(array.array('d', line), 'f4')",
        "copy",
        "parse",
        0,
        F,
        "python:float64",
        "numpy:float32",
    ),
    Case("np.fromiter(x[0], 'f4')", "copy", "parse", 0, 240, "numpy:float64", "numpy:float32"),
    Case("np.frombuffer(raw)", "view", "", 0, 0, "python:uint8", "numpy:float64"),
    Case("np.asarray(memoryview(x))", "view", "", 0, 0, "python:float64", "numpy:float64"),
    Case("np.array(array.array('d', line))", "copy", "", D, D, "python:float64", "numpy:float64"),
    Case("x.tolist()", "copy", "unbox", D, 0, "numpy:float64", "python:float64"),
    Case("x.item(5)", "copy", "unbox", 8, 0, "numpy:float64", "python:float64"),
    Case("x.tobytes()", "copy", "", D, D, "numpy:float64", "python:uint8"),
]

STORES = {
    "out[...] = x": (F, "cast"),
    "out[0] = f[1]": (240, ""),
    "out[:] = [[1.0] * 60] * 60": (F, "parse"),
    "out[0] = x[1] * 2": (240, "cast"),
    "out[1:3] = x[:2]": (480, "cast"),
    "out[0] = f.T[1]": (240, "layout"),
    "np.copyto(out, x)": (F, "cast"),
}

SILENT = """
x.astype('f8', copy=False); np.asarray(x); np.asarray(x, float); np.ascontiguousarray(x)
np.require(x)
memoryview(x).tolist(); raw.copy(); copy.copy(raw); copy.deepcopy(raw); memoryview(raw).tobytes()
np.ascontiguousarray(x[0]); x.ravel(); x.reshape(-1); x.reshape(30, 120); np.array(x, copy=None)
x.T; x[::2]; x.view('i8'); x.squeeze(); np.atleast_3d(x); np.asmatrix(x); np.ma.array(x)
x.flat[0:9]
np.asarray(5.0); np.float32(5); x[0, 0].item(); float(x[0, 0]); np.array([])
np.empty((0, 3)).copy()
x + 1; x @ x; x.sum(0); np.sort(x); np.stack([x, x]); np.concatenate([x, x]); np.where(x > 1, x, 0)
f * 2.0; f + x; np.add(f, x); f += x; np.sqrt(i); x[x > 5]; x[[1, 2]]; np.unique(i)
x.mean(), x.cumsum()
u = np.zeros(3600); u[1:-1] = 0.5 * (u[2:] + u[:-2]); u[1:-1] = np.sin(u[2:]); u[0] = 3.0
u[u > 1] = 0
out[0] = f.sum(axis=0); out[1] += f[0]; np.multiply(x, 2, out=x); x *= 2; x[1:3] *= 2
d = {}; d['a'] = x; d[1] = x; l = [0]; l[0] = x; d['b'] = d['a']; l[:] = rows
repr(x); str(x); f'{x}'; print(x, file=open(__import__('os').devnull, 'w'))
g = (k for k in line); next(g); {1: x}[1]; (lambda a: a)(x); [a for a in x]; max(line)
"""


def ran(text: str) -> Recording:
    recording = tensortoll.run_source(START + text, "case.py", memory=False, time=False)
    assert recording.faults == ()
    return recording


def last_line(recording: Recording, text: str) -> list[Conversion]:
    """Return what was counted on the last line of a text."""
    line = len((START + text).rstrip().splitlines())
    return [one for one in recording.conversions if one.route.place.line == line]


@pytest.mark.parametrize("case", CASES, ids=[one.expression for one in CASES])
def test_a_conversion_is_reported_as_memory_tells_it(case: Case) -> None:
    """Outcome, effects, copies, bytes and kinds of each conversion are what they are."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    result = eval(case.expression, namespace)
    if isinstance(result, np.ndarray):
        stood = [one for one in namespace.values() if isinstance(one, np.ndarray | bytearray)]
        arrays = [np.frombuffer(one) if isinstance(one, bytearray) else one for one in stood]
        shared = any(np.may_share_memory(result, one) for one in arrays)
        assert shared is (case.outcome == "view")
        assert case.written in (0, result.nbytes)

    [one] = last_line(ran(case.expression), case.expression)

    route = one.route
    assert (route.outcome, "+".join(route.effects)) == (case.outcome, case.effects)
    copies = 0 if case.outcome == "view" else 1
    assert one.totals[:4] == (1, copies, case.read, case.written)
    assert f"{route.origin.library}:{route.origin.dtype}" == case.origin
    assert f"{route.target.library}:{route.target.dtype}" == case.target
    assert (route.place.expression, route.implicit) == (case.expression, False)


@pytest.mark.parametrize("text", STORES)
def test_an_array_stored_into_another_is_a_copy(text: str) -> None:
    """An array that stood before is duplicated; a cast counts whatever is stored."""
    [one] = last_line(ran(text), text)
    assert (one.totals.bytes_written, "+".join(one.route.effects)) == STORES[text]
    assert one.route.outcome == "copy"


def test_what_converts_nothing_is_silent() -> None:
    """Computing, looking, sharing and returning the argument are not reported."""
    first = len(START.splitlines())
    loud = [
        (one.route.place.expression, one.route.outcome, one.totals)
        for one in ran(SILENT).conversions
        if one.route.place.line > first
    ]
    assert loud == []


def test_the_place_is_the_smallest_expression() -> None:
    """Two conversions on one line have columns of their own, in characters."""
    text = "é = x.astype('f4').copy()\n"
    places = {one.route.place[3:] for one in last_line(ran(text), text)}
    assert places == {(4, 18, "x.astype('f4')"), (4, 25, "x.astype('f4').copy()")}


CALLERS = {
    "def g(a): return a.astype('f4')\nfor _ in range(3): g(x)": 3,
    "class C:\n    @property\n    def p(self): return x.astype('f4')\nC().p": 1,
    "import functools\n@functools.cache\ndef g(): return x.astype('f4')\ng(); g()": 1,
    "h = lambda a: a.astype('f4')\nlist(map(h, [x, x]))": 2,
    "def g():\n    for _ in range(2): yield x.astype('f4')\nlist(g())": 2,
    "try:\n    raise ValueError\nexcept ValueError:\n    x.astype('f4')\nfinally:\n    pass": 1,
    "import asyncio\nasync def g(): return x.astype('f4')\nasyncio.run(g())": 1,
    "[a.astype('f4') for a in (x, x, x) if a is not None]": 3,
    "from concurrent.futures import ThreadPoolExecutor as P\n"
    "with P(2) as p: list(p.map(lambda a: a.astype('f4'), [x] * 4))": 4,
}


@pytest.mark.parametrize("text", CALLERS)
def test_whoever_calls_the_line_is_charged_by_it(text: str) -> None:
    """Functions, properties, generators, coroutines, threads: each call counts once."""
    first = len(START.splitlines())
    [one] = [one for one in ran(text).conversions if one.route.place.line > first]
    assert (one.totals.count, one.totals.bytes_written) == (CALLERS[text], CALLERS[text] * F)
    assert one.route.place.expression.endswith(".astype('f4')")


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (expressions, "judge"),
        (judging, "add"),
        (judging, "changes"),
        (stores, "count_store"),
        (storing, "judge_store"),
    ],
)
def test_a_failure_of_ours_never_reaches_the_user(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text does what it does; the failure stands in the recording, with its number."""
    namespace: dict[str, Any] = {}
    with monkeypatch.context() as patched:
        patched.setattr(module, name, broken)
        text = "for _ in range(2):\n    y = x.astype('f4'); out[...] = x\n"
        recording = tensortoll.run_source(
            START + text, "case.py", namespace, memory=False, time=False
        )
    assert np.array_equal(namespace["y"], namespace["x"])
    assert np.array_equal(namespace["out"], namespace["x"])
    assert any("on purpose" in fault for fault in recording.faults)


def test_an_interrupt_in_the_middle_goes_through() -> None:
    """A KeyboardInterrupt ends the text, and the array is what it was."""
    namespace: dict[str, Any] = {}
    with pytest.raises(KeyboardInterrupt):
        tensortoll.run_source(
            START + "y = x.astype('f4')\nraise KeyboardInterrupt",
            "c",
            namespace,
            memory=False,
            time=False,
        )
    assert namespace["y"].dtype == np.float32


def test_nothing_is_held() -> None:
    """Arrays die when the user lets go of them, and have the references that they had."""
    namespace: dict[str, Any] = {"gc": gc, "sys": sys, "weakref": weakref}
    text = """
before = sys.getrefcount(x)
y = x.astype('f4'); z = np.asarray(x, 'f4'); out[...] = x; w = np.ascontiguousarray(x.T)
same = sys.getrefcount(x) == before
died = [weakref.ref(one) for one in (x, y, z, w)]
del x, y, z, w, rows, wide
gc.collect()
left = [ref() is None for ref in died]
"""
    recording = tensortoll.run_source(START + text, "case.py", namespace, memory=False, time=False)
    assert namespace["same"] is True
    assert namespace["left"] == [True] * 4
    assert recording.faults == ()


def test_an_array_that_raises_when_asked_is_the_users_error() -> None:
    """An object whose `__array__` raises gives its own error, and no fault of ours."""
    text = """
class Bad:
    def __array__(self, dtype=None, copy=None):
        raise OSError('no data')
try:
    np.asarray(Bad())
except OSError as error:
    said = str(error)
"""
    namespace: dict[str, Any] = {}
    recording = tensortoll.run_source(START + text, "case.py", namespace, memory=False, time=False)
    assert namespace["said"] == "no data"
    assert recording.faults == ()


def test_two_threads_that_run_the_same_line_are_added_up() -> None:
    """Calls of one function at the same time lose nothing of each other."""
    namespace: dict[str, Any] = {"threading": threading}
    text = """
def work():
    for _ in range(500): f.astype('f8')
threads = [threading.Thread(target=work) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
"""
    recording = tensortoll.run_source(START + text, "case.py", namespace, memory=False, time=False)
    [one] = [one for one in recording.conversions if one.route.where == "thread"]
    assert one.totals[:4] == (2000, 2000, 2000 * F, 2000 * D)
