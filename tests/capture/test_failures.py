"""A conversion that raises is told with its cause, what in the data it was, and what works."""

from __future__ import annotations

import math
import traceback
from typing import Any

import pytest

import tensortoll
from tensortoll.capture.failures import noticing
from tensortoll.capture.running import run
from tensortoll.model import Failure

HEAD = "import numpy as np\nimport {library}\nfrom decimal import Decimal\n"
LINE = 5

TORCH_AND_NUMPY = """
sparse             torch.eye(20).to_sparse().numpy()
sparse             s = torch.eye(3).to_sparse(); np.asarray(s)
sparse             torch.eye(3).to_sparse_csr().numpy()
missing-values     torch.tensor(np.array([1, None], dtype=object))
missing-values     torch.tensor(np.array(["x", np.nan], dtype=object))
ragged             torch.tensor(np.array([[1, 2], [3]], dtype=object))
mixed-types        torch.tensor(np.array([1, "a"], dtype=object))
object-dtype       torch.tensor(np.array([1.0, 2], dtype=object))
unsupported-dtype  torch.as_tensor(np.array(["a", "b"]))
unsupported-dtype  torch.from_numpy(np.array(["2020-01-01"], dtype="M8[D]"))
byte-order         torch.from_numpy(np.arange(4, dtype=">i4"))
negative-strides   torch.from_numpy(np.arange(4)[::-1])
negative-strides   torch.tensor(np.arange(6).reshape(2,3)[:, ::-1])
unsupported-dtype  torch.from_numpy(np.zeros(3, dtype=[("a", "f4"), ("b", "i4")]))
unsupported-dtype  torch.from_numpy(np.zeros(3, dtype=np.longdouble))
not-an-array       torch.from_numpy([1, 2])
not-an-array       torch.tensor({"a": 1})
not-an-array       torch.tensor(x for x in range(3))
not-an-array       torch.tensor([Decimal("1.5")])
not-an-array       torch.tensor(Decimal("1.5"))
not-an-array       torch.tensor({1, 2})
not-an-array       torch.tensor(None)
missing-values     torch.tensor([1, None])
ragged             torch.tensor([[1, 2], [3]])
ragged             torch.tensor([[1, 2], 3])
mixed-types        torch.tensor(["a", 1])
mixed-types        torch.tensor([1, "a"])
unsupported-dtype  torch.tensor(["a", "b"])
out-of-range       torch.tensor([2**63])
out-of-range       torch.tensor([1, 2**70])
out-of-range       torch.tensor([300], dtype=torch.uint8)
out-of-range       torch.tensor(300, dtype=torch.uint8)
out-of-range       np.array([1, 300], dtype=np.uint8)
out-of-range       np.array([-1], dtype=np.uint8)
out-of-range       np.uint8(300)
out-of-range       np.array([2**64], dtype=np.int64)
ragged             np.array([[1, 2], [3]])
ragged             np.array([[1, 2], [3]], dtype=float)
ragged             np.asarray([np.zeros(3), np.zeros(2)])
missing-values     np.array([1, None], dtype=int)
missing-values     np.array([1, None, 3]).astype(np.int64)
mixed-types        np.array(["a", 1], dtype=float)
other              np.array(["a", "b"]).astype(float)
missing-values     np.array(["1.5", 2, None], dtype=object).astype(int)
not-an-array       np.array([{"a": 1}], dtype=float)
requires-grad      torch.ones(3, requires_grad=True).numpy()
requires-grad      np.asarray(torch.ones(3, requires_grad=True))
requires-grad      np.array([torch.ones(2, requires_grad=True), torch.ones(2)])
requires-grad      np.sum(torch.ones(3, requires_grad=True).unsqueeze(0).numpy())
unsupported-dtype  torch.ones(3, dtype=torch.bfloat16).numpy()
unsupported-dtype  np.asarray(torch.ones(3).to(torch.float8_e4m3fn))
lazy-conjugate     torch.ones(3, dtype=torch.complex64).conj().numpy()
lazy-conjugate     torch.ones(3, dtype=torch.complex64).conj().imag.numpy()
wrong-device       torch.ones(3, device="meta").numpy()
wrong-device       torch.ones(3, device="meta").to("cpu")
wrong-device       torch.ones(3, device="meta") + torch.ones(3)
wrong-device       torch.ones(3).to("cuda")
wrong-device       torch.ones(3).cuda()
dtype-mismatch     torch.ones(2, 2) @ torch.ones(2, 2).double()
dtype-mismatch     torch.nn.Linear(3, 2)(torch.ones(4, 3).double())
dtype-mismatch     torch.nn.Conv1d(1, 1, 1)(torch.ones(1, 1, 3).double())
dtype-mismatch     torch.nn.Linear(3, 2)(torch.ones(4, 3, dtype=torch.long))
dtype-mismatch     x = torch.arange(3); x += torch.ones(3)
dtype-mismatch     x = np.arange(3); y = np.ones(3); x += y
dtype-mismatch     x = np.arange(3); y = np.ones(3); np.add(x, y, out=x)
dtype-mismatch     x = np.arange(3); y = np.ones(3); np.copyto(x, y)
dtype-mismatch     np.ones(3).astype(np.uint8, casting="safe")
other              x = torch.ones(3); float(x)
other              x = np.ones(3); int(x)
other              import pyarrow as pa; pa.array(np.ones((2, 2)))
missing-values     import pyarrow as pa; pa.array([1, None]).to_numpy()
missing-values     import pandas as pd; pd.Series([1, None], dtype="Int64").to_numpy(dtype="int64")
unsupported-dtype  from PIL import Image; Image.fromarray(np.zeros((4, 4, 3), np.float32))
other              from PIL import Image; Image.fromarray(np.zeros((4, 4, 7), np.uint8))
other              torch.frombuffer(b"123", dtype=torch.float32)
other              np.frombuffer(b"123", dtype=np.float32)
other              x = torch.zeros(3); x.copy_(torch.zeros(4))
byte-order         torch.from_dlpack(np.arange(3, dtype=">i4"))
requires-grad      np.from_dlpack(torch.ones(3, requires_grad=True))
other              torch.tensor([torch.ones(2), torch.ones(2)])
other              t = torch.zeros(3); t[:] = np.ones(3)
other              t = torch.zeros(2, 3); t[0] = [1.0, 2.0, 3.0]
mixed-types        x = np.zeros(2); x[:] = [1, "a"]
missing-values     x = np.zeros(2, int); x[:] = [1, None]
ragged             x = np.zeros(2); x[:] = [1, [2, 3]]
requires-grad      x = np.zeros(2); x[:] = torch.ones(2, requires_grad=True)
ragged             torch.FloatTensor([[1, 2], [3]])
unsupported-dtype  torch.tensor(["1", "2"])
missing-values     torch.tensor([1.0, float("nan")], dtype=torch.int64)
out-of-range       torch.tensor([1, float("inf")], dtype=torch.int32)
missing-values     np.array([1, float("nan")], dtype=int)
sparse             from scipy import sparse; torch.tensor(sparse.eye(3, format="csr"))
not-an-array       from PIL import Image; torch.tensor(Image.new("RGB", (4, 4)))
"""
"""The cause, and the line that raises."""

