"""TT203: float64 handed to a model that computes in float32."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.origins import call_that_made, line_of_origin, made_as_float64
from tensortoll.advice.rules.rule import Rule
from tensortoll.advice.rules.steps import asked_dtype
from tensortoll.advice.standins import Layer
from tensortoll.capture.arrays.facts import Held, fact_of
from tensortoll.model import Conversion

SINGLES: Final = ("float32", "float16")


def _into_a_model(case: Case) -> Iterator[Proposal]:
    row = case.row(_is_cast_by_keras)
    call, argument = case.call, case.first
    held = case.array(argument)
    if row is None or call is None or argument is None or held is None or len(call.args) != 1:
        return
    if held.dtype != "float64" or held.class_name or row.route.target.dtype not in SINGLES:
        return
    if not all(isinstance(one.value, ast.Constant) for one in call.keywords):
        return
    function, written = case.written(call.func), case.written(argument)
    numpy, dtype = case.script.spelled("numpy"), row.route.target.dtype
    line = line_of_origin(case, written)
    since = f", made at line {line}," if line else ""
    better = f"{written}.astype({numpy}.{dtype})"
    yield Proposal(
        "TT203",
        case.node,
        f"{function}({better})",
        f"`{written}`{since} is float64: Keras copies it as that, twice the bytes, and casts it "
        "inside",
        row.totals.count,
        caveats=(f"better still, make `{written}` {dtype} where it is made",),
        told=case.script.text.replaced(argument, better),
        old=f"{function}({written})",
        fresh={ast.unparse(call.func): Layer(dtype)},
    )


def _is_cast_by_keras(one: Conversion) -> bool:
    route = one.route
    keras = route.via is not None and route.via.startswith("keras/src/layers/")
    return keras and route.implicit and "cast" in route.effects and route.origin.dtype == "float64"


class _Passed(NamedTuple):
    """What the source hands to a model whose `forward` casts it."""

    name: str
    call: ast.Call


def _cast_in_forward(case: Case) -> Iterator[Proposal]:
    """`x.float()` in a `forward` that is handed float64."""
    row = case.row(_is_cast_by_hand)
    passed = None if row is None or asked_dtype(case) is None else _passed(case)
    if row is None or passed is None:
        return
    name, count = passed.name, row.totals.count
    held = fact_of(case.script.namespace.get(name))
    if not isinstance(held, Held) or (held.dtype, held.shape) != ("float64", row.shape):
        return
    line = line_of_origin(case, name, passed.call)
    since = f", made at line {line}," if line else ""
    inside = f"in each of {count:,} calls" if count > 1 else "inside"
    title = f"`{name}`{since} is float64, twice the bytes, and the model casts it {inside}"
    cast = case.written(case.node).removeprefix(case.written(case.receiver or case.node))
    loop = next(case.script.text.loops(passed.call), None)
    if loop is not None and count > 1:
        names = (one for one in ast.walk(loop) if isinstance(one, ast.Name))
        bound = {one.id for one in names if isinstance(one.ctx, ast.Store)}
        if name not in bound and not case.script.aliasing.writes_in(frozenset((name,)), loop):
            told = f"hoist `{name} = {name}{cast}` out of the loop of line {_line(loop)}"
            yield Proposal("TT203", case.node, told, title, count - 1, told=told, hoisted_from=loop)
        return
    into = call_that_made(case, name)
    source = into.args[0] if into is not None and len(into.args) == 1 else None
    if into is None or not isinstance(source, ast.Name) or into.keywords or count > 1:
        return
    array = fact_of(case.script.namespace.get(source.id))
    made = made_as_float64(case, source.id, array) if isinstance(array, Held) else None
    if made is None or not isinstance(array, Held):
        return
    function = case.written(into.func)
    yield Proposal(
        "TT203",
        case.node,
        f"{function}({made.new}){cast}",
        title,
        1,
        caveats=(f"to be written at line {made.call.lineno}", *made.caveats),
        rounding=1e-6,
        told=case.script.text.replaced(made.call, made.better),
        also_saved_bytes=array.nbytes // 2,
        old=f"{function}({made.old}){cast}",
        fresh=made.fresh,
        draws_anew=made.draws_anew,
    )


def _is_cast_by_hand(one: Conversion) -> bool:
    route = one.route
    dtypes = route.origin.dtype, route.target.dtype
    return route.origin.library == "torch" and dtypes == ("float64", "float32")


def _passed(case: Case) -> _Passed | None:
    """Return what the only call of a model hands to the parameter that its `forward` casts.

    It is used for nothing else.
    """
    text, space = case.script.text, case.script.namespace
    function, receiver = text.function(case.node), case.receiver
    owner = None if function is None else text.parents.get(function)
    if not isinstance(function, ast.FunctionDef) or not isinstance(owner, ast.ClassDef):
        return None
    parameters = [one.arg for one in function.args.args]
    if function.name != "forward" or not isinstance(receiver, ast.Name):
        return None
    if receiver.id not in parameters[1:] or not _is_only_cast(case, function, receiver):
        return None
    calls = [
        one
        for one in ast.walk(text.tree)
        if isinstance(one, ast.Call)
        and isinstance(one.func, ast.Name)
        and type(space.get(one.func.id)).__name__ == owner.name
    ]
    position = parameters.index(receiver.id) - 1
    if len(calls) != 1 or text.function(calls[0]) is not None or len(calls[0].args) <= position:
        return None
    given = calls[0].args[position]
    if not isinstance(given, ast.Name) or case.script.uses(given.id) != 1:
        return None
    return _Passed(given.id, calls[0])


def _is_only_cast(case: Case, function: ast.FunctionDef, name: ast.Name) -> bool:
    """Say whether a function does nothing with a parameter before it is cast, or beside that."""
    statement = case.script.text.statement(name)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    replaced = any(isinstance(one, ast.Name) and one.id == name.id for one in targets)
    uses = (one for one in ast.walk(function) if isinstance(one, ast.Name) and one.id == name.id)
    others = [one for one in uses if one is not name and one not in targets]
    return all(replaced and one.lineno > name.lineno for one in others)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _into_either(case: Case) -> Iterator[Proposal]:
    yield from _into_a_model(case)
    yield from _cast_in_forward(case)


INTO_A_MODEL: Final = Rule(
    "TT203",
    "float64 handed to a model that computes in float32",
    _into_either,
    "NumPy makes float64 unless it is told otherwise, and a Keras model computes in float32. "
    "`model(x)` copies the array into the backend as it is, eight bytes for each number, and then "
    "casts the copy. PyTorch does not cast by itself: the call raises, or `forward` casts in every "
    "call.",
    "Cast before the call, `model(x.astype(np.float32))`, so that half the bytes go in; or make "
    "the array float32 from the start, which saves the cast as well. A cast in a `forward` that is "
    "called in a loop is done once before it.",
    """
import os
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np

model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(2)])
doubles = np.linspace(0, 1, 50_000).reshape(1_000, 50)
inside = model(doubles)                          # costly: copied as float64, then cast
before = model(doubles.astype(np.float32))       # better: half the bytes are copied
assert np.allclose(inside, before)
""",
    ("to try it the model is not run again: a layer that passes its input on stands for it",),
)

MODELS: Final = (INTO_A_MODEL,)
