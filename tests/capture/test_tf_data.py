"""Python functions and generators behind `tf.data`, and what its iterators hand out.

Whether a tensor took an array's memory over is told by the addresses of both, while both live.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tensortoll.capture import running
from tensortoll.model import Conversion

SHAPE = (64, 64)
PREPARE = """
import numpy as np
import tensorflow as tf

def placed(shift, dtype=np.float32):
    pool = np.zeros(64 * 64 * np.dtype(dtype).itemsize + 128, np.uint8)
    start = -pool.ctypes.data % 64 + shift
    part = pool[start : start + 64 * 64 * np.dtype(dtype).itemsize].view(dtype).reshape(64, 64)
    part[:] = 1
    return part

on_border, off_border = placed(0), placed(4)
doubles = placed(0, np.float64)
t = tf.ones((64, 64))
spec = tf.TensorSpec((64, 64), tf.float32)
seen = []
"""
F, D = 4 * 64 * 64, 8 * 64 * 64


def ran(text: str) -> tuple[list[Conversion], dict[str, Any]]:
    """Return what was counted in ``text``, and its names."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(PREPARE, namespace)
    outcome = running.run(text, "cell.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.recording.faults == ()
    return list(outcome.recording.conversions), namespace


def told(rows: list[Conversion]) -> set[tuple[Any, ...]]:
    """Return what is said of each row, in short."""
    return {
        (
            one.route.outcome,
            "+".join(one.route.effects),
            f"{one.route.origin.library}:{one.route.origin.dtype}",
            f"{one.route.target.library}:{one.route.target.dtype}",
            *one.totals[:4],
        )
        for one in rows
    }


def address(value: Any) -> int:
    return int(np.asarray(value).__array_interface__["data"][0])


@pytest.mark.parametrize("name", ["on_border", "off_border"])
def test_what_a_generator_yields_is_shared_exactly_where_the_addresses_are_one(name: str) -> None:
    """TensorFlow adopts an array that lies on a border of 64 bytes, and copies any other."""
    rows, names = ran(
        f"data = tf.data.Dataset.from_generator(lambda: [{name}] * 3, output_signature=spec)\n"
        "kept = list(data)"
    )

    shared = {address(one) == address(names[name]) for one in names["kept"]}
    assert shared == {name == "on_border"}
    expected = ("view", "", 3, 0, 0, 0) if name == "on_border" else ("copy", "", 3, 3, 3 * F, 3 * F)
    assert told(rows) == {(*expected[:2], "numpy:float32", "tensorflow:float32", *expected[2:])}
    assert {one.route.place.line for one in rows} == {2}
    assert {one.route.where for one in rows} == {"thread, while this line waited"}


def test_what_runs_ahead_is_charged_to_the_line_that_takes_it() -> None:
    """TensorFlow's threads call the generator on while the loop's body does something else."""
    rows, _ = ran(
        "import time\n"
        "data = tf.data.Dataset.from_generator(lambda: [off_border] * 9, output_signature=spec)\n"
        "for one in data.prefetch(9):\n"
        "    time.sleep(0.03)"
    )

    assert [(one.route.place.line, one.totals.count) for one in rows] == [(3, 9)]


def test_what_a_generator_yields_is_brought_to_the_announced_dtype() -> None:
    """The cast is NumPy's, on the runtime's thread: read as float64, written as float32."""
    rows, _ = ran(
        "data = tf.data.Dataset.from_generator(lambda: [doubles] * 2, output_signature=spec)\n"
        "for one in data: pass"
    )
    casts = [one for one in rows if one.route.effects == ("cast",)]

    assert told(casts) == {("copy", "cast", "numpy:float64", "numpy:float32", 2, 2, 2 * D, 2 * F)}
    onward = [one for one in rows if one.route.target.library == "tensorflow"]
    assert sum(one.totals.count for one in onward) == 2


def test_lists_that_a_generator_yields_are_parsed() -> None:
    """Python numbers are walked into an array before the runtime sees them."""
    rows, _ = ran(
        "rows = [[1.0] * 64] * 64\n"
        "data = tf.data.Dataset.from_generator(lambda: [rows], output_signature=spec)\n"
        "for one in data: pass"
    )
    parsed = [one for one in rows if "parse" in one.route.effects]

    assert told(parsed) == {("copy", "parse", "python:float32", "numpy:float32", 1, 1, 0, F)}


def test_a_numpy_function_at_once_copies_in() -> None:
    """Outside of a graph, its arguments are copies of the tensors."""
    rows, names = ran(
        "def f(z):\n    seen.append(z)\n    return z.sum()\n"
        "r = tf.numpy_function(f, [t], tf.float32)"
    )

    assert address(names["seen"][0]) != address(names["t"])
    assert told(rows) == {("copy", "", "tensorflow:float32", "numpy:float32", 1, 1, F, F)}


@pytest.mark.parametrize("name", ["on_border", "off_border"])
def test_a_numpy_function_in_a_graph_shares_in_and_what_lies_right_out(name: str) -> None:
    """Its arguments are the tensors' memory; results are adopted where they lie on a border."""
    rows, names = ran(
        f"def f(z):\n    seen.append(z)\n    return {name}\n"
        "@tf.function\ndef g(z): return tf.numpy_function(f, [z], tf.float32)\nr = g(t)"
    )

    assert address(names["seen"][0]) == address(names["t"])
    shared = address(names["r"]) == address(names[name])
    assert shared is (name == "on_border")
    out = ("view", "", 1, 0, 0, 0) if shared else ("copy", "", 1, 1, F, F)
    assert told(rows) == {
        ("view", "", "tensorflow:float32", "numpy:float32", 1, 0, 0, 0),
        (*out[:2], "numpy:float32", "tensorflow:float32", *out[2:]),
    }
    assert {one.route.place.line for one in rows} == {6}


@pytest.mark.parametrize("eager", [True, False])
def test_a_py_function_is_counted_where_it_reads(eager: bool) -> None:
    """It is handed tensors: only its own `numpy()` copies, at its own line, on either thread."""
    call = "f(t)" if eager else "list(tf.data.Dataset.from_tensors(t).map(f))"
    rows, _ = ran(
        "def read(z):\n    return z.numpy().sum()\n"
        f"def f(z): return tf.py_function(read, [z], tf.float32)\n{call}"
    )
    reads = [one for one in rows if one.route.target.library == "numpy"]

    assert told(reads) == {("copy", "", "tensorflow:float32", "numpy:float32", 1, 1, F, F)}
    assert [(one.route.place.line, one.route.where) for one in reads] == [
        (2, "main" if eager else "thread")
    ]
    assert sum(one.totals.bytes_written for one in rows) == F


def test_an_iterator_of_arrays_hands_out_views() -> None:
    """`as_numpy_iterator` makes read-only arrays over the elements' own memory."""
    rows, names = ran(
        "data = tf.data.Dataset.from_tensors({'x': t, 'y': t})\n"
        "kept = list(data.as_numpy_iterator())"
    )

    [element] = names["kept"]
    assert not any(one.flags.owndata or one.flags.writeable for one in element.values())
    assert told(rows) == {("view", "", "tensorflow:float32", "numpy:float32", 2, 0, 0, 0)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("expression", "effects", "copies", "read", "written"),
    [
        ("np.array(v)", "", 2, 2 * F, 2 * F),
        ("np.asarray(v)", "", 1, F, F),
        ("np.asarray(v, 'f8')", "cast", 2, 2 * F, F + D),
        ("np.array(v, 'f8')", "cast", 3, 2 * F + D, F + 2 * D),
    ],
)
def test_a_variable_is_copied_out_as_often_as_its_memory_tells(
    expression: str, effects: str, copies: int, read: int, written: int
) -> None:
    """`Variable.__array__` copies; a cast and `np.array` copy what it returned once more."""
    made = []

    class Spied(type(tf.Variable(0.0))):  # type: ignore[misc]
        def __array__(self, *args: Any) -> Any:
            made.append(super().__array__(*args))
            return made[-1]

    result = eval(expression, {"np": np, "v": Spied(tf.ones(SHAPE))})
    assert (address(result) != address(made[-1])) is ("np.array" in expression)

    rows, _ = ran(f"v = tf.Variable(t)\nr = {expression}")

    target = "float64" if effects else "float32"
    assert told(rows) == {
        ("copy", effects, "tensorflow:float32", f"numpy:{target}", 1, copies, read, written)
    }


def test_a_function_is_called_what_its_library_calls_it() -> None:
    """An alias of a public function is told by the public name."""
    rows, _ = ran("from tensorflow import convert_to_tensor as f\nr = f(doubles)")

    assert [one.route.operation for one in rows] == ["tensorflow.convert_to_tensor"]


AUTOGRAPHED = """
@tf.function
def f(x):
    total = 0.0
    for _ in tf.range(3):
        if tf.reduce_sum(x) > 0:
            total += tf.reduce_sum(tf.cast(x, tf.float64))
    return total
""".replace("total = 0.0", "total = tf.constant(0.0, tf.float64)").strip()


def test_an_autographed_function_is_silent_inside_and_charged_where_it_is_called() -> None:
    """Tracing converts nothing; an array that is handed in does, at the line of the call."""
    rows, _ = ran(f"{AUTOGRAPHED}\nr = f(t)\nr = f(t)\nr = f(off_border)")

    assert [(one.route.place.line, one.route.place.expression) for one in rows] == [
        (10, "f(off_border)")
    ]
    assert rows[0].route.implicit


def test_a_function_that_runs_eagerly_is_charged_inside() -> None:
    """With `run_functions_eagerly`, its lines run as any others."""
    try:
        rows, _ = ran(
            "tf.config.run_functions_eagerly(True)\n"
            "@tf.function\ndef f(x):\n    return tf.cast(x, tf.float64)\nr = f(t)"
        )
    finally:
        tf.config.run_functions_eagerly(False)

    assert [(one.route.place.line, one.totals.bytes_written) for one in rows] == [(4, D)]