NO_CONVERSIONS = """
np.array([1, 2]) + np.array([1, 2, 3])
torch.ones(2) @ torch.ones(3)
torch.ones(2, 3).reshape(4)
np.zeros(6).reshape(4)
float("abc")
int(None)
{}["a"]
[1][3]
None.numpy()
raise ValueError("bad")
torch.tensor()
np.array([1], foo=3)
np.array([None, 1]) + 1
np.concatenate([np.zeros((2, 2)), np.zeros(3)])
torch.stack([torch.ones(2), torch.ones(3)])
torch.nn.Linear(3, 2)(torch.ones(4, 5))
torch.cat([1, 2])
np.zeros(3).foo
len(3)
np.linalg.inv(np.zeros((2, 2)))
torch.zeros(3, dtype="float32")
"a" + 1
torch.ones(3).backward()
np.zeros(3)[5]
np.sort(np.array([1, "a"], dtype=object))
torch.tensor([1, 2]).mean()
torch.arange(3).std()
torch.arange(3).requires_grad_()
torch.quantile(torch.arange(3), 0.5)
float(np.array(["a"])[0])
x = np.arange(3); x += 0.5
x = np.zeros(3); x[:] = [1, 2]
x = np.zeros(3); x[:2] = np.ones(3)
x = np.zeros(3, int); x[0] = "a"
t = torch.zeros(3); t[:] = torch.ones(2)
t = torch.zeros(3); t[0] = "a"
x = (1, 2); x[0] = [1, None]
x = {}; x[[1, None]] = [1, None]
x = np.zeros(3); x[[5, None][0]] = [1, "a"][0]
"""
"""Errors of other kinds, in lines that have to do with arrays."""

