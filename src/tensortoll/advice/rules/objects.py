"""TT4xx: Python objects where arrays would do."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal, evaluations
from tensortoll.advice.rules.copies import INTO_TF, torch_dtype
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held, Listed
from tensortoll.model import Conversion

INTO_TORCH: Final = ("torch.tensor", "torch.as_tensor")
INTO_JAX: Final = ("jax.numpy.array", "jax.numpy.asarray")
MANY_NUMBERS: Final = 5_000
"""Below, walking a list takes less than a millisecond."""
NUMBERS: Final = frozenset(("float", "int", "bool"))


def _into(one: Conversion) -> bool:
    route = one.route
    return route.outcome == "copy" and route.target.library in {"torch", "tensorflow", "jax"}


def _rest(case: Case) -> str:
    """Return the arguments of a call behind the first one, as they would follow another one."""
    assert case.call is not None
    rest = [case.written(one) for one in case.call.args[1:]]
    rest += [f"{one.arg}={case.written(one.value)}" for one in case.call.keywords]
    return "".join(f", {one}" for one in rest)


def _needs_numpy(case: Case) -> tuple[str, ...]:
    return () if case.script.has("numpy") else ("needs `import numpy as np`",)


# ------------------------------------------------------------------------------- TT401


def _list_of_arrays(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    fact, row = case.fact(argument), case.row(_into)
    if call is None or argument is None or not isinstance(fact, Listed) or row is None:
        return
    if fact.array is None or any(one.arg is None for one in call.keywords):
        return
    written, numpy = case.written(argument), case.script.spelled("numpy")
    count = row.totals.count
    number = math.prod(fact.lengths)
    if fact.array.library == "numpy" and fact.array.shape and not fact.array.class_name:
        title = f"{number:,} arrays are walked element by element"
        joined = (
            f"{numpy}.stack({written})" if len(fact.lengths) == 1 else f"{numpy}.array({written})"
        )
        if case.function in INTO_TORCH and not _rest(case):
            new = f"{case.script.spelled('torch')}.from_numpy({joined})"
        elif case.function in (*INTO_TORCH, *INTO_TF, *INTO_JAX):
            new = f"{case.written(call.func)}({joined}{_rest(case)})"
        else:
            return
        yield Proposal(
            "TT401",
            case.node,
            new,
            title,
            count,
            caveats=_needs_numpy(case),
            also_saved_bytes=-_stacked_bytes(fact),
        )


def _list_of_tensors(case: Case) -> Iterator[Proposal]:
    """`np.array(list of tensors)`, `torch.tensor(list of tensors)`."""
    argument, call = case.first, case.call
    fact = case.fact(argument)
    if call is None or argument is None or not isinstance(fact, Listed) or not case.rows:
        return
    if fact.array is None or len(fact.lengths) != 1 or call.keywords or len(call.args) != 1:
        return
    if fact.array.device != "cpu" or fact.array.class_name:
        return
    library = fact.array.library
    count = evaluations(case.rows)
    written = case.written(argument)
    title = f"{fact.lengths[0]:,} tensors are asked for their elements one by one"
    if library in {"torch", "tensorflow"} and case.function in {"numpy.array", "numpy.asarray"}:
        new = f"{case.script.spelled(library)}.stack({written}).numpy()"
        stacked = -_stacked_bytes(fact)
        yield Proposal("TT401", case.node, new, title, count, also_saved_bytes=stacked)
    if library == "torch" and case.function in INTO_TORCH:
        new = f"{case.script.spelled('torch')}.stack({written})"
        stacked = -_stacked_bytes(fact)
        yield Proposal("TT401", case.node, new, title, count, also_saved_bytes=stacked)


def _stacked_bytes(fact: Listed) -> int:
    """Return what `stack` writes, which is computation and so no conversion's."""
    if fact.array is None or len(fact.lengths) != 1:
        return 0
    return fact.lengths[0] * fact.array.nbytes


def _list_of_either(case: Case) -> Iterator[Proposal]:
    yield from _list_of_arrays(case)
    yield from _list_of_tensors(case)


LIST_OF_ARRAYS = Rule(
    "TT401",
    "a tensor made of a list of arrays",
    _list_of_either,
    "Given a list, a library looks at each element by itself, also where the elements are arrays "
    "whose memory could be copied as a whole.",
    "Make one array of them first, and convert that: `torch.from_numpy(np.stack(rows))`, "
    "`tf.constant(np.stack(rows))`, `tf.stack(tensors).numpy()`.",
    """
import numpy as np
import torch

rows = [np.full(400, n, dtype=np.float32) for n in range(100)]
walked = torch.tensor(np.array(rows).tolist())           # the same work as torch.tensor(rows)
stacked = torch.from_numpy(np.stack(rows))               # better: copied array by array
assert torch.equal(walked, stacked)
""",
    ("the arrays must agree in shape and dtype",),
)

