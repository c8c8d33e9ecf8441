"""TensorFlow: every claim is held against the addresses, read here by other means than ours."""

from __future__ import annotations

import gc
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import constant_op, ops
from tensorflow.python.ops import resource_variable_ops, script_ops

import tensortoll
from tensortoll.capture import running
from tensortoll.model import Conversion
from tensortoll.recording import Recording

SIZE = 6_000

PREPARE = f"""
import numpy as np
import tensorflow as tf

def aligned(dtype=np.float32, shift=0, size={SIZE}):
    dtype = np.dtype(dtype)
    pool = np.ones(size * dtype.itemsize + 128, np.uint8)
    start = -pool.ctypes.data % 64 + shift
    part = pool[start : start + size * dtype.itemsize].view(dtype)
    part[:] = 1
    return part

a = np.ones({SIZE}, np.float32)
square = np.ones((60, 100), np.float32)
doubles = np.ones({SIZE})
longs = np.arange({SIZE})
on_border, off_border = aligned(), aligned(shift=4)
double_on_border = aligned(np.float64)
swapped = a.astype(">f4")
strided = np.ones({2 * SIZE}, np.float32)[::2]
columns = np.asfortranarray(square)
words = np.array(["a", "bb"] * {SIZE // 2})
rows = [[float(i)] * 10 for i in range({SIZE // 10})]
raw = a.tobytes()
t = tf.ones({SIZE})
whole = tf.range({SIZE})
v = tf.Variable(t)
fn = tf.function(lambda x: x + 1)
fn(t)
tf.nn.relu(t), tf.nn.relu(a)
"""


