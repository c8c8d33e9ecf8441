"""TT105, TT107, TT108: ways into TensorFlow and JAX that copy more than they have to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.copies import INTO_TF
from tensortoll.advice.rules.objects import INTO_JAX
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import BORDER, Held

WORTH_TWICE: Final = 1 << 20
"""From so many bytes on, a second copy is worth another way to write it: below, the whole call
takes a tenth of a millisecond."""
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


def _misaligned_for_jax(case: Case) -> Iterator[Proposal]:
    argument, call = case.first, case.call
    held = case.array(argument)
    if case.function not in INTO_JAX or call is None or argument is None or held is None:
        return
    if len(call.args) != 1 or call.keywords or held.nbytes < WORTH_TWICE or held.class_name:
        return
    row = case.row(lambda one: one.route.target.library == "jax" and not one.route.effects)
    if row is None or row.totals.copies <= row.totals.count or not held.alignment:
        return
    written, jax = case.written(argument), case.script.spelled("jax")
    need = () if case.script.has("jax") else ("needs `import jax`",)
    shared = f"made on a border of {BORDER} bytes, `{written}` is shared: later writes to it show"
    yield Proposal(
        "TT108",
        case.node,
        f"{jax}.device_put({written})",
        f"`{written}` begins {held.alignment} bytes behind a border of {BORDER}, so "
        f"`{case.written(call.func)}` copies it twice",
        row.totals.count,
        caveats=(shared, *need),
        shares=argument,
    )


MISALIGNED_FOR_JAX: Final = Rule(
    "TT108",
    "an array that does not begin on a border of 64 bytes, copied twice on its way into JAX",
    _misaligned_for_jax,
    "JAX takes over memory only where it begins on a border of 64 bytes. NumPy's large arrays "
    "begin 16 bytes behind one, so `jnp.asarray` and `jnp.array`, which copy once in any case, "
    "copy them once more.",
    "Write `jax.device_put(a)`, which copies such an array once. Better still, read or compute "
    "into memory that begins on a border, as below: `device_put` shares it, and copies nothing. "
    "Both are good only where the array is not written afterwards.",
    """
import jax
import jax.numpy as jnp
import numpy as np

pool = np.zeros(4_000_000 + 64, dtype=np.uint8)
start = -pool.ctypes.data % 64
behind = pool[start + 16 : start + 16 + 3_999_936].view(np.float32)
twice = jnp.asarray(behind)                     # costly: two copies
once = jax.device_put(behind)                   # better: one
on_border = pool[start : start + 3_999_936].view(np.float32)
none = jax.device_put(on_border)                # better still: shared
assert np.array_equal(twice, once) and np.array_equal(twice, none)
""",
    ("an array on a border of 64 bytes is shared, not copied",),
)

DETOURS: Final = (ROUND_TRIP, TWICE, MISALIGNED_FOR_JAX)
