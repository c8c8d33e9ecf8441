"""Whether memory may be shared without anybody seeing a write that they should not see."""

from __future__ import annotations

import ast
import sys
from typing import Any

from tensortoll.advice.case import Case, Proposal
from tensortoll.capture.arrays.facts import Held, Listed, fact_of
from tensortoll.capture.text.paths import value_of


def may_share(case: Case, proposal: Proposal) -> bool:
    """Say whether a proposal changes nothing that the user's code can see.

    Advice that shares nothing always may. Otherwise neither the array nor the result may be
    written once the conversion is made: not in the source, and not as far as was seen.
    """
    if proposal.hoisted_from is not None:
        return all(_unchanged(case, path) for path in _sources(case))
    return proposal.shares is None or _is_never_written(case, proposal.shares)


def _is_never_written(case: Case, shared: ast.expr) -> bool:
    aliasing = case.script.aliasing
    names = frozenset(aliasing.carried(shared))
    if not names:  # nobody else has the array: only the result itself can be written, as before
        return True
    results = aliasing.names_of_result(case.node)
    if results is None or any(_was_written(case, name) for name in results):
        return False
    inside = case.script.text.function(case.node) is not None
    if not _unchanged(case, shared) or (inside and _is_returned(case, results)):
        return False
    return aliasing.write_of(names | results, case.node) is None


def _sources(case: Case) -> list[ast.expr]:
    return [
        ast.parse(path, mode="eval").body
        for path, fact in case.facts.items()
        if isinstance(fact, Held | Listed)
    ]


def _unchanged(case: Case, path: ast.expr) -> bool:
    """Say whether a global array still holds what it held when it was converted.

    A name that was bound anew meanwhile tells nothing, nor does a function's own variable.
    """
    before = case.fact(path)
    if not isinstance(before, Held) or case.script.text.function(case.node) is not None:
        return True
    nothing = object()
    after = fact_of(value_of(path, lambda name: case.script.namespace.get(name, nothing)))
    if not isinstance(after, Held) or after.address != before.address:
        return True
    return (before.print, before.shape, before.dtype) == (after.print, after.shape, after.dtype)


def _was_written(case: Case, name: str) -> bool:
    """Say whether torch knows that a result was written in place, or will be trained."""
    value: Any = case.script.namespace.get(name)
    if type(value).__module__.partition(".")[0] != "torch":
        return False
    if not isinstance(value, sys.modules["torch"].Tensor) or value.is_inference():
        return False  # such tensors count no writes
    return bool(value._version) or bool(value.requires_grad)


def _is_returned(case: Case, results: frozenset[str]) -> bool:
    """Say whether a function hands the result out, to code that may be anywhere."""
    function = case.script.text.function(case.node)
    return getattr(function, "name", "") in results