# ------------------------------------------------------------------------------- TT402


def _nested_list(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    fact = case.fact(argument)
    row = case.row(lambda one: _into(one) and "parse" in one.route.effects)
    if call is None or argument is None or not isinstance(fact, Listed) or row is None:
        return
    if fact.array is not None or fact.element not in NUMBERS:
        return
    if math.prod(fact.lengths) < MANY_NUMBERS:
        return
    dtype = row.route.target.dtype
    numpy = case.script.spelled("numpy")
    array = f"{numpy}.array({case.written(argument)}, dtype={numpy}.{dtype})"
    title = f"{math.prod(fact.lengths):,} Python numbers are walked one by one"
    if case.function in INTO_TORCH and _only_dtype(call):
        new = f"{case.script.spelled('torch')}.from_numpy({array})"
    elif (case.function in INTO_TF and _only_dtype(call)) or (
        case.function in INTO_JAX and _only_dtype(call)
    ):
        new = f"{case.written(call.func)}({array})"
    else:
        return
    count = row.totals.count
    yield Proposal("TT402", case.node, new, title, count, caveats=_needs_numpy(case), rounding=1e-6)


def _only_dtype(call: ast.Call) -> bool:
    return not call.args[2:] and all(one.arg == "dtype" for one in call.keywords)


NESTED_LIST = Rule(
    "TT402",
    "a tensor made of a long list of numbers",
    _nested_list,
    "Every number of a list is an object of its own, and the library asks each for its type and "
    "value. NumPy does the same walk with less ado.",
    "Let NumPy read the list, in the dtype that is wanted: "
    "`torch.from_numpy(np.array(numbers, dtype=np.float32))`. Better still, do not make the list.",
    """
import numpy as np
import torch

numbers = [[row + column / 10 for column in range(200)] for row in range(100)]
walked = torch.tensor(numbers)                                       # costly
read = torch.from_numpy(np.array(numbers, dtype=np.float32))         # better
assert torch.equal(walked, read)
""",
)

# ------------------------------------------------------------------------------- TT403


def _through_a_list(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    row = case.row(lambda one: _into(one) and "parse" in one.route.effects)
    if call is None or row is None or not isinstance(argument, ast.Call):
        return
    source = None
    if isinstance(argument.func, ast.Attribute) and argument.func.attr == "tolist":
        source = argument.func.value
    elif isinstance(argument.func, ast.Name) and argument.func.id == "list" and argument.args:
        source = argument.args[0]
    held = case.fact(source)
    if source is None or not isinstance(held, Held) or not _only_dtype(call):
        return
    dtype, written = row.route.target.dtype, case.written(source)
    title = "the array is taken apart into Python objects, and put together again"
    count = row.totals.count
    if held.library == "numpy" and case.function in INTO_TORCH:
        new = f"{case.written(call.func)}({written}, dtype={torch_dtype(case, dtype)})"
    elif held.library == "numpy" and case.function in INTO_TF:
        wanted = f"{case.script.spelled('tensorflow')}.{dtype}"
        new = f"{case.written(call.func)}({written}, dtype={wanted})"
    elif held.library == "torch" and case.function in INTO_TORCH and held.device == "cpu":
        new = (
            f"{written}.clone()"
            if held.dtype == dtype
            else f"{written}.to({torch_dtype(case, dtype)})"
        )
    else:
        return
    yield Proposal("TT403", case.node, new, title, count, rounding=1e-6)


THROUGH_A_LIST = Rule(
    "TT403",
    "an array taken apart into a list on its way into a tensor",
    _through_a_list,
    "`a.tolist()` makes one Python object of each element; the tensor is then read from these "
    "objects, one after the other.",
    "Hand the array itself over, with the dtype that the list would have given.",
    """
import numpy as np
import torch

levels = np.linspace(0, 1, 20_000)
apart = torch.tensor(levels.tolist())                    # costly: 20,000 objects
whole = torch.tensor(levels, dtype=torch.float32)        # better: one pass
assert torch.equal(apart, whole)
""",
)

OBJECTS: Final = (LIST_OF_ARRAYS, NESTED_LIST, THROUGH_A_LIST)
