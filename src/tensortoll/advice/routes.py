"""Which other expressions convert an array to the same, and what each costs, measured now."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tensortoll.advice.results import alike
from tensortoll.capture.arrays.facts import Held, fact_of
from tensortoll.capture.checking import Checked, check_source
from tensortoll.capture.patching import silenced
from tensortoll.errors import TargetError
from tensortoll.verdict import Verdict, Way

ROUNDING: Final = 1e-6
"""Casts that round in another order may differ by so much."""
LIBRARIES: Final = {
    "np": "numpy",
    "torch": "torch",
    "tf": "tensorflow",
    "jnp": "jax.numpy",
    "jax": "jax",
}
"""The names that the expressions below use."""
SAME: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("numpy", "numpy"): ("np.asarray({a})", "{a}.copy()", "np.ascontiguousarray({a})"),
    ("numpy", "torch"): (
        "torch.from_numpy({a})",
        "torch.tensor({a})",
        "torch.from_numpy({a}).clone()",
    ),
    ("torch", "numpy"): ("{a}.numpy()", "np.array({a})", "np.asarray({a})"),
    ("torch", "torch"): ("{a}.clone()", "{a}.contiguous()"),
    ("numpy", "tensorflow"): ("tf.constant({a})", "tf.raw_ops.Identity(input={a})"),
    ("tensorflow", "numpy"): ("np.asarray({a})", "{a}.numpy()", "np.array({a})"),
    ("torch", "tensorflow"): ("tf.constant({a}.numpy())", "tf.convert_to_tensor({a})"),
    ("tensorflow", "torch"): ("torch.from_numpy({a}.numpy())", "torch.tensor(np.asarray({a}))"),
    ("numpy", "jax"): ("jnp.asarray({a})", "jax.device_put({a})", "jnp.array({a})"),
    ("jax", "numpy"): ("np.asarray({a})", "np.array({a})"),
    ("python", "torch"): ("torch.tensor({a})", "torch.from_numpy(np.array({a}, dtype=np.{d}))"),
    ("python", "tensorflow"): ("tf.constant({a})", "tf.constant(np.array({a}, dtype=np.{d}))"),
    ("python", "numpy"): ("np.array({a}, dtype=np.{d})",),
}
"""Expressions by the library that an array comes from and the one it goes to."""
CAST: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("numpy", "numpy"): ("{a}.astype(np.{d})", "np.asarray({a}, dtype=np.{d})"),
    ("numpy", "torch"): (
        "torch.from_numpy({a}).to(torch.{d})",
        "torch.tensor({a}, dtype=torch.{d})",
        "torch.from_numpy({a}.astype(np.{d}))",
        "torch.tensor({a}).to(torch.{d})",
    ),
    ("torch", "numpy"): ("{a}.to(torch.{d}).numpy()", "{a}.numpy().astype(np.{d})"),
    ("torch", "torch"): ("{a}.to(torch.{d})",),
    ("numpy", "tensorflow"): (
        "tf.constant({a}, dtype=tf.{d})",
        "tf.constant({a}.astype(np.{d}))",
        "tf.cast({a}, tf.{d})",
    ),
    ("tensorflow", "tensorflow"): ("tf.cast({a}, tf.{d})",),
    ("tensorflow", "numpy"): ("np.asarray({a}).astype(np.{d})", "tf.cast({a}, tf.{d}).numpy()"),
    ("numpy", "jax"): ("jnp.asarray({a}, dtype=jnp.{d})", "jax.device_put({a}.astype(np.{d}))"),
}
"""The same where the dtype changes."""


class Target(NamedTuple):
    """What is asked for: `torch.float32@cpu`."""

    library: str
    dtype: str
    device: str


def parsed_target(text: str) -> Target:
    """Return the target that a text names.

    Raises:
        TargetError: If it names none, or a library that nobody has imported.
    """
    kind, _, device = text.strip().partition("@")
    library, _, dtype = kind.partition(".")
    library = {"np": "numpy", "tf": "tensorflow", "jnp": "jax"}.get(library, library)
    known = sorted({target for _, target in SAME})
    if library not in known or not dtype.isidentifier():
        msg = f"{text.strip()!r} is no target: write it as in torch.float32@cpu, of {known}"
        raise TargetError(msg)
    if library not in sys.modules:
        msg = f"{library} was not imported: import it before asking for a way there"
        raise TargetError(msg)
    return Target(library, dtype, device or "cpu")


def routes_of(checked: Checked, text: str, namespace: dict[str, Any]) -> tuple[Way, ...]:
    """Return the ways to get what an expression gave from the array that it names.

    None where the expression names several arrays, or may not be run again.
    """
    verdict = checked.verdict
    if verdict.once_because is not None or verdict.result is None:
        return ()
    names = dict.fromkeys(
        one.id
        for one in ast.walk(ast.parse(text.strip(), mode="eval"))
        if isinstance(one, ast.Name) and isinstance(fact_of(namespace.get(one.id)), Held)
    )
    if len(names) != 1 or verdict.outcome == "nothing":
        return ()
    (name,) = names
    target = Target(*verdict.result)
    return measured([text.strip(), *candidates(name, namespace, target)], namespace, checked.value)


def routes_to(expression: str, target: Target, namespace: dict[str, Any]) -> tuple[Way, ...]:
    """Return the ways from an array to a target.

    Raises:
        TargetError: If there is no such array, or no way there that works.
    """
    if not isinstance(fact_of(namespace.get(expression)), Held):
        msg = f"{expression!r} is no name of an array"
        raise TargetError(msg)
    found = measured(list(candidates(expression, namespace, target)), namespace, None, target)
    if not found:
        wanted = f"{target.library}.{target.dtype}@{target.device}"
        msg = f"no way from `{expression}` to {wanted} is known that works here"
        raise TargetError(msg)
    return found


def candidates(name: str, namespace: Mapping[str, Any], target: Target) -> Iterator[str]:
    """Yield expressions that make a target of an array, tried or not."""
    held = fact_of(namespace.get(name))
    if not isinstance(held, Held):
        return
    table = SAME if held.dtype == target.dtype else CAST
    to_device = f".to({target.device!r})"
    for form in table.get((held.library, target.library), ()):
        text = form.format(a=name, d=target.dtype)
        if target.device == held.device:
            yield text
        elif target.library == "torch":
            yield f"{text}{to_device}"
    if "torch" in {held.library, target.library} and min(held.strides, default=0) < 0:
        yield f"torch.from_numpy({name}.copy())"


def measured(
    texts: Sequence[str],
    namespace: dict[str, Any],
    wanted: Any,
    target: Target | None = None,
) -> tuple[Way, ...]:
    """Return what each expression costs, the best first; those that give something else are out.

    Args:
        texts: Expressions.
        namespace: Their globals.
        wanted: What they have to give; None to take the first one's result for it.
        target: What the result has to be.
    """
    space = {**_libraries(), **namespace}
    found: list[Way] = []
    for text in _told_apart(texts):
        try:
            with silenced():
                checked = check_source(text, space)
        except Exception:  # noqa: S112 - a way that does not work is no way
            continue
        verdict = checked.verdict
        kind = verdict.result
        if target is not None and (kind is None or tuple(kind) != tuple(target)):
            continue
        if wanted is None:
            wanted = checked.value
        if alike(wanted, checked.value, ROUNDING) is None:
            continue
        found.append(_way(text, verdict))
    return tuple(sorted(found, key=lambda one: (one.bytes_written, one.median_ns)))


def _told_apart(texts: Sequence[str]) -> Iterator[str]:
    """Yield the texts, of several that differ in nothing but how they are spaced the first."""
    seen = set()
    for text in texts:
        meant = ast.unparse(ast.parse(text, mode="eval"))
        if meant not in seen:
            seen.add(meant)
            yield text


def _libraries() -> dict[str, Any]:
    return {name: sys.modules[home] for name, home in LIBRARIES.items() if home in sys.modules}


def _way(text: str, verdict: Verdict) -> Way:
    shared = [one for one in verdict.sharing if one.shared]
    caveats = [f"shares memory with `{one.other}`" for one in shared]
    if any(not one.other_writable for one in shared):
        caveats.append("read-only memory")
    if verdict.contiguous is False:
        caveats.append("strided")
    written = verdict.recording.bytes_written
    return Way(text, bool(shared), written, verdict.median_ns, tuple(caveats))