TENSORFLOW = """
object-dtype       tf.constant(np.array([1.0, 2.5], dtype=object))
missing-values     tf.constant(np.array([[1.0, None], [2, 3]], dtype=object))
ragged             x = np.array([[1], [2, 3]], dtype=object); tf.convert_to_tensor(x)
missing-values     tf.nn.relu(np.array([0.5, None], dtype=object))
mixed-types        tf.constant(np.array([3, "a"], dtype=object))
object-dtype       tf.constant(np.array([{"a": 1}]))
unsupported-dtype  tf.constant(np.zeros(2, np.longdouble))
unsupported-dtype  tf.constant(np.zeros(2, dtype=[("a", "f4")]))
unsupported-dtype  tf.Variable(np.array(["2020-01-01"], dtype="M8[D]"))
missing-values     tf.data.Dataset.from_tensor_slices(np.array([1, None], dtype=object))
ragged             tf.data.Dataset.from_tensor_slices([[1, 2], [3]])
ragged             tf.constant([[1, 2], [3]])
missing-values     tf.constant([1.5, None])
mixed-types        tf.constant(["a", 1.0])
mixed-types        tf.constant([True, 2])
mixed-types        tf.ragged.constant([[1, 2], ["a"]])
out-of-range       tf.constant([7, 2**63])
not-an-array       tf.constant({"a": 1})
not-an-array       tf.constant(x for x in range(3))
not-an-array       tf.constant(Decimal("1"))
not-an-array       tf.constant(None)
not-an-array       tf.constant(object())
dtype-mismatch     tf.constant(1.5, tf.int32)
other              tf.constant([1, 2, 3], shape=(2, 2))
other              v = tf.Variable(np.zeros(3)); v.assign(np.zeros(4))
dtype-mismatch     tf.ones(3) + tf.ones(3, tf.float64)
dtype-mismatch     a = tf.ones(3); b = tf.ones(3, tf.float64); a * b
dtype-mismatch     tf.matmul(tf.ones((2, 2)), tf.ones((2, 2), tf.float64))
dtype-mismatch     tf.convert_to_tensor(tf.ones(3), dtype=tf.float64)
not-an-array       tf.constant(np.zeros((2, 2)).data)
dtype-mismatch     tf.concat([tf.ones(3), tf.ones(3, tf.float64)], 0)
symbolic           tf.keras.Input((3,)).numpy()
symbolic           np.asarray(tf.keras.Input((3,)))
missing-values     tf.constant([1.0, float("nan")], dtype=tf.int32)
"""

NO_CONVERSIONS_OF_TENSORFLOW = """
tf.ones(3) + tf.ones(4)
tf.reshape(tf.ones(3), (2, 2))
tf.matmul(tf.ones((2, 2)), tf.ones((3, 2)))
tf.foo(3)
tf.ones(3).foo
m = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)]); m(np.zeros((8, 3)))
"""


def failures(text: str) -> tuple[Failure, ...]:
    outcome = run(text, "<cell>", {"__name__": "__main__"})
    assert outcome.recording.faults == ()
    return outcome.recording.failures


