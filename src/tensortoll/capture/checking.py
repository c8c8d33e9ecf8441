"""The verdict on one expression: what `%convcheck` shows."""

from __future__ import annotations

import ast
import inspect
import itertools
import linecache
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from tensortoll.capture.arrays.seen import is_c_contiguous
from tensortoll.capture.costs.speed import SMALLEST_BYTES, copy_bytes_per_s
from tensortoll.capture.rewriting.placeholders import baked
from tensortoll.capture.running import rewritten_for
from tensortoll.capture.sharing import RESULT, Pair, sharings
from tensortoll.capture.text.calls import dotted
from tensortoll.capture.text.sources import Sources, all_but_libraries, only
from tensortoll.capture.watch import Watch
from tensortoll.model import Source
from tensortoll.recording import Recording
from tensortoll.verdict import Verdict

NAME: Final = "<convcheck>"
BUDGET_S: Final = 0.3
"""Time for repetitions."""
MOST_REPETITIONS: Final = 9

CHANGES_SOMETHING: Final = frozenset(
    "copy_ assign assign_add assign_sub share_memory_ load_state_dict set_weights set_value "
    "copyto load_weights from_generator get set []=".split()
)
MAKES_ANEW: Final = frozenset(
    "zeros ones empty full arange linspace eye zeros_like ones_like full_like stack concatenate "
    "cat vstack hstack detach t permute transpose squeeze unsqueeze view expand_dims swapaxes "
    "from_numpy range list tuple float int len abs sum mean min max relu".split()
)
"""Calls that only make something new of what they are given."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A verdict, and what the expression gave. The value is the caller's to keep or drop."""

    verdict: Verdict
    value: Any


def check(function: Callable[[], Any]) -> Verdict:
    """Return the verdict on what ``function`` does, as `%convcheck` does for an expression.

    ```python
    verdict = tensortoll.check(lambda: torch.tensor(x))
    assert verdict.outcome == "copy"
    ```

    Args:
        function: Called once, watched, and again for its time only if it is a lambda whose source
            shows that repeating it changes nothing.

    Raises:
        AlreadyWatchingError: If a watch is on.
        BaseException: What ``function`` raises.
    """
    found = _lambda_in_source(function)
    if found is not None:
        text, names = found
        return check_source(text, names).verdict
    watch = Watch(all_but_libraries())
    started = time.perf_counter_ns()
    with watch:
        value = function()
    elapsed = time.perf_counter_ns() - started
    name = getattr(function, "__name__", "function")
    return _verdict(watch, name, value, {}, (elapsed,), "its source could not be read")


