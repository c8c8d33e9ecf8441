"""What is installed for TensorFlow."""

from __future__ import annotations

from typing import Any

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.tensorflow.callbacks import install_callbacks
from tensortoll.capture.probes.tensorflow.conversions import install_conversions
from tensortoll.capture.probes.tensorflow.dlpack import install_dlpack
from tensortoll.capture.probes.tensorflow.fastpath import install_fast_path
from tensortoll.capture.probes.tensorflow.kinds import EXPLICIT, TAKES
from tensortoll.capture.probes.tensorflow.memory import Memory
from tensortoll.capture.probes.tensorflow.reads import install_reads
from tensortoll.capture.probes.tensorflow.transfers import install_transfers
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import RUNNING


class TensorflowProbe:
    """Watches TensorFlow, and Keras on top of it."""

    library = "tensorflow"
    explicit = EXPLICIT
    # NumPy reads eager tensors in C; only the user's own expressions tell of it.
    rewrites = Rewrites(
        methods={"numpy": "take", "_numpy": "take", "__array__": "take"},
        functions={f"tensorflow.{name}": "take" for name in TAKES},
        read_from=frozenset(("tensorflow",)),
    )

    def install(self, context: Context) -> None:
        """Replace the few functions that every eager conversion passes through."""
        from tensorflow.python.framework import ops

        memory = Memory()  # first: it looks through methods that are replaced below
        RUNNING.describers[ops.EagerTensor] = memory.describe
        RUNNING.readable[ops.EagerTensor] = memory.describe
        install_conversions(context, memory)
        install_fast_path(context, memory)
        install_transfers(context, memory)
        install_reads(context, memory)
        install_dlpack(context, memory)
        install_callbacks(context, memory)

    def describe(self, value: Any) -> Seen | None:
        """Return an eager tensor in numbers; None for what is none."""
        from tensorflow.python.framework import ops

        return Memory().describe(value) if isinstance(value, ops.EagerTensor) else None