def caught(line: str, library: str) -> str:
    head = HEAD.format(library=library)
    return f"{head}try:\n    {line}\nexcept Exception:\n    caught = True\nassert caught\n"


def cases(table: str) -> list[tuple[str, str]]:
    return [
        (cause, line) for cause, line in (row.split(None, 1) for row in table.split("\n") if row)
    ]


@pytest.mark.parametrize(("cause", "line"), cases(TORCH_AND_NUMPY))
def test_a_conversion_that_raises_is_told_with_its_cause_whether_it_was_caught_or_not(
    cause: str, line: str
) -> None:
    """The cause is that of the data, and the line is the user's."""
    found = failures(caught(line, "torch"))
    thrown = failures(f"{HEAD.format(library='torch')}\n{line}\n")
    assert [(cause, LINE)] == [(one.cause, one.line) for one in found]
    assert [(cause, LINE)] == [(one.cause, one.line) for one in thrown]


@pytest.mark.parametrize(("cause", "line"), cases(TENSORFLOW))
def test_what_tensorflow_refuses_is_told_with_its_cause(cause: str, line: str) -> None:
    """Also where the conversion was implicit, and in Keras."""
    found = failures(caught(line, "tensorflow as tf"))
    assert [(cause, LINE)] == [(one.cause, one.line) for one in found]


@pytest.mark.parametrize("line", NO_CONVERSIONS.strip().split("\n"))
def test_an_error_that_is_no_conversions_is_left_alone(line: str) -> None:
    """Wrong shapes of a computation, wrong names and wrong arguments are the user's own affair."""
    assert failures(caught(line, "torch")) == ()


@pytest.mark.parametrize("line", NO_CONVERSIONS_OF_TENSORFLOW.strip().split("\n"))
def test_an_error_of_tensorflows_that_is_no_conversions_is_left_alone(line: str) -> None:
    """As in torch."""
    assert failures(caught(line, "tensorflow as tf")) == ()


@pytest.mark.parametrize(
    ("line", "told", "remedy"),
    [
        ("torch.tensor([[4, 8, 15], [16, 23]])", "[0] has 3, [1] has 2", "pad_sequence"),
        ("torch.tensor([0.5, None])", "[1] is None", "dtype=np.float64"),
        ("torch.from_numpy(x[::-1])", "strides (-8,) bytes", "torch.from_numpy(x[::-1].copy())"),
        ("np.array([1, 300], dtype=np.uint8)", "[1] is 300, and uint8 holds 0 to 255", "np.int64"),
        ("torch.from_numpy(x.astype('>f4'))", ">f4", "newbyteorder('=')"),
        ("w.numpy()", "w requires a gradient", "w.detach().numpy()"),
        ("x @ 1 if 0 else np.asarray(w)", "w requires a gradient", "w.detach().numpy()"),
        ("torch.tensor(np.array([3, 'a'], dtype=object))", "[1] is the text 'a'", "np.unique"),
        ("torch.tensor([0.5, None])", "None becomes nan", "dtype=np.float64"),
        ("(w + abs(w)).numpy()", "w + abs(w) requires", "(w + abs(w)).detach().numpy()"),
        ("torch.tensor([w.detach(), w.detach()])", "tensor of shape (3,)", "torch.stack(["),
        (
            "import pandas as pd; np.array(['1', 'x']).astype(float)",
            "is the text 'x', which is no number. With what follows, text that",
            "pd.to_numeric",
        ),
        ("torch.from_numpy(w)", "w is a tensor of torch's already.", "w"),
        ("np.array({1, 2}, dtype=float)", "{1, 2} is a set", "np.array(sorted({1, 2}))"),
    ],
)
def test_the_explanation_names_the_users_own_values_and_the_remedy_works(
    line: str, told: str, remedy: str
) -> None:
    """What is offered is an expression that runs on the same data."""
    names: dict[str, Any] = {"__name__": "__main__"}
    before = (
        "import numpy as np\nimport torch\nx = np.arange(5)\nw = torch.ones(3).requires_grad_()\n"
    )
    found = run(before + line, "<cell>", names).recording.failures
    assert len(found) == 1
    assert told in found[0].explanation
    assert remedy in found[0].remedy
    eval(found[0].remedy, names)


