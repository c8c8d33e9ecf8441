"""TT1xx: copies that can be left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal, evaluations
from tensortoll.advice.rules.rule import Rule
from tensortoll.advice.vocabulary import FRESH
from tensortoll.capture.arrays.facts import Held, c_strides
from tensortoll.model import Conversion

INTO_TF: Final = ("tensorflow.constant", "tensorflow.convert_to_tensor")
LENDING: Final = ("torch.from_numpy", "torch.as_tensor", "torch.asarray")
_LINKS: Final = (ast.Attribute, ast.Subscript)
ALIGNMENT_OF_LARGE: Final = 16
"""Where NumPy's large arrays begin, from a border of 64 bytes: right behind malloc's header."""


def is_view(held: Held) -> bool:
    """Say whether an array's elements do not follow one another in C order."""
    return held.strides != c_strides(held.shape, held.itemsize)


def torch_dtype(case: Case, dtype: str) -> str:
    """Return how the source writes a dtype of torch's: `torch.float32`."""
    return f"{case.script.spelled('torch')}.{dtype}"


def copied_array(one: Conversion) -> bool:
    """Say whether a row is a copy of an ndarray into torch as it is."""
    route = one.route
    return (
        route.outcome == "copy"
        and not route.effects
        and (route.origin.library, route.target.library) == ("numpy", "torch")
        and route.target.device == "cpu"
    )


def stand_in_of(case: Case, argument: ast.expr, row: Conversion) -> dict[str, Held] | None:
    """Return what stands for an argument that can't be run again; None where it may be anything.

    A result that was just computed is an array of its own, in C order.
    """
    if isinstance(case.fact(argument), Held):
        return {}
    call = argument if isinstance(argument, ast.Call) else None
    name = getattr(call.func, "attr", "") if call else ""
    computed = isinstance(argument, ast.BinOp | ast.UnaryOp | ast.Compare)
    if not computed and (call is None or name not in FRESH or name in {"sort", "lu"}):
        return None
    if row.shape is None:
        return None
    dtype = row.route.origin.dtype
    held = Held("numpy", dtype, row.shape, (), ALIGNMENT_OF_LARGE, 0, writable=True)
    held = held._replace(strides=c_strides(row.shape, held.itemsize))
    return {ast.unparse(argument): held}


def shared_caveat(case: Case, argument: ast.expr) -> tuple[str, ...]:
    """Return what to say of a result that shares the memory of an argument."""
    if not list(case.script.aliasing.carried(argument)) or _is_cast_at_once(case):
        return ()
    written = case.written(argument)
    names = case.script.aliasing.names_of_result(case.node) or ()
    result = f"`{min(names)}`" if len(names) == 1 else "the tensor"
    return (
        (f"shares memory with `{written}`: later writes to either show in the other",)[:1]
        if (result == "the tensor")
        else (f"shares memory with `{written}`: later writes to `{written}` show in {result}",)
    )


def _is_cast_at_once(case: Case) -> bool:
    """Say whether nobody gets hold of a result but methods of its own that end in a cast.

    A cast is in other memory whatever the layout; other copies may depend on that.
    """
    node: ast.AST = case.node
    for parent in case.script.text.around(node):
        is_chained = node is getattr(
            parent, "value" if isinstance(parent, _LINKS) else "func", None
        )
        if not is_chained:
            return False
        outer = case.by_node.get(parent) if isinstance(parent, ast.expr) else None
        if outer is not None and outer.rows:
            routes = [one.route for one in outer.rows]
            is_cast = all(one.outcome == "copy" and "cast" in one.effects for one in routes)
            return is_cast and evaluations(outer.rows) >= evaluations(case.rows)
        node = parent
    return False


# ------------------------------------------------------------------------------- TT101


def _tensor_of_array(case: Case) -> Iterator[Proposal]:
    row = case.row(copied_array)
    argument = case.first
    if row is None or argument is None or case.call is None or case.function != "torch.tensor":
        return
    if {one.arg for one in case.call.keywords} - {"dtype", "device"}:
        return
    fresh = stand_in_of(case, argument, row)
    held = case.fact(argument)
    if fresh is None or (isinstance(held, Held) and not held.writable):
        return
    function = case.written(case.call.func)
    prefix = function.rpartition(".")[0] or case.script.spelled("torch")
    yield Proposal(
        "TT101",
        case.node,
        f"{prefix}.from_numpy({case.written(argument)})",
        f"`{function}` copies the array; `from_numpy` shares its memory",
        row.totals.count,
        caveats=shared_caveat(case, argument),
        shares=argument,
        fresh=fresh,
    )


TENSOR_OF_ARRAY = Rule(
    "TT101",
    "a tensor that copies an array which could be shared",
    _tensor_of_array,
    "`torch.tensor(a)` always copies, by its definition: it makes a tensor that owns its data. "
    "For a NumPy array on the CPU with a dtype that torch knows, `torch.from_numpy(a)` makes a "
    "tensor over the array's own memory, and writes nothing.",
    "Write `torch.from_numpy(a)` where neither the array nor the tensor is written afterwards. "
    "It is offered only where the source shows no write to either.",
    """
import numpy as np
import torch

readings = np.ones((500, 400), dtype=np.float32)
copied = torch.tensor(readings)        # costly: 800 kB are written
shared = torch.from_numpy(readings)    # better: nothing is written
assert torch.equal(copied, shared)
""",
    (
        "array and tensor share memory: a write to one shows in the other",
        "an array that can't be written makes a tensor that must not be written",
    ),
)

# ------------------------------------------------------------------------------- TT103