@pytest.fixture
def prepared() -> dict[str, Any]:
    """Return the names that the expressions below use."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(PREPARE, namespace)
    return namespace


def watched(text: str, namespace: dict[str, Any]) -> Recording:
    """Return what was seen of ``text``, which must leave no fault."""
    outcome = running.run(text, "cell.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.recording.faults == ()
    return outcome.recording


def address(value: Any) -> int:
    """Return where an array or tensor lies, by the buffer protocol alone."""
    return int(np.asarray(value).__array_interface__["data"][0])


class Row(NamedTuple):
    """One conversion and what is true of it."""

    name: str
    expression: str
    ends: tuple[str, str]
    outcome: str = "copy"
    effects: tuple[str, ...] = ()
    copies: tuple[int, int] = (1, 2)
    written: int | None = SIZE * 4
    """Bytes of one copy; None where copies differ in size."""
    implicit: bool = False
    count: int = 1


F32 = "tensorflow:float32"
INTO, OUT = ("numpy:float32", F32), (F32, "numpy:float32")
ONCE, NEVER, TWICE = (1, 1), (0, 0), (2, 2)
WIDE = ("numpy:float64", F32)
CAST = ("cast",)

TABLE = [
    Row("constant", "tf.constant(a)", INTO),
    Row("convert_to_tensor", "tf.convert_to_tensor(a)", INTO),
    Row("variable", "tf.Variable(a)", INTO),
    Row("assign", "v.assign(a)", INTO),
    Row("assign_add", "v.assign_add(a)", INTO),
    Row("identity", "tf.identity(a)", INTO),
    Row("slices", "tf.data.Dataset.from_tensor_slices(a)", INTO),
    Row("tensors", "tf.data.Dataset.from_tensors(a)", INTO),
    Row("strided", "tf.constant(strided)", INTO, effects=("layout",)),
    Row("columns", "tf.constant(columns)", INTO, effects=("layout",)),
    Row("swapped", "tf.constant(swapped)", INTO, effects=("layout",), copies=TWICE),
    Row("cast", "tf.constant(doubles, tf.float32)", WIDE, "copy", CAST, TWICE, None),
    Row("assign cast", "v.assign(doubles)", WIDE, "copy", CAST, TWICE, None),
    Row(
        "operator cast",
        "whole + doubles",
        ("numpy:float64", "tensorflow:int32"),
        "copy",
        CAST,
        TWICE,
        None,
        implicit=True,
    ),
    Row("operator", "t + a", INTO, implicit=True),
    Row("reflected", "a + t", INTO, implicit=True),
    Row(
        "matmul",
        "tf.matmul(square, square, transpose_b=True)",
        INTO,
        copies=(2, 4),
        implicit=True,
        count=2,
    ),
    Row("function", "fn(a)", INTO, implicit=True),
    Row("shared operand", "tf.nn.relu(on_border)", INTO, "view", copies=NEVER, implicit=True),
    Row("copied operand", "tf.nn.relu(off_border)", INTO, copies=ONCE, implicit=True),
    Row("subtract shared", "t - on_border", INTO, "view", copies=NEVER, implicit=True),
    Row("alias", "tf.expand_dims(on_border, 0)", INTO, "view", copies=NEVER, implicit=True),
    Row("no alias", "tf.expand_dims(off_border, 0)", INTO, copies=ONCE, implicit=True),
    Row("operand cast", "t - double_on_border", WIDE, "copy", CAST, ONCE, implicit=True),
    Row(
        "swapped operand",
        "tf.nn.relu(swapped)",
        INTO,
        effects=("layout",),
        copies=ONCE,
        implicit=True,
    ),
    Row(
        "list of operands",
        "tf.concat([off_border, off_border], 0)",
        INTO,
        copies=TWICE,
        implicit=True,
        count=2,
    ),
    Row(
        "tensor cast",
        "tf.cast(t, tf.float16)",
        (F32, "tensorflow:float16"),
        "copy",
        CAST,
        ONCE,
        SIZE * 2,
    ),
    Row("lists", "tf.constant(rows)", ("python:float32", F32), effects=("parse",), copies=ONCE),
    Row(
        "bytes",
        "tf.io.decode_raw(raw, tf.float32)",
        ("python:str", "tensorflow:str"),
        effects=("parse",),
        copies=ONCE,
    ),
    Row("numpy()", "t.numpy()", OUT, copies=ONCE),
    Row("variable.numpy()", "v.numpy()", OUT, copies=ONCE),
    Row("asarray(variable)", "np.asarray(v)", OUT, copies=ONCE),
    Row("_numpy()", "t._numpy()", OUT, "view", copies=NEVER),
    Row("asarray", "np.asarray(t)", OUT, "view", copies=NEVER),
    Row(
        "iterator",
        "list(tf.data.Dataset.from_tensors(t).as_numpy_iterator())",
        OUT,
        "view",
        copies=NEVER,
        implicit=True,
    ),
    Row("dlpack out", "np.from_dlpack(t)", OUT, "view", copies=NEVER),
    Row(
        "dlpack in",
        "tf.experimental.dlpack.from_dlpack(on_border.__dlpack__())",
        INTO,
        "view",
        copies=NEVER,
    ),
    Row(
        "number", "float(t[0])", (F32, "python:float32"), effects=("unbox",), copies=ONCE, written=0
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_states_what_is_true(row: Row, prepared: dict[str, Any]) -> None:
    """Outcome, effects, kinds, copies and bytes of a conversion are stated as they are."""
    recording = watched(f"result = {row.expression}", prepared)

    found = [one for one in recording.conversions if ends(one) == row.ends]
    assert [one.route.outcome for one in found] == [row.outcome]
    (one,) = found
    assert one.route.effects == row.effects
    assert one.route.implicit == row.implicit
    assert one.totals.count == row.count
    assert row.copies[0] <= one.totals.copies <= row.copies[1]
    if row.written is not None:
        assert one.totals.bytes_written == row.written * one.totals.copies
    elif row.outcome == "copy":
        assert one.totals.bytes_written >= SIZE * 4
    others = [one for one in recording.conversions if one is not found[0]]
    assert sum(other.totals.bytes_written for other in others) < SIZE * 4


def ends(one: Conversion) -> tuple[str, str]:
    """Return library and dtype of both sides."""
    return tuple(f"{side.library}:{side.dtype}" for side in (one.route.origin, one.route.target))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in TABLE
        if "operand" in row.name
        or "alias" in row.name
        or row.name in {"asarray", "_numpy()", "numpy()", "dlpack in"}
    ],
    ids=lambda row: row.name,
)
def test_shares_exactly_where_a_write_shows(row: Row, prepared: dict[str, Any]) -> None:
    """A result that aliases its input is called a view, and one that does not a copy."""
    result = eval(row.expression, prepared)
    source = next(
        prepared[name]
        for name in ("on_border", "off_border", "double_on_border", "swapped", "t")
        if name in row.expression
    )
    if np.asarray(result).nbytes == np.asarray(source).nbytes and "relu" not in row.expression:
        assert (address(result) == address(source)) == (row.outcome == "view")


def test_counts_copies_of_constants_by_address(prepared: dict[str, Any]) -> None:
    """One copy where TensorFlow adopts its own copy of the array, two where it does not."""
    made = []
    original = ops.EagerTensor.__init__

    def spy(self: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        original(self, value, *args, **kwargs)
        if isinstance(value, np.ndarray):
            made.append(1 if address(value) == address(self) else 2)

    ops.EagerTensor.__init__ = spy
    try:
        recording = watched("kept = [tf.constant(a[:n]) for n in range(40, 400)]", prepared)
    finally:
        ops.EagerTensor.__init__ = original

    assert {1, 2} == set(made)
    assert recording.copies == sum(made)


def test_a_loop_that_keeps_results_shares_each_time(prepared: dict[str, Any]) -> None:
    """References that TensorFlow gives back late are not mistaken for copies."""
    recording = watched("kept = [tf.nn.relu(on_border) for _ in range(5)]", prepared)

    assert [(one.route.outcome, one.totals.count) for one in recording.conversions] == [("view", 5)]


def test_shares_under_a_tape(prepared: dict[str, Any]) -> None:
    """Where a tape hides the references, the array's address decides."""
    lines = (
        "with tf.GradientTape():",
        "y = v * tf.nn.relu(on_border)",
        "z = v * tf.nn.relu(off_border)",
    )
    text = "\n    ".join(lines)
    recording = watched(text, prepared)

    found = {one.route.place.line: one.route.outcome for one in recording.conversions}
    assert found == {2: "view", 3: "copy"}


