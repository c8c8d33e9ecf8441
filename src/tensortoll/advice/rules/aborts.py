"""TT6xx: conversions that fail, or end the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import BORDER, Held


def _misaligned(case: Case) -> Iterator[Proposal]:
    if case.function != "tensorflow.experimental.dlpack.from_dlpack" or not case.rows:
        return
    for path, held in case.facts.items():
        if isinstance(held, Held) and held.library == "numpy" and held.address % BORDER:
            tf = case.script.spelled("tensorflow")
            yield Proposal(
                "TT602",
                case.node,
                f"{tf}.constant({path})",
                f"`{path}` does not begin on a border of {BORDER} bytes: most operations on this "
                "tensor end the process",
                1,
                caveats=(
                    f"it begins {held.address % BORDER} bytes behind one",
                    "seen in its address, and not tried: that could end the process",
                ),
                warns=True,
            )
            return


MISALIGNED: Final = Rule(
    "TT602",
    "an array lent to TensorFlow that does not begin on a border of 64 bytes",
    _misaligned,
    "TensorFlow takes any memory through DLPack, but most of its operations check that it begins "
    "on a border of 64 bytes, and end the process where it does not. That is no exception: nothing "
    "can catch it. NumPy's arrays rarely begin on one.",
    "Copy the array (`tf.constant(a)`), or make it in memory that begins on a border.",
    """
import numpy as np
import tensorflow as tf

pool = np.zeros(4_096 + 64, dtype=np.uint8)
start = -pool.ctypes.data % 64
aligned = pool[start : start + 4_096].view(np.float32)
shared = tf.experimental.dlpack.from_dlpack(aligned.__dlpack__())   # better: on a border
assert float(tf.reduce_sum(shared)) == 0.0
""",
)


def _nothing(case: Case) -> Iterator[Proposal]:
    """Find nothing: whoever did it has no process any more. The warning is given before."""
    del case
    return iter(())


NEGATIVE: Final = Rule(
    "TT601",
    "an array with negative strides lent to torch",
    _nothing,
    "`torch.from_dlpack(a[::-1])` ends the process: torch's tensors can't go backwards, and the "
    "error that says so is not caught on its way. A warning is given before the call.",
    "Copy the array first: `torch.from_numpy(a[::-1].copy())`, or `torch.from_numpy(a).flip(0)`.",
    """
import numpy as np
import torch

backwards = np.arange(5.0)[::-1]
turned = torch.from_numpy(backwards.copy())     # better: laid out anew before it is lent
assert turned.tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
""",
)

ABORTS: Final = (NEGATIVE, MISALIGNED)
