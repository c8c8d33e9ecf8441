"""What is installed for JAX."""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.jax.calls import Calls
from tensortoll.capture.probes.jax.handed import Now
from tensortoll.capture.probes.jax.kinds import EXPLICIT, array_type, describe_array
from tensortoll.capture.probes.jax.makers import install_makers
from tensortoll.capture.probes.jax.memory import Sharing
from tensortoll.capture.probes.jax.operators import install_operations, install_operators
from tensortoll.capture.probes.jax.reads import install_reads
from tensortoll.capture.rewriting.handing import HANDED
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import RUNNING

CASTS: Final = (
    "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
    "complex64 complex128"
).split()


TAKES: Final = (
    "jax.device_put jax.numpy.asarray jax.numpy.array jax.numpy.from_dlpack jax.dlpack.from_dlpack"
).split()
"""Functions whose array may lie in the memory of what they are given."""


class JaxProbe:
    """Watches JAX."""

    library = "jax"
    explicit = EXPLICIT
    rewrites = Rewrites(
        functions={
            **{f"jax.numpy.{name}": "convert" for name in CASTS},
            **dict.fromkeys(TAKES, "take"),
            "jax.numpy.astype": "convert",
            "jax.lax.convert_element_type": "convert",
        },
        read_from=frozenset(("jax",)),
        takers=frozenset(("jax",)),
    )

    def install(self, context: Context) -> None:
        """Replace the Python functions that arrays pass through, and listen to the user's calls."""
        import jax

        now = Now()
        sharing = Sharing(jax.device_put)  # first: it is replaced below
        RUNNING.describers[array_type()] = describe_array
        RUNNING.readable[array_type()] = _readable
        replaced = install_makers(context, now, sharing)
        install_operators(context, now, sharing)
        install_operations(context, now, sharing)
        install_reads(context)
        HANDED.to = Calls(context, now, sharing, replaced)
        context.patches.at_end(HANDED.clear)

    def describe(self, value: Any) -> Seen | None:
        """Return an array in numbers; None for what is none, or lies on several devices."""
        return describe_array(value) if isinstance(value, array_type()) else None


def _readable(array: Any) -> Seen | None:
    """Return an array that NumPy reads where it lies: one with data, on the host."""
    if not array.shape:
        return None
    seen = describe_array(array)
    return seen if seen is not None and seen.kind.device.startswith("cpu") else None