SILENT = [
    "print(t, v)",
    "str(t), repr(t), f'{t}', f'{t[0]:.2f}'",
    "t * 2.0 + 1 - np.float32(3)",
    "tf.constant(2.0), tf.constant('text'), tf.constant(True)",
    "tf.convert_to_tensor(t), tf.constant(t), tf.identity(t)",
    "tf.cast(t, tf.float32)",
    "t[10:20], tf.reshape(t, [60, 100]), tf.transpose(tf.reshape(t, (60, 100)))",
    "tf.reduce_sum(t, axis=0), tf.squeeze(tf.expand_dims(t, 0), [0])",
    "tf.zeros([3, 4]), tf.ones((2, 2)), tf.fill([2, 3], 1.0)",
    "tf.Variable(t), v.assign(t), v.assign_add(t), v.read_value()",
    "t + t, t @ tf.ones((6000, 1)) if False else t, tf.matmul(t[None], t[:, None])",
    "fn(t)",
    "tf.function(lambda x: x + tf.constant(np.ones(2000)))(tf.ones(2000, tf.float64))",
    "import copy; copy.deepcopy(t), copy.copy(t)",
    "tf.data.Dataset.range(5_000).map(lambda i: i + 1).batch(50).cardinality()",
    "tf.linspace(0.0, 1.0, 5000), tf.math.count_nonzero(t)",
    "[x for x in tf.data.Dataset.from_tensor_slices(t).batch(2000)]",
]


