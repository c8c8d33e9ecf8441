"""Where an array that is float64 by NumPy's default was made, and what makes it float32 instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tensortoll.advice.case import Case
from tensortoll.advice.standins import Drawing, Likeness
from tensortoll.capture.arrays.facts import Held, Plain, fact_of

MAKERS: Final = frozenset(
    f"numpy.{name}" for name in ("zeros", "ones", "full", "linspace", "eye", "identity", "array")
)
"""Functions that make float64 unless they are told otherwise."""
TYPED: Final = {
    "random": "random",
    "standard_normal": "standard_normal",
    "standard_exponential": "standard_exponential",
    "uniform": "random",
    "normal": "standard_normal",
}
"""Methods of a generator, and which one draws the same distribution in float32."""
WITH_BOUNDS: Final = frozenset(("uniform", "normal"))
"""Those of them whose first arguments are no size."""
LEGACY: Final = {
    "rand": "random",
    "random": "random",
    "random_sample": "random",
    "randn": "standard_normal",
    "standard_normal": "standard_normal",
}
"""Functions of `numpy.random`, and the method of a generator that draws the same distribution."""
OTHER_NUMBERS: Final = (
    "other random numbers of the same distribution: the bytes and times were tried, the results "
    "can't be equal"
)


class Made(NamedTuple):
    """A call that makes a float64 array, and one that makes float32."""

    call: ast.Call
    better: str
    """What to write instead."""
    old: str
    """What to try for the call."""
    new: str
    """What to try for the better one."""
    fresh: Mapping[str, Likeness] = {}
    caveats: tuple[str, ...] = ()
    draws_anew: bool = False


def made_as_float64(case: Case, name: str, held: Held) -> Made | None:
    """Return how an array was made that is used for nothing but this conversion."""
    call = call_that_made(case, name)
    if call is None or any(one.arg in {"dtype", None} for one in call.keywords):
        return None
    if case.script.names.resolve(call.func) in MAKERS:
        numpy, text = case.script.spelled("numpy"), case.written(call)
        better = f"{text.rstrip()[:-1].rstrip().rstrip(',')}, dtype={numpy}.float32)"
        return Made(call, better, text, better, dict(_numbers(case, call)))
    return _drawn(case, call, held)


def _numbers(case: Case, call: ast.Call) -> Iterator[tuple[str, Plain]]:
    """Yield the global numbers that a call names."""
    for node in ast.walk(call):
        if isinstance(node, ast.Name):
            fact = fact_of(case.script.namespace.get(node.id))
            if isinstance(fact, Plain) and type(fact.value) in (int, float):
                yield node.id, fact


def _drawn(case: Case, call: ast.Call, held: Held) -> Made | None:
    if not isinstance(call.func, ast.Attribute):
        return None
    method, receiver = call.func.attr, call.func.value
    size, numpy = held.shape, case.script.spelled("numpy")
    if case.script.names.resolve(call.func) == f"numpy.random.{method}" and method in LEGACY:
        typed = LEGACY[method]
        given = ", ".join(case.written(one) for one in (*call.args, *call.keywords))
        several = method.startswith("rand") and method != "random" and len(call.args) > 1
        rest = f"({f'({given})' if several else given}, dtype={numpy}.float32)"
        return Made(
            call,
            f"{numpy}.random.default_rng().{typed}{rest}",
            f"_legacy.{method}{size if method in {'rand', 'randn'} else f'({size})'}",
            f"_generator.{typed}({size}, dtype={numpy}.float32)",
            {"_legacy": Drawing(legacy=True), "_generator": Drawing(legacy=False)},
            (OTHER_NUMBERS, "another generator: `np.random.seed` does not set it"),
            draws_anew=True,
        )
    bounded = method in WITH_BOUNDS and (
        call.args or any(one.arg != "size" for one in call.keywords)
    )
    if method not in TYPED or bounded or not _is_generator(case, receiver):
        return None
    given = ", ".join(case.written(one) for one in (*call.args, *call.keywords))
    return Made(
        call,
        f"{case.written(receiver)}.{TYPED[method]}({given}, dtype={numpy}.float32)",
        f"_generator.{method}(size={size})",
        f"_generator.{TYPED[method]}(size={size}, dtype={numpy}.float32)",
        {"_generator": Drawing(legacy=False)},
        (OTHER_NUMBERS,),
        draws_anew=True,
    )


def _is_generator(case: Case, node: ast.expr) -> bool:
    """Say whether an expression is a generator of NumPy's, as far as the source tells."""
    if isinstance(node, ast.Call):
        return case.script.names.resolve(node.func) == "numpy.random.default_rng"
    if not isinstance(node, ast.Name):
        return False
    kind = type(case.script.namespace.get(node.id))
    if kind.__name__ == "Generator" and kind.__module__.partition(".")[0] == "numpy":
        return True
    assigned = [
        one.value
        for one in ast.walk(case.script.text.tree)
        if isinstance(one, ast.Assign)
        and any(getattr(to, "id", "") == node.id for to in one.targets)
    ]
    return bool(assigned) and all(
        isinstance(one, ast.Call) and _is_generator(case, one) for one in assigned
    )


def call_that_made(case: Case, name: str) -> ast.Call | None:
    """Return the call that made what a name stands for, if it is used only once after that."""
    tree = case.script.text.tree
    uses = [one for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id == name]
    if len(uses) != 2:  # noqa: PLR2004 - where it is made, and here
        return None
    for one in ast.walk(tree):
        if isinstance(one, ast.Assign) and one.targets[0] in uses and len(one.targets) == 1:
            return one.value if isinstance(one.value, ast.Call) else None
    return None


def line_of_origin(case: Case, name: str, use: ast.AST | None = None) -> int | None:
    """Return the last line before a use, or before the case, that gives a value to a name."""
    before = getattr(use, "lineno", case.place.line)
    lines = [
        one.lineno
        for one in ast.walk(case.script.text.tree)
        if isinstance(one, ast.Assign)
        and one.lineno < before
        and any(isinstance(to, ast.Name) and to.id == name for to in ast.walk(one.targets[0]))
    ]
    return max(lines, default=None)
