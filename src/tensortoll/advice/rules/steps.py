"""TT102: two passes over the data where one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.copies import INTO_TF, copied_array, stand_in_of, torch_dtype
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held

TORCH_CASTS: Final = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "int": "int32",
    "long": "int64",
}
"""Methods of a tensor that ask for a dtype by their name."""


def _two_steps(case: Case) -> Iterator[Proposal]:
    dtype = asked_dtype(case)
    inner = case.by_node.get(case.receiver) if case.receiver is not None else None
    row = case.row(lambda one: "cast" in one.route.effects and one.route.origin.library == "torch")
    if dtype is not None and inner is not None and row is not None:
        copied = inner.row(copied_array)
        argument = inner.first
        if copied is None or argument is None or inner.function != "torch.tensor":
            return
        assert inner.call is not None
        if inner.call.keywords or (fresh := stand_in_of(case, argument, copied)) is None:
            return
        written = case.written(argument)
        title = f"the array is copied as {copied.route.origin.dtype} first, and cast after"
        wanted = torch_dtype(case, dtype)
        torch = case.script.spelled("torch")
        for new in (
            f"{torch}.from_numpy({written}).to({wanted})",
            f"{case.written(inner.call.func)}({written}, dtype={wanted})",
        ):
            yield Proposal("TT102", case.node, new, title, row.totals.count, fresh=fresh)


def asked_dtype(case: Case) -> str | None:
    """Return the dtype that a method asks a tensor to be cast to."""
    call = case.call
    if call is None or not case.method:
        return None
    if case.method in TORCH_CASTS and not call.args and not call.keywords:
        return TORCH_CASTS[case.method]
    if case.method in {"to", "type"} and len(call.args) == 1 and not call.keywords:
        known = case.script.names.resolve(call.args[0]) or ""
        home, _, dtype = known.rpartition(".")
        return dtype if home == "torch" else None
    return None


def _cast_then_copied(case: Case) -> Iterator[Proposal]:
    """`torch.tensor(a.astype(np.float32))`: cast by NumPy, then copied."""
    row, argument = case.row(copied_array), case.first
    inner = None if argument is None else case.by_node.get(argument)
    if row is None or inner is None or case.function != "torch.tensor" or case.call is None:
        return
    cast = inner.row(lambda one: "cast" in one.route.effects)
    source = inner.receiver
    if inner.method != "astype" or cast is None or source is None or case.call.keywords:
        return
    if not isinstance(case.fact(source), Held):
        return
    wanted = torch_dtype(case, row.route.target.dtype)
    function = case.written(case.call.func)
    torch = case.script.spelled("torch")
    title = f"the array is cast to {cast.route.target.dtype} first, and copied after"
    assert argument is not None
    for new in (
        f"{torch}.from_numpy({case.written(argument)})",
        f"{function}({case.written(source)}, dtype={wanted})",
    ):
        yield Proposal("TT102", case.node, new, title, row.totals.count)


def _two_steps_either_way(case: Case) -> Iterator[Proposal]:
    yield from _two_steps(case)
    yield from _cast_then_copied(case)
    yield from _constant_then_cast(case)


def _constant_then_cast(case: Case) -> Iterator[Proposal]:
    """`tf.cast(tf.constant(a), tf.float32)`, `tf.cast(a, tf.float32)`."""
    if case.function != "tensorflow.cast" or case.call is None or case.call.keywords:
        return
    given, wanted = case.call.args
    inner = case.by_node.get(given)
    argument = given
    if inner is not None and inner.function in INTO_TF and inner.call is not None:
        if inner.call.keywords or len(inner.call.args) != 1:
            return
        argument = inner.call.args[0]
    held = case.array(argument)
    known = (case.script.names.resolve(wanted) or "").removeprefix("tensorflow.")
    row = case.row(lambda one: "cast" in one.route.effects)
    if held is None or row is None or known not in {"float32", "float16", "int32", "float64"}:
        return
    numpy = case.script.spelled("numpy")
    tf = case.script.spelled("tensorflow")
    new = f"{tf}.constant({case.written(argument)}.astype({numpy}.{known}))"
    title = f"the array is copied as {held.dtype} into TensorFlow, and cast there"
    yield Proposal("TT102", case.node, new, title, row.totals.count)


TWO_STEPS = Rule(
    "TT102",
    "two passes over the data where one does",
    _two_steps_either_way,
    "A chain such as `torch.tensor(a).float()` writes the whole array as it is, and then once "
    "more in the dtype that was wanted. A cast reads its source anyway: the first copy is made "
    "only to be thrown away.",
    "Cast while converting: `torch.from_numpy(a).to(torch.float32)`, or "
    "`torch.tensor(a, dtype=torch.float32)`. The result is memory of its own in both forms.",
    """
import numpy as np
import torch

doubles = np.linspace(0, 1, 200_000)
twice = torch.tensor(doubles).float()                    # costly: written twice
once = torch.from_numpy(doubles).to(torch.float32)       # better: written once
assert torch.equal(twice, once)
""",
)

STEPS: Final = (TWO_STEPS,)