@pytest.mark.parametrize("text", SILENT)
def test_is_silent(text: str, prepared: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """What is no conversion of data is not recorded."""
    recording = watched(text, prepared)
    capsys.readouterr()

    assert recording.conversions == ()


PLACES = [
    (constant_op, "convert_to_eager_tensor"),
    (pywrap_tfe, "TFE_Py_FastPathExecute"),
    (pywrap_tfe, "TFE_Py_Execute"),
    (pywrap_tfe, "TFE_Py_ExecuteCancelable"),
    (pywrap_tfe, "TFE_ToDlpackCapsule"),
    (pywrap_tfe, "TFE_FromDlpackCapsule"),
    (script_ops.FuncRegistry, "__call__"),
    *((ops.EagerTensor, name) for name in ("__init__", "_numpy_internal", "_copy_to_device")),
    *(
        (ops._EagerTensorBase, name)
        for name in ("numpy", "__float__", "__int__", "__bool__", "__index__", "__complex__")
    ),
    *(
        (resource_variable_ops.BaseResourceVariable, name)
        for name in ("__float__", "__int__", "__complex__")
    ),
]


def attributes() -> list[object]:
    """Return what stands at each place that is replaced."""
    return [vars(owner)[name] for owner, name in PLACES]


@pytest.mark.parametrize(
    "ending", ["pass", "tf.constant([[1], [2, 3]])", "raise KeyboardInterrupt"]
)
def test_puts_the_originals_back(ending: str, prepared: dict[str, Any]) -> None:
    """Nothing of ours is left in TensorFlow, however the cell ends."""
    before = attributes()
    seen: list[list[object]] = []
    prepared["look"] = lambda: seen.append(attributes())

    running.run(f"look()\ntf.constant(a)\n{ending}", "cell.py", prepared)

    assert all(one is other for one, other in zip(attributes(), before, strict=True))
    assert not any(one is other for one, other in zip(seen[0], before, strict=True))


BROKEN = [
    ("conversions.kind_of", "tf.constant(a)"),
    ("fastpath.array_kind", "tf.nn.relu(a)"),
    ("transfers.kind_of", "tf.cast(t, tf.float64)"),
    ("reads.kind_of", "t.numpy()"),
    ("reads.kind_of", "float(t[0])"),
    ("dlpack.kind_of", "tf.experimental.dlpack.to_dlpack(t)"),
]


@pytest.mark.parametrize(("name", "text"), BROKEN)
def test_a_fault_of_ours_stays_ours(
    name: str, text: str, prepared: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in a hook is counted, and the user's code goes on as if nothing had been."""

    def fail(*_: object) -> None:
        msg = "broken on purpose"
        raise LookupError(msg)

    monkeypatch.setattr(f"tensortoll.capture.probes.tensorflow.{name}", fail)
    outcome = running.run(f"result = {text}", "cell.py", prepared)

    assert outcome.error is None
    assert prepared["result"] is not None
    assert any("broken on purpose" in fault for fault in outcome.recording.faults)


@pytest.mark.parametrize(
    "text", ["tf.constant(x)", "tf.nn.relu(x)", "tf.constant(x).numpy()", "tf.cast(x, 'float64')"]
)
def test_holds_nothing_of_the_users(text: str) -> None:
    """An array is free once the user's code lets go of it, watch or no watch."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    lines = (
        "import sys, gc, numpy as np, tensorflow as tf",
        "x = np.ones(5000, np.float32)",
        f"{text}",
        "tf.zeros(2)",
        "gc.collect()",
        "references = sys.getrefcount(x)",
    )
    watched("\n".join(lines), namespace)
    gc.collect()

    assert namespace["references"] == 2


def test_charges_keras_to_the_users_line(prepared: dict[str, Any]) -> None:
    """`fit` and `predict` convert implicitly, and `via` names Keras's own line."""
    keras = pytest.importorskip("keras")
    prepared["model"] = keras.Sequential([keras.Input((100,)), keras.layers.Dense(1)])
    prepared["model"].compile(optimizer="sgd", loss="mse")
    prepared["y"] = np.ones((60, 1))
    text = "model.fit(square, y, verbose=0)\nmodel.predict(square, verbose=0)\nmodel(square)"
    recording = watched(text, prepared)

    into = [one for one in recording.conversions if ends(one) == INTO]
    assert [one.route.place.line for one in into] == [1, 2, 3]
    assert all(one.route.implicit for one in into)
    assert all((one.route.via or "").startswith("keras/src/") for one in into)
    casts = [one for one in recording.conversions if one.route.effects == ("cast",)]
    assert [ends(one) for one in casts] == [("numpy:float64", "numpy:float32")]


def test_keras_copies_a_tensor_out_and_its_variables_are_looked_at_without_fault(
    prepared: dict[str, Any],
) -> None:
    """`convert_to_numpy` copies in C; a variable that stands beside a view is no riddle."""
    keras = pytest.importorskip("keras")
    prepared["keras"], prepared["kept"] = keras, keras.Variable(np.ones(SIZE, np.float32))
    text = "n = keras.ops.convert_to_numpy(t)\nlook = np.asarray(t)\nkept.assign(t)"
    recording = watched(text, prepared)

    assert address(prepared["n"]) != address(prepared["t"])
    [copy] = [one for one in recording.conversions if one.route.place.line == 1]
    assert (ends(copy), copy.route.outcome, copy.totals.bytes_written, copy.route.implicit) == (
        OUT,
        "copy",
        SIZE * 4,
        False,
    )


def test_sees_a_library_that_arrives_in_the_middle() -> None:
    """A name that the cell imports itself is watched like any other."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    text = "from tensorflow import constant\nimport numpy as np\nx = constant(np.ones(2000))"

    recording = watched(text, namespace)

    assert [one.route.place.line for one in recording.conversions] == [3]


@pytest.mark.parametrize(
    "text", ["tf.constant(torch_tensor)", "tf.convert_to_tensor(torch_tensor)"]
)
def test_torch_tensors_are_shared(text: str, prepared: dict[str, Any]) -> None:
    """TensorFlow takes a torch tensor's memory over; one border, one conversion."""
    torch = pytest.importorskip("torch")
    prepared["torch_tensor"] = torch.ones(SIZE)
    recording = watched(f"result = {text}", prepared)

    shared = address(prepared["result"]) == prepared["torch_tensor"].data_ptr()
    found = [(*ends(one), one.route.outcome) for one in recording.conversions]
    assert found == [("torch:float32", F32, "view" if shared else "copy")]


def test_callbacks_go_out_and_back(prepared: dict[str, Any]) -> None:
    """A `py_function` hands tensors out; what it returns comes back as a conversion."""
    text = "out = tf.py_function(lambda z: z.numpy() * 2, [t], tf.float32)"
    recording = watched(text, prepared)

    assert sorted(map(ends, recording.conversions)) == sorted([INTO, OUT])


@pytest.mark.parametrize(("text", "copies"), [("np.dot(v, x)", 2), ("np.array(v)", 2)])
def test_a_variable_that_is_asked_for_its_dtype_first_is_not_copied_once_more(text, copies):
    """
    NumPy reads it twice for `np.dot`, and `np.array` copies what it has read.
    """
    start = "import numpy as np, tensorflow as tf\nx = np.ones(1000, 'f4'); v = tf.Variable(x)\n"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        recording = tensortoll.run_source(start + text, "case.py", memory=False, time=False)
    [one] = [one for one in recording.conversions if one.route.place.line == 3]

    assert (one.totals.copies, one.totals.bytes_written) == (copies, copies * 4000)
