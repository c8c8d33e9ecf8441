"""TT201 and TT202: float64 by default, and values that a cast loses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.origins import made_as_float64
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held
from tensortoll.model import Conversion

LIMITS: Final = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits - (not sign)) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""Least and largest value by dtype."""
ASSIGNMENTS: Final = frozenset(("assign", "assign_add", "assign_sub"))


def _loses(case: Case) -> Iterator[Proposal]:
    row = case.row(_into_tensor)
    if row is None:
        return
    origin, target = row.route.origin.dtype, row.route.target.dtype
    for path, held in case.facts.items():
        if not isinstance(held, Held) or held.library != "numpy" or held.dtype != origin:
            continue
        title = _loss(case, held, target, implicit=row.route.implicit)
        if title:
            new, keeps = _kept(case, path, held)
            yield Proposal(
                "TT202",
                case.node,
                new,
                f"`{path}`: {title}",
                row.totals.count,
                caveats=("a warning, seen in the values themselves: nothing is to be saved",),
                warns=True,
                keeps=keeps,
            )
            return


def _into_tensor(one: Conversion) -> bool:
    route = one.route
    libraries = route.origin.library, route.target.library
    return "cast" in route.effects and libraries in {("numpy", "tensorflow"), ("numpy", "torch")}


def _loss(case: Case, held: Held, target: str, *, implicit: bool) -> str:
    """Return what is lost, in words; empty where nothing was seen to be."""
    if target in LIMITS:
        least, most = LIMITS[target]
        if held.low < least or held.high > most:
            value = held.high if held.high > most else held.low
            return f"values up to {value:,.6g} do not fit into {target}, and wrap around"
        asked = not implicit and case.method not in ASSIGNMENTS
        if not held.whole and not asked:
            return f"fractions are cut off: {held.dtype} becomes {target} without a word"
    rounded = (held.dtype, target) == ("float64", "float32") and not held.whole
    if rounded and case.method in ASSIGNMENTS:
        return "float64 values are rounded to float32 without a word"
    return ""


def _kept(case: Case, path: str, held: Held) -> tuple[str, str]:
    """Return what keeps the values, and NumPy's way to the same; else what says openly that not."""
    library = (
        "tensorflow" if "tensorflow" in {one.route.target.library for one in case.rows} else ""
    )
    call = case.call
    if call is not None and case.function in {"tensorflow.constant", "torch.tensor"}:
        return f"{case.written(call.func)}({path})", path
    name = case.script.spelled(library or "torch")
    numpy = case.script.spelled("numpy")
    node = case.node
    if isinstance(node, ast.BinOp) and library:
        on_the_left = ast.unparse(node.right) == path
        other = ast.unparse(node.left if on_the_left else node.right)
        cast, asked = f"{name}.cast({other}, {name}.{held.dtype})", f"{numpy}.asarray({other})"
        return (
            _with_operand(node, cast, left=on_the_left),
            _with_operand(node, asked, left=on_the_left),
        )
    target = max(case.rows, key=lambda one: one.totals.bytes_written).route.target.dtype
    every = (one for one in ast.walk(node) if isinstance(one, ast.expr))
    part = next(one for one in every if ast.unparse(one) == path)
    return case.with_part(part, f"{path}.astype({numpy}.{target})"), ""


def _with_operand(node: ast.BinOp, text: str, *, left: bool) -> str:
    """Return an operation with another operand on one side."""
    operand = ast.parse(text, mode="eval").body
    sides = (operand, node.right) if left else (node.left, operand)
    return ast.unparse(ast.BinOp(sides[0], node.op, sides[1]))


LOSSY: Final = Rule(
    "TT202",
    "values lost in a cast that nobody asked for",
    _loses,
    "TensorFlow casts an array to the dtype of the tensor that it meets, or to the one that was "
    "named, by NumPy's rules: fractions are cut off, and numbers that do not fit wrap around. "
    "Neither raises.",
    "Say the dtype that holds the values, or cast openly where the loss is meant: "
    "`fractions.astype(np.int32)`.",
    """
import numpy as np
import tensorflow as tf

large = np.full(2_000, 2**40)
wrapped = tf.constant(large, tf.int32)      # silent: every value is 0
kept = tf.constant(large)                   # better: int64 holds them
assert int(wrapped[0]) == 0 and int(kept[0]) == 2**40
""",
    ("only some of the elements are looked at: silence is no proof that nothing is lost",),
)

# ------------------------------------------------------------------------------- TT201


def _origin(case: Case) -> Iterator[Proposal]:
    row = case.row(lambda one: "cast" in one.route.effects and one.route.origin.library == "numpy")
    if row is None or (row.route.origin.dtype, row.route.target.dtype) != ("float64", "float32"):
        return
    source = case.receiver if case.method == "astype" else case.first
    held = case.fact(source)
    if not isinstance(source, ast.Name) or not isinstance(held, Held):
        return
    made = made_as_float64(case, source.id, held)
    if made is None or not _as_often(case, made.call):
        return
    line = made.call.lineno
    here = f"`{case.written(case.node)}` is then `{source.id}` alone"
    dropped = (here,) if case.method == "astype" else ()
    yield Proposal(
        "TT201",
        case.node,
        made.new if case.method == "astype" else case.with_part(source, made.new),
        f"`{source.id}` is float64 by NumPy's default, since line {line}: twice the bytes, "
        "and a cast here",
        row.totals.count,
        caveats=(f"to be written at line {line}", *dropped, *made.caveats),
        rounding=1e-6,
        told=case.script.text.replaced(made.call, made.better),
        also_saved_bytes=held.nbytes // 2,
        old=case.with_part(source, made.old),
        fresh=made.fresh,
        draws_anew=made.draws_anew,
    )


def _as_often(case: Case, call: ast.Call) -> bool:
    """Say whether an array is made as often as it is cast: else its bytes count once, and no more.

    A `.astype` in a loop copies each time all the same, unless it is dropped.
    """
    text = case.script.text
    return text.function(call) is text.function(case.node) and (
        list(text.loops(call)) == list(text.loops(case.node))
    )


FLOAT64: Final = Rule(
    "TT201",
    "float64 by NumPy's default, cast to float32 later",
    _origin,
    "NumPy makes float64 unless it is told otherwise. An array that is only ever used as float32 "
    "takes twice the memory until it is cast, and the cast reads and writes all of it.",
    "Give the dtype where the array is made: `np.ones(n, dtype=np.float32)`. It is offered only "
    "where the array is used for nothing else. Random numbers can be drawn in float32 too, "
    "`rng.random(n, dtype=np.float32)`, but are other ones: that is told, and not called tried.",
    """
import numpy as np
import torch

doubles = np.ones(200_000)                                          # costly: 1.6 MB, cast below
cast = torch.tensor(doubles, dtype=torch.float32)
singles = np.ones(200_000, dtype=np.float32)                        # better: 0.8 MB
assert torch.equal(cast, torch.from_numpy(singles))
""",
)

DTYPES: Final = (FLOAT64, LOSSY)