def test_a_table_of_text_and_numbers_is_not_offered_as_codes_of_both() -> None:
    """The numbers among them would be lost, though the line ran."""
    found = failures(
        "import numpy as np, torch\ntorch.tensor(np.array([['a', 1.5], ['b', 2.5]], dtype=object))"
    )
    assert ["mixed-types"] == [one.cause for one in found]
    assert "np.unique" not in found[0].remedy


def test_the_remedy_for_dates_keeps_parts_of_a_second_and_what_is_missing() -> None:
    """A date that is not there is no very old one."""
    names: dict[str, Any] = {"__name__": "__main__"}
    text = "import numpy as np, torch\nd = np.array([90_500, 'NaT'], 'M8[ms]')\ntorch.tensor(d)"
    [found] = run(text, "<cell>", names).recording.failures
    assert "seconds" in found.explanation
    seconds, missing = eval(found.remedy, names).tolist()
    assert seconds == 90.5
    assert math.isnan(missing)


def test_a_number_too_large_for_jax_is_not_offered_in_a_form_that_jax_cuts_off() -> None:
    """With 32 bits `jnp.asarray` of an int64 array runs, and gives another number."""
    [found] = failures("import jax.numpy as jnp\njnp.array([2**40])")
    assert found.cause == "out-of-range"
    assert "jax_enable_x64" in found.remedy


def test_the_dtype_to_cast_to_is_the_one_that_torch_asks_for() -> None:
    """Classes are wanted as int64, though the other operand is of floats."""
    line = "torch.nn.functional.cross_entropy(torch.ones(2, 3), torch.ones(2, dtype=torch.int32))"
    [found] = failures(f"import torch\n{line}")
    assert found.cause == "dtype-mismatch"
    assert "x.to(torch.int64)" in found.remedy


BRANCH_IN_JAX = (
    "import jax\n@jax.jit\ndef f(x):\n    if x.sum() > 0:\n        return x\n    return -x"
)


def test_a_branch_on_a_tracer_is_told_though_the_value_has_no_name() -> None:
    """An `if` asks for the truth of what stands in no variable."""
    found = failures(f"{BRANCH_IN_JAX}\nf(1.0)")
    assert [("symbolic", 4)] == [(one.cause, one.line) for one in found]
    assert "jax.lax.cond" in found[0].remedy


def test_the_librarys_own_word_is_told_where_its_message_begins_with_the_place() -> None:
    """AutoGraph writes `in user code:` first, and then the code."""
    [found] = failures(f"import numpy as np\nimport tensorflow as tf\n{TRACED_METHOD}\n")
    assert "'SymbolicTensor' object has no attribute 'numpy'" in found.error


TRACED_ARRAY = """
@tf.function
def f(x):
    return np.asarray(x) + 1
try:
    f(tf.ones(3))
except Exception:
    pass
"""
TRACED_METHOD = TRACED_ARRAY.replace("np.asarray(x) + 1", "(x * 2).numpy()")
PREDICTED = """
import keras
model = keras.Sequential([keras.layers.Dense(2)])
try:
    model.predict(np.array([[1.0, None]], dtype=object), verbose=0)
except Exception:
    pass
"""


@pytest.mark.parametrize(
    ("body", "cause", "line"),
    [
        (TRACED_ARRAY, "symbolic", 6),
        (TRACED_METHOD, "symbolic", 6),
        (PREDICTED, "missing-values", 7),
    ],
)
def test_a_failure_below_libraries_is_charged_to_the_users_own_line(
    body: str, cause: str, line: int
) -> None:
    """Traced functions too, which TensorFlow runs in a translation of its own."""
    found = failures(f"import numpy as np\nimport tensorflow as tf\n{body}\n")
    assert [(cause, line)] == [(one.cause, one.line) for one in found]


