"""TT105 and TT107: ways into TensorFlow and back that copy more than they have to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.copies import INTO_TF
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held

WORTH_TWICE: Final = 1 << 20
"""From so many bytes on, a second copy on the way into TensorFlow is worth another way to write
it: below, the whole call takes less than a tenth of a millisecond."""
OUT: Final = frozenset(("numpy.array", "numpy.asarray"))


def _round_trip(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    if call is None or not isinstance(argument, ast.Call) or len(call.args) != 1 or call.keywords:
        return
    source = None
    if isinstance(argument.func, ast.Attribute) and argument.func.attr == "numpy":
        source = argument.func.value
    elif case.script.names.resolve(argument.func) in OUT and len(argument.args) == 1:
        source = argument.args[0]
    held = case.fact(source)
    if source is None or not isinstance(held, Held) or held.class_name or argument.keywords:
        return
    count = max((one.totals.count for one in case.rows), default=0)
    title = "the tensor goes out to NumPy, and is copied in again"
    if held.library == "tensorflow" and case.function in INTO_TF and count:
        tf = case.script.spelled("tensorflow")
        yield Proposal("TT105", case.node, f"{tf}.identity({case.written(source)})", title, count)
    if held.library == "torch" and case.function == "torch.tensor" and count:
        yield Proposal("TT105", case.node, f"{case.written(source)}.clone()", title, count)


ROUND_TRIP: Final = Rule(
    "TT105",
    "a tensor that goes out to NumPy and comes in again",
    _round_trip,
    "`tf.constant(t.numpy())` copies the tensor's elements out, and then once or twice in again, "
    "to get what was there before.",
    "Use the tensor itself: TensorFlow's tensors can't be written, so sharing one is safe. Where "
    "torch is to have a copy, ask for it: `t.clone()`.",
    """
import numpy as np
import tensorflow as tf

inside = tf.ones((300, 300))
again = tf.constant(inside.numpy())    # costly: out, and in again
same = tf.identity(inside)             # better: nothing is copied
assert np.array_equal(again, same)
""",
)


def _twice(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    held = case.array(argument)
    if case.function not in INTO_TF or call is None or argument is None or held is None:
        return
    if len(call.args) != 1 or call.keywords or held.nbytes < WORTH_TWICE or held.class_name:
        return
    row = case.row(lambda one: one.route.target.library == "tensorflow" and not one.route.effects)
    if row is None or row.totals.copies <= row.totals.count:
        return
    tf = case.script.spelled("tensorflow")
    written = case.written(argument)
    yield Proposal(
        "TT107",
        case.node,
        f"{tf}.raw_ops.Identity(input={written})",
        f"`{case.written(call.func)}` copies an array twice; an operation copies it once",
        row.totals.count,
        caveats=(
            f"where `{written}` begins on a border of 64 bytes, the tensor shares its memory",
        ),
        shares=argument,
    )


TWICE: Final = Rule(
    "TT107",
    "an array copied twice on its way into TensorFlow",
    _twice,
    "`tf.constant` and `tf.convert_to_tensor` copy an array for safety, and hand the copy to a "
    "tensor, which takes it over only if it begins on a border of 64 bytes. NumPy's large arrays "
    "do not, so the copy is copied once more.",
    "Hand the array to an operation, which copies it once: `tf.raw_ops.Identity(input=a)`. An "
    "array on a border of 64 bytes is then shared, so this is offered only where it is not "
    "written afterwards.",
    """
import numpy as np
import tensorflow as tf

table = np.ones((600, 600), dtype=np.float32)
twice = tf.constant(table)                     # costly: two copies, most of the time
once = tf.raw_ops.Identity(input=table)        # better: one
assert np.array_equal(twice, once)
""",
    ("an array on a border of 64 bytes is shared, not copied",),
)

DETOURS: Final = (ROUND_TRIP, TWICE)
