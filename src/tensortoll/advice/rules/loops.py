"""TT104: the same array converted again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tensortoll.advice.callees import is_false, reached, roots
from tensortoll.advice.case import Case, Proposal, evaluations
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held, Listed


def _hoist(case: Case) -> Iterator[Proposal]:
    count = evaluations(one for one in case.rows if one.route.outcome == "copy")
    if case.call is None or count <= 1:
        return
    text, aliasing = case.script.text, case.script.aliasing
    loop = next(text.loops(case.node), None)
    paths = [path for path, fact in case.facts.items() if isinstance(fact, Held | Listed)]
    sources = {name for path in paths for name in _roots(path)}
    if loop is None or not sources or not _runs_once(case):
        return
    everything = {one.id for one in ast.walk(case.node) if isinstance(one, ast.Name)}
    results = aliasing.names_of_result(case.node)
    if results is None or not everything.isdisjoint(_bound_in(loop, text.tree)):
        return
    written = aliasing.writes_in(frozenset(sources), loop) is not None
    if written or any(_may_be_replaced(path, case, loop) for path in paths):
        return
    # Where the result is written, each turn needs one of its own.
    if results and aliasing.writes_in(results - sources, loop) is not None:
        return
    if _is_kept(case, results, loop) or _gathers_gradients(case.node):
        return
    name = min(sources)
    statement = text.statement(case.node)
    line = case.written(case.node)
    if isinstance(statement, ast.Assign) and statement.value is case.node:
        line = text.segment(statement)
    yield Proposal(
        "TT104",
        case.node,
        f"hoist `{line}` out of the loop of line {_line(loop)}",
        f"`{name}` is converted {count:,} times, and never changed in between",
        count - 1,
        caveats=("every turn sees one and the same result",),
        hoisted_from=loop,
    )


def _roots(path: str) -> Iterator[str]:
    node = ast.parse(path, mode="eval").body
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _may_be_replaced(path: str, case: Case, loop: ast.AST) -> bool:
    """Say whether another array may stand at `holder["key"]` or `holder.name` in a later turn."""
    steps = list(ast.walk(ast.parse(path, mode="eval")))
    names = {one.attr for one in steps if isinstance(one, ast.Attribute)}
    has_items = any(isinstance(one, ast.Subscript) for one in steps)
    alike = [case.script.aliasing.alike(name) for name in _roots(path)]
    holders = frozenset[str]().union(*alike)
    for one in reached(case.script.text.tree, loop):
        stored = isinstance(getattr(one, "ctx", None), ast.Store | ast.Del)
        if isinstance(one, ast.Attribute) and stored and one.attr in names:
            return True
        item = stored and isinstance(one, ast.Subscript)
        exchanged = isinstance(one, ast.Attribute) and one.attr in _EXCHANGING
        if has_items and (item or exchanged) and not holders.isdisjoint(roots(one)):
            return True
    return False


_EXCHANGING: Final = frozenset("update pop popitem setdefault clear insert remove sort".split())
"""Methods of dicts and lists that put another element where one stood."""


def _line(loop: ast.AST) -> int:
    line = getattr(loop, "lineno", 0)
    return int(line)


def _runs_once(case: Case) -> bool:
    """Say whether all that was counted was counted in one run of the loop.

    A function that is called again may be given another array each time.
    """
    text = case.script.text
    function = text.function(case.node)
    if function is None:
        return True
    if not isinstance(function, ast.FunctionDef) or text.function(function) is not None:
        return False
    calls = [
        node
        for node in ast.walk(text.tree)
        if isinstance(node, ast.Name) and node.id == function.name
    ]
    if len(calls) != 1 or text.function(calls[0]) is not None:
        return False
    called = text.parents.get(calls[0])
    direct = isinstance(called, ast.Call) and called.func is calls[0]
    return direct and next(text.loops(calls[0]), None) is None


def _bound_in(loop: ast.AST, tree: ast.AST) -> set[str]:
    """Return the names that a loop binds, itself or by a call, or that are taken away in it."""
    return {
        one.id
        for one in ast.walk(loop)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del)
    } | {
        name
        for one in reached(tree, loop)
        if isinstance(one, ast.Global | ast.Nonlocal)
        for name in one.names
    }


def _gathers_gradients(node: ast.AST) -> bool:
    """Say whether a leaf is made, in which the gradients of all turns would add up."""
    keywords = (one for one in ast.walk(node) if isinstance(one, ast.keyword))
    return any(one.arg == "requires_grad" and not is_false(one.value) for one in keywords)


def _is_kept(case: Case, results: frozenset[str], loop: ast.AST) -> bool:
    """Say whether each turn's result is put into a container, which may need one of its own."""
    if isinstance(loop, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return loop is case.script.text.parents.get(case.node)
    statement = case.script.text.statement(case.node)
    if isinstance(statement, ast.Assign) and statement.value is case.node:
        stored = any(isinstance(one, ast.Subscript) for one in statement.targets)
        if stored:
            return True
    for one in ast.walk(loop):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            if one.func.attr not in {"append", "add", "insert", "extend"}:
                continue
            given = {name for part in one.args for name in case.script.aliasing.carried(part)}
            if case.node in one.args or given & results:
                return True
    return False


HOIST = Rule(
    "TT104",
    "the same array converted in every turn of a loop",
    _hoist,
    "A conversion inside of a loop is made anew in each turn, though the array that is converted "
    "stays the same.",
    "Convert it once, before the loop, and use the result in it. It is offered only where the "
    "source shows that neither the array nor the result is written or bound anew in the loop.",
    """
import numpy as np
import torch

kernel = np.ones((300, 300), dtype=np.float32)
state = torch.ones(4, 300)
for turn in range(3):
    again = torch.tensor(kernel)          # costly: copied in every turn
    state = torch.tanh(state @ again)
once = torch.tensor(kernel)               # better: copied once, hoisted out of the loop
for turn in range(3):
    state = torch.tanh(state @ once)
assert torch.equal(again, once)
""",
    ("every turn sees one and the same result: a write to it would show in the next one",),
)

LOOPS: Final = (HOIST,)