def _lambda_in_source(function: Callable[[], Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the body of a lambda as text, and the names that it sees."""
    if not isinstance(function, FunctionType) or function.__name__ != "<lambda>":
        return None
    code = function.__code__
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None
    first = {(start, column) for start, _, column, _ in code.co_positions() if start}
    bodies = [
        node.body
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and not node.args.args
        and node.lineno == code.co_firstlineno
        and (node.body.lineno, node.body.col_offset) in first
    ]
    if len(bodies) != 1:
        return None
    text = ast.get_source_segment("".join(lines), bodies[0])
    names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    return None if text is None else (text, names)


def check_source(
    text: str,
    namespace: dict[str, Any],
    *,
    resolve: Callable[[str], Source | None] | None = None,
    history: Sequence[Recording] = (),
) -> Checked:
    """Evaluate an expression once, watched, and return the verdict and the value.

    Args:
        text: One Python expression; several, separated by commas, are compared in pairs if they
            are arrays that stand already.
        namespace: The globals it sees.
        resolve: Says which other code is the user's, by file name.
        history: Recordings that may tell how two arrays came to share memory.

    Raises:
        SyntaxError: If ``text`` is no expression.
        AlreadyWatchingError: If a watch is on.
        BaseException: What the expression raises.
    """
    __tracebackhide__ = True  # IPython leaves our frame out of the user's tracebacks
    text = text.strip().removesuffix(";")
    body = ast.parse(f"(\n{text}\n)" if "\n" in text else text, NAME, mode="eval").body
    source = Source(NAME, text)
    sources = only(NAME, source) if resolve is None else Sources(resolve)
    sources.add(NAME, source)
    watch = Watch(sources)
    module = ast.Module([ast.copy_location(ast.Expr(body), body)], [])
    _show(text)
    with watch:
        rewritten = rewritten_for(watch, module, source, namespace)
        changed = rewritten.tree.body[0]
        assert isinstance(changed, ast.Expr)
        code = compile(ast.Expression(changed.value), NAME, "eval", dont_inherit=True)
        code = baked(code, rewritten.expressions)
        started = time.perf_counter_ns()
        value = eval(code, namespace)
        elapsed = time.perf_counter_ns() - started
    original = rewritten.original.body[0]
    assert isinstance(original, ast.Expr)
    reason = why_not_repeated(original.value, namespace, watch)
    times: tuple[int, ...] = (elapsed,)
    if reason is None:
        plain = compile(ast.Expression(original.value), NAME, "eval", dont_inherit=True)
        times = tuple(_timed(plain, namespace))
    named = _named_arrays(original.value, namespace, watch)
    verdict = _verdict(watch, text, value, named, times, reason, history)
    return Checked(verdict, value)


def _show(text: str) -> None:
    lines = [f"{line}\n" for line in text.splitlines()]
    linecache.cache[NAME] = (len(text), None, lines, NAME)


def _timed(code: Any, namespace: dict[str, Any]) -> Iterator[int]:
    """Yield the time of each of a few evaluations, without a watch."""
    deadline = time.perf_counter() + BUDGET_S
    for _ in range(MOST_REPETITIONS):
        started = time.perf_counter_ns()
        value = eval(code, namespace)
        yield time.perf_counter_ns() - started
        del value
        if time.perf_counter() > deadline:
            return


def why_not_repeated(node: ast.expr, namespace: Mapping[str, Any], watch: Watch) -> str | None:
    """Say why evaluating an expression again could change something; None where it does not."""
    pure = (watch.explicit | MAKES_ANEW) - CHANGES_SOMETHING
    for one in ast.walk(node):
        if isinstance(one, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            return "it assigns or waits"
        if isinstance(one, ast.Call):
            parts = dotted(one.func)
            name = one.func.attr if isinstance(one.func, ast.Attribute) else (parts or ["it"])[-1]
            if name not in pure:
                return f"`{name}(…)` may have side effects"
        if isinstance(one, ast.Name) and not _is_harmless(namespace.get(one.id), watch):
            return f"`{one.id}` may be changed by it"
    return None


def _is_harmless(value: Any, watch: Watch) -> bool:
    """Say whether nothing that is asked of ``value`` by a conversion changes it."""
    plain = (int, float, complex, bool, str, bytes, list, tuple, range, type(None), slice)
    made = (ModuleType, FunctionType, BuiltinFunctionType, type)
    known = isinstance(value, (*plain, *made)) or watch.describe(value) is not None
    return known or (
        type(value).__module__.partition(".")[0] in {"numpy", "torch", "tensorflow"}
        and (
            type(value).__name__ in {"dtype", "DType", "device", "memory_format", "ufunc"}
            or (callable(value) and not hasattr(value, "parameters"))
        )
    )


def _named_arrays(node: ast.expr, namespace: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Return the arrays that an expression names, by their names."""
    if isinstance(node, ast.Tuple):
        return {}
    names = [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
    found = {name: namespace.get(name) for name in dict.fromkeys(names)}
    return {name: value for name, value in found.items() if watch.describe(value) is not None}


def _verdict(
    watch: Watch,
    text: str,
    value: Any,
    named: Mapping[str, Any],
    times: tuple[int, ...],
    reason: str | None,
    history: Sequence[Recording] = (),
) -> Verdict:
    recording = watch.recording()
    seen = watch.describe(value)
    written = recording.bytes_written // max(recording.copies, 1)
    if isinstance(value, tuple) and seen is None:
        parts = [part.strip() for part in _split(text)]
        pairs: Iterable[Pair] = itertools.combinations(zip(parts, value, strict=False), 2)
    else:
        pairs = (((RESULT, value), (name, one)) for name, one in named.items())
    return Verdict(
        text,
        recording,
        result=None if seen is None else seen.kind,
        shape=None if seen is None else seen.shape,
        contiguous=None if seen is None else is_c_contiguous(seen),
        sharing=tuple(sharings(watch, pairs, history)),
        times_ns=times if recording.conversions else (),
        once_because=reason,
        machine_bytes_per_s=copy_bytes_per_s(written) if written >= SMALLEST_BYTES else None,
    )


def _split(text: str) -> list[str]:
    node = ast.parse(text.strip(), mode="eval").body
    if not isinstance(node, ast.Tuple):
        return [text]
    return [ast.get_source_segment(text.strip(), one) or "?" for one in node.elts]
