"""TT204: tables of several dtypes on their way into arrays and tensors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.copies import INTO_TF
from tensortoll.advice.rules.objects import INTO_JAX
from tensortoll.advice.rules.rule import Rule
from tensortoll.advice.rules.steps import asked_dtype
from tensortoll.capture.arrays.facts import Framed
from tensortoll.model import Conversion

OUT_OF_A_TABLE: Final = ("numpy.asarray", "numpy.array")
ROUNDING: Final = 1e-6
"""int64 that goes through float64 to float32 may be rounded twice."""


class _Made(NamedTuple):
    """The array that an expression makes of a table."""

    table: str
    """The table, as the user wrote it."""
    dtype: str
    """What the array became: the widest dtype of the columns, or `object`."""


def _array_of_table(case: Case, node: ast.expr | None) -> _Made | None:
    """Return what is known of `df.values`, `df.to_numpy()` or `np.asarray(df)`, if it casts."""
    inner = None if node is None else case.by_node.get(node)
    if inner is None or not any(isinstance(one, Framed) for one in inner.facts.values()):
        return None
    row = inner.row(_casts_a_table)
    call = inner.call
    if row is None or (call is not None and call.keywords):
        return None
    if call is None:
        source = node.value if isinstance(node, ast.Attribute) and node.attr == "values" else None
    elif inner.function in OUT_OF_A_TABLE:
        source = inner.first if len(call.args) == 1 else None
    else:
        source = inner.receiver if inner.method == "to_numpy" and not call.args else None
    return None if source is None else _Made(case.written(source), row.route.target.dtype)


def _casts_a_table(one: Conversion) -> bool:
    route = one.route
    libraries = route.origin.library, route.target.library
    return libraries == ("pandas", "numpy") and "cast" in route.effects


def _cast_after(case: Case) -> Iterator[Proposal]:
    """`df.values.astype(np.float32)`, `torch.tensor(df.values).float()`, and the like."""
    row = case.row(lambda one: "cast" in one.route.effects and one.route.origin.library != "pandas")
    made = _array_of_table(case, case.receiver if case.method else case.first)
    if case.method == "astype" and made is not None and row is not None:
        call = case.call
        if call is not None and len(call.args) == 1 and not call.keywords:
            new = f"{made.table}.to_numpy(dtype={case.written(call.args[0])})"
            yield _proposal(case, made, row, new)
        return
    made = _handed_over(case)
    if made is None or row is None:
        return
    numpy, dtype = case.script.spelled("numpy"), row.route.target.dtype
    if dtype == "bfloat16":
        return
    array = f"{made.table}.to_numpy(dtype={numpy}.{dtype})"
    if row.route.target.library == "torch":
        yield _proposal(case, made, row, f"{case.script.spelled('torch')}.from_numpy({array})")
    elif row.route.target.library in {"tensorflow", "jax"} and case.call is not None:
        yield _proposal(case, made, row, f"{case.written(case.call.func)}({array})")


def _handed_over(case: Case) -> _Made | None:
    """Return the table's array that a call converts into a tensor of another dtype."""
    call = case.call
    if call is None:
        return None
    if case.method and asked_dtype(case) is not None:
        inner = case.by_node.get(case.receiver) if case.receiver is not None else None
        known = inner is not None and inner.function in {"torch.tensor", "torch.from_numpy"}
        plain = known and inner is not None and inner.call is not None and not inner.call.keywords
        return _array_of_table(case, inner.first) if plain and inner is not None else None
    if case.function not in {"torch.tensor", *INTO_TF, *INTO_JAX}:
        return None
    if call.args[2:] or any(one.arg != "dtype" for one in call.keywords):
        return None
    return _array_of_table(case, case.first)


def _copied_after(case: Case) -> Iterator[Proposal]:
    """`torch.tensor(df.values)`: the array is nobody else's, and may be shared."""
    call, argument = case.call, case.first
    row = case.row(lambda one: one.route.target.library == "torch" and not one.route.effects)
    if case.function != "torch.tensor" or call is None or call.keywords or argument is None:
        return
    if row is None:
        return
    torch, cast = case.script.spelled("torch"), case.by_node.get(argument)
    if cast is not None and cast.method == "astype":
        for one in _cast_after(cast):
            new = f"{torch}.from_numpy({one.new})"
            yield replace(one, node=case.node, new=new)
        return
    made = _array_of_table(case, argument)
    if made is not None:
        new = f"{torch}.from_numpy({case.written(argument)})"
        title = f"the array that is made of `{made.table}` is nobody else's, and copied once more"
        yield Proposal("TT204", case.node, new, title, row.totals.count)


def _proposal(case: Case, made: _Made, row: Conversion, new: str) -> Proposal:
    what = "Python objects" if made.dtype == "object" else made.dtype
    title = f"`{made.table}` has several dtypes: it becomes {what} first, and is cast after"
    return Proposal("TT204", case.node, new, title, row.totals.count, rounding=ROUNDING)


def _of_table(case: Case) -> Iterator[Proposal]:
    yield from _cast_after(case)
    yield from _copied_after(case)


TABLE: Final = Rule(
    "TT204",
    "a table of several dtypes that becomes an array of the widest, or of objects, first",
    _of_table,
    "An array has one dtype. `df.values` and `df.to_numpy()` take the one that holds all columns: "
    "float64 for numbers of several kinds, and `object` as soon as one column is of objects, of "
    "pandas' nullable dtypes, or bool among numbers. Then every number becomes a Python object, "
    "and the cast that follows asks each for its value.",
    "Name the dtype that is wanted, and pandas casts column by column into it: "
    "`df.to_numpy(dtype=np.float32)`. The array is new, so that torch may share it.",
    """
import numpy as np
import pandas as pd
import torch

table = pd.DataFrame({"age": np.arange(9_000), "paid": np.arange(9_000) % 2 == 0})
objects = torch.tensor(table.values.astype(np.float32))                # costly: 18,000 objects
numbers = torch.from_numpy(table.to_numpy(dtype=np.float32))           # better: column by column
assert torch.equal(objects, numbers)
""",
    ("where a nullable column misses values, say what they become: `na_value=np.nan`",),
)

TABLES: Final = (TABLE,)