def test_an_error_that_a_context_manager_swallows_is_seen_too() -> None:
    """`suppress` leaves nothing to be caught."""
    found = failures(
        "import contextlib\nimport torch\nwith contextlib.suppress(ValueError):\n"
        "    torch.tensor([[1], [2, 3]])\n"
    )
    assert [("ragged", 4)] == [(one.cause, one.line) for one in found]


def test_the_error_itself_is_untouched() -> None:
    """Type, text, traceback and context are what they are without us."""
    text = (
        "import torch\ndef f(rows):\n    return torch.tensor(rows)\ntry:\n    f([[1], [2, 3]])\n"
        "except ValueError as error:\n    kept = error\n"
    )
    plain: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "<cell>", "exec"), plain)
    watched: dict[str, Any] = {"__name__": "__main__"}
    tensortoll.run_source(text, "<cell>", watched, memory=False, time=False)
    one, other = plain["kept"], watched["kept"]
    assert (type(one), str(one)) == (type(other), str(other))
    frames = [
        [(f.lineno, f.name) for f in traceback.extract_tb(e.__traceback__)] for e in (one, other)
    ]
    assert frames[0] == frames[1]
    assert other.__context__ is None


def test_a_block_tells_of_the_error_that_ends_it() -> None:
    """Nothing is rewritten there, so what the block catches itself goes unseen."""
    import torch

    recorder = tensortoll.record()
    with pytest.raises(RuntimeError), recorder:
        torch.ones(3, requires_grad=True).numpy()
    assert ["requires-grad"] == [one.cause for one in recorder.recording.failures]


def test_a_cell_tells_of_the_error_that_ends_it(shell: Any) -> None:
    """And IPython shows it as ever."""
    shell.run_cell("%%tensorcost --quiet -o told\nimport torch\ntorch.tensor([1, None])")
    assert [("missing-values", 3)] == [(f.cause, f.line) for f in shell.user_ns["told"].failures]


def test_what_is_tried_as_a_remedy_is_not_counted_as_the_user_s():
    """
    The array that is turned round for a trial, and shared with torch there, is nobody's line.
    """
    text = """import numpy as np, torch
try:
    torch.from_numpy(np.arange(6.0)[::-1])
except ValueError:
    pass
"""

    recording = tensortoll.run_source(text, memory=False, time=False)

    assert "torch.from_numpy(np.arange(6.0)[::-1].copy())" == recording.failures[0].remedy
    assert () == recording.conversions


def test_trying_a_remedy_is_not_counted_as_a_conversion() -> None:
    """It is ours, and not the user's."""
    text = (
        "import numpy as np\nimport torch\nw = torch.ones(3, requires_grad=True)\n"
        "try:\n    w.numpy()\nexcept RuntimeError:\n    pass\n"
        "try:\n    torch.tensor([[1], [2, 3]])\nexcept ValueError:\n    pass\n"
    )
    recording = run(text, "<cell>", {"__name__": "__main__"}).recording
    assert len(recording.failures) == 2
    assert all(one.remedy for one in recording.failures)
    assert recording.conversions == ()


def test_an_error_that_is_caught_in_a_loop_is_looked_into_a_few_times_only(monkeypatch):
    """A loop may catch a million errors; the first ones of an instruction tell what it is."""
    attempts = []
    attempt = noticing.attempt
    monkeypatch.setattr(noticing, "attempt", lambda *args: (attempts.append(1), attempt(*args))[1])
    text = (
        "import torch\n"
        "for _ in range(100):\n"
        "    try: int('x')\n"
        "    except ValueError: pass\n"
        "    try: torch.tensor([[1, 2], [3]])\n"
        "    except ValueError: pass\n"
    )

    outcome = run(text, "<cell>", {"__name__": "__main__"})

    assert [5] == [one.line for one in outcome.recording.failures]
    assert 2 * noticing.LOOKED_AT == len(attempts)
