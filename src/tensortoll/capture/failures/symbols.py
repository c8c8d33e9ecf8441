"""Stand-ins for arrays, which have no elements, and arrays too large for a graph."""

from __future__ import annotations

import sys
from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.diagnosis import Diagnosis

GRAPH_LIMIT: Final = 2 << 30
"""Bytes: a graph is one protocol buffer message, and those end here."""
_SAYS: Final = ("symbolic", "traced array", "concretization", "tracer")
_NO_ATTRIBUTE: Final = ("no attribute 'numpy'", "only available when eager")


def symbolic(found: Attempt) -> Diagnosis | None:
    """Tell of a stand-in that was asked for its elements while code is traced."""
    told = f"{type(found.error).__name__}: {found.text}"
    if not any(one in told.lower() for one in (*_SAYS, *_NO_ATTRIBUTE)):
        return None
    for operand in found.operands:
        kind = _stand_in(operand)
        if kind:
            return Diagnosis(
                "symbolic",
                f"The operand is {kind} (shape {getattr(operand, 'shape', '?')}): it stands for "
                "an array while the function is traced, and has no elements yet.",
                advice=_ADVICE[kind],
            )
    return _named(found)


def _named(found: Attempt) -> Diagnosis | None:
    """Tell of a stand-in that is out of sight, where the error is of a kind that nothing else has.

    An `if` asks for the truth of a value that stands in no variable.
    """
    kind = _OF_KINDS.get(type(found.error).__name__)
    if kind is None or type(found.error).__module__.partition(".")[0] not in {"jax", "tensorflow"}:
        return None
    return Diagnosis(
        "symbolic",
        f"The value that was asked for is {kind}: it stands for an array while the function is "
        "traced, and has no elements yet.",
        advice=_BRANCHES[kind],
    )


_OF_KINDS: Final = {
    "TracerBoolConversionError": "a JAX tracer",
    "TracerIntegerConversionError": "a JAX tracer",
    "TracerArrayConversionError": "a JAX tracer",
    "ConcretizationTypeError": "a JAX tracer",
    "OperatorNotAllowedInGraphError": "a symbolic TensorFlow tensor",
}
"""Errors that only a stand-in raises."""
_BRANCHES: Final = {
    "a JAX tracer": "Use `jnp.where(condition, a, b)` or `jax.lax.cond` for a branch, or name the "
    "argument that it depends on in `static_argnums`.",
    "a symbolic TensorFlow tensor": "Use `tf.where(condition, a, b)` or `tf.cond` for a branch.",
}
_ADVICE: Final = {
    "a symbolic TensorFlow tensor": "Use TensorFlow's own function (`tf.reduce_sum(x)` for "
    "`np.sum(x)`), or `tf.numpy_function(f, [x], dtype)` where there is none.",
    "a Keras placeholder": "Use `keras.ops`, or a layer that computes it: "
    "`keras.layers.Lambda(f)(x)`.",
    "a JAX tracer": "Use `jax.numpy` inside the function, or take the call out of `jax.jit`.",
    "a torch stand-in": "Take the call out of the function that is traced or exported.",
}


def _stand_in(value: Any) -> str:
    """Return what kind of a stand-in a value is; empty where it is none."""
    kinds = {one.__name__ for one in type(value).__mro__}
    home = type(value).__module__.partition(".")[0]
    if home == "tensorflow" and "Tensor" in kinds and "EagerTensor" not in kinds:
        return "a symbolic TensorFlow tensor"
    if "KerasTensor" in kinds:
        return "a Keras placeholder"
    if home in {"jax", "jaxlib"} and "Tracer" in kinds:
        return "a JAX tracer"
    if home == "torch" and kinds & {"FakeTensor", "Proxy", "FunctionalTensor"}:
        return "a torch stand-in"
    return ""


def too_large(found: Attempt) -> Diagnosis | None:
    """Tell of an array that becomes part of a graph, and is too large for one."""
    numpy = sys.modules.get("numpy")
    if numpy is None or "2GB" not in found.text:
        return None
    for operand in found.operands:
        if isinstance(operand, numpy.ndarray) and operand.nbytes >= GRAPH_LIMIT:
            return Diagnosis(
                "too-large-for-graph",
                f"The array has {operand.nbytes:,} bytes. A constant is stored inside the graph, "
                f"and a graph holds less than {GRAPH_LIMIT:,}.",
                advice="Make a tensor of it outside the graph, and hand that to the function as "
                "an argument, or feed it in parts: `tf.data.Dataset.from_tensor_slices(x)`.",
            )
    return None