def _contiguous(case: Case) -> Iterator[Proposal]:
    inner = None if case.first is None else case.by_node.get(case.first)
    if inner is None or case.call is None or case.call.keywords:
        return
    into_torch = case.function in {"torch.from_numpy", "torch.as_tensor", "torch.tensor"}
    by_copy = inner.function == "numpy.ascontiguousarray" or inner.method == "copy"
    source = inner.receiver if inner.method == "copy" else inner.first
    if not into_torch or not by_copy or inner.call is None or inner.call.keywords:
        return
    held = case.array(source)
    row = inner.row(lambda one: "layout" in one.route.effects)
    if held is None or row is None or source is None:
        return
    if not held.writable or min(held.strides, default=0) < 0 or 0 in held.strides:
        return
    torch = case.script.spelled("torch")
    yield Proposal(
        "TT103",
        case.node,
        f"{torch}.from_numpy({case.written(source)}).contiguous()",
        "NumPy lays the strided array out anew in one thread; torch does it faster",
        row.totals.count,
    )


CONTIGUOUS = Rule(
    "TT103",
    "a strided array laid out anew by NumPy on its way into torch",
    _contiguous,
    "`np.ascontiguousarray(a.T)` walks the array in one thread, and element by element where its "
    "inner axis is strided. Torch's own copy works in blocks and in several threads.",
    "Hand the strided array over as it is, which copies nothing, and let torch lay it out: "
    "`torch.from_numpy(a.T).contiguous()`.",
    """
import numpy as np
import torch

image = np.arange(1_200_000, dtype=np.float32).reshape(20_000, 60)
slow = torch.from_numpy(np.ascontiguousarray(image.T))    # costly: NumPy transposes
fast = torch.from_numpy(image.T).contiguous()             # better: torch does
assert torch.equal(slow, fast)
""",
    ("not for arrays with negative strides: torch refuses them",),
)

# ------------------------------------------------------------------------------- TT106


def _twice_by_array(case: Case) -> Iterator[Proposal]:
    argument = case.first
    if case.function != "numpy.array" or argument is None or case.call is None or not case.rows:
        return
    if case.call.keywords or len(case.call.args) != 1:
        return
    count = max(one.totals.count for one in case.rows)
    held, written = case.fact(argument), case.written(argument)
    if not isinstance(held, Held):
        return
    if held.library == "tensorflow" and held.class_name == "Variable":
        title = "`np.array` of a variable copies twice: once for the array, once more for NumPy"
        yield Proposal("TT106", case.node, f"{written}.numpy()", title, count)
    if held.library == "PIL" and not _is_lent_to_torch(case):
        function = case.written(case.call.func).removesuffix("array") + "asarray"
        yield Proposal(
            "TT106",
            case.node,
            f"{function}({written})",
            "`np.array` of an image copies its pixels twice",
            count,
            caveats=("the array is read-only",),
            shares=argument,
        )


def _is_lent_to_torch(case: Case) -> bool:
    """Say whether torch takes over the array itself, which is not to be read-only then."""
    names = case.script.aliasing.names_of_result(case.node) or ()
    for call in ast.walk(case.script.text.tree):
        if isinstance(call, ast.Call) and case.script.names.resolve(call.func) in LENDING:
            inside = list(ast.walk(call))
            if case.node in inside or any(getattr(one, "id", "") in names for one in inside):
                return True
    return False


TWICE_BY_ARRAY = Rule(
    "TT106",
    "`np.array` of something that hands out a copy already",
    _twice_by_array,
    "A TensorFlow variable and a PIL image make an array of their own when NumPy asks them for "
    "one. `np.array` copies that array once more, to be sure that it owns it.",
    "Ask for the array once: `variable.numpy()`, `np.asarray(image)`.",
    """
import numpy as np
import tensorflow as tf

weights = tf.Variable(tf.ones((300, 300)))
twice = np.array(weights)      # costly: two copies
once = weights.numpy()         # better: one
assert np.array_equal(twice, once)
""",
    ("the array of an image is read-only",),
)

# ------------------------------------------------------------------------------- TT109


def _memoryview(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    if call is None or not isinstance(argument, ast.Attribute) or argument.attr != "data":
        return
    if case.function not in INTO_TF or case.array(argument.value) is None or not case.rows:
        return
    row = max(case.rows, key=lambda one: one.totals.bytes_written)
    rest = [case.written(one) for one in call.args[1:]]
    rest += [f"{one.arg}={case.written(one.value)}" for one in call.keywords]
    arguments = ", ".join([case.written(argument.value), *rest])
    yield Proposal(
        "TT109",
        case.node,
        f"{case.written(call.func)}({arguments})",
        "`.data` shares nothing here: TensorFlow walks the memoryview element by element",
        row.totals.count,
    )


MEMORYVIEW = Rule(
    "TT109",
    "a memoryview handed to TensorFlow",
    _memoryview,
    "`tf.constant(a.data)` looks as if it shared the array's memory. TensorFlow takes the "
    "memoryview for a sequence of Python numbers: it boxes and walks each of them, which takes "
    "ten times the memory and twenty times the time of a copy.",
    "Hand over the array itself.",
    """
import numpy as np
import tensorflow as tf

flat = np.arange(20_000, dtype=np.float32)
walked = tf.constant(flat.data, shape=(200, 100), dtype=tf.float32)   # costly: element by element
copied = tf.constant(flat, shape=(200, 100), dtype=tf.float32)        # better: a plain copy
assert np.array_equal(walked, copied)
""",
)

COPIES: Final = (TENSOR_OF_ARRAY, CONTIGUOUS, TWICE_BY_ARRAY, MEMORYVIEW)
