"""TT301: a device that is read one number at a time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.devices import crosses, like
from tensortoll.advice.rules.rule import Rule
from tensortoll.model import Conversion

MOST_TOGETHER: Final = 50
"""So many reads are tried against one."""
SUM_ROUNDING: Final = 1e-5
"""Sums in float32 may differ by so much from those in Python's float64."""
WHAT_IS_SAVED: Final = (
    "saved is what the reads take by themselves; what the device computes is waited for at the end"
)
VIEWING: Final = frozenset(
    "view reshape squeeze unsqueeze flatten select narrow diagonal unbind detach expand t "
    "transpose permute split chunk numpy cpu".split()
)
"""Methods whose result may share the memory of what they are called on."""


def _read_in_a_loop(case: Case) -> Iterator[Proposal]:
    row = case.row(lambda one: crosses(one, "d2h") and "unbox" in one.route.effects)
    tensor = _read_tensor(case, row)
    if row is None or tensor is None or row.totals.count < 2:  # noqa: PLR2004 - once is no loop
        return
    yield from _listed(case, row, tensor)
    yield from _appended(case, row, tensor)
    yield from _summed(case, row, tensor)


def _read_tensor(case: Case, row: Conversion | None) -> ast.expr | None:
    """Return what is read by `loss.item()`, `float(loss)`; None where more is done to it."""
    call = case.call
    if row is None or call is None or call.keywords or row.shape != ():
        return None
    if case.method == "item" and not call.args:
        return case.receiver
    function = call.func.id if isinstance(call.func, ast.Name) else ""
    whole = "int" in row.route.origin.dtype
    if (function, whole) in {("float", False), ("int", True)} and row.route.origin.dtype != "bool":
        return case.first
    return None


def _listed(case: Case, row: Conversion, tensor: ast.expr) -> Iterator[Proposal]:
    """`[loss.item() for loss in losses]`."""
    whole = case.script.text.parents.get(case.node)
    if not isinstance(whole, ast.ListComp) or len(whole.generators) != 1:
        return
    [turn] = whole.generators
    if turn.ifs or not isinstance(tensor, ast.Name) or not _is_named(turn.target, tensor.id):
        return
    kind = type(case.script.namespace.get(getattr(turn.iter, "id", "")))
    if kind not in (list, tuple) or case.script.text.function(case.node) is not None:
        return
    torch, reads = case.script.spelled("torch"), min(row.totals.count, MOST_TOGETHER)
    new = f"{torch}.stack({case.written(turn.iter)}).tolist()"
    yield replace(
        _proposal(case, row, tensor, "", "", turn.iter),
        node=whole,
        old=f"[{', '.join([case.written(case.node)] * reads)}]",
        new=f"{torch}.stack([{', '.join([tensor.id] * reads)}]).tolist()",
        told=case.script.text.replaced(whole, new),
    )


def _appended(case: Case, row: Conversion, tensor: ast.expr) -> Iterator[Proposal]:
    """`losses.append(loss.item())`."""
    parents = case.script.text.parents
    append = parents.get(case.node)
    if not isinstance(append, ast.Call) or not isinstance(append.func, ast.Attribute):
        return
    holder = append.func.value
    if append.func.attr != "append" or not isinstance(holder, ast.Name):
        return
    if not isinstance(parents.get(append), ast.Expr) or append.args != [case.node]:
        return
    loop = _loop_of(case, holder.id, _is_empty_list)
    if loop is None or not _is_new_each_turn(case, tensor, loop):
        return
    name, torch, written = holder.id, case.script.spelled("torch"), case.written(tensor)
    reads = min(row.totals.count, MOST_TOGETHER)
    behind = f"{name} = {torch}.stack({name}).tolist()"
    one = _proposal(case, row, tensor, f"{name}.append({written}.detach())", behind, loop)
    yield replace(
        one,
        old=f"[{', '.join([case.written(case.node)] * reads)}]",
        new=f"{torch}.stack([{', '.join([f'{written}.detach()'] * reads)}]).tolist()",
        caveats=(*one.caveats, f"until then `{name}` holds {row.totals.count:,} small tensors"),
    )


def _summed(case: Case, row: Conversion, tensor: ast.expr) -> Iterator[Proposal]:
    """`total += loss.item()`, `total += loss.item() * len(x)`."""
    text = case.script.text
    statement = text.statement(case.node)
    if not isinstance(statement, ast.AugAssign) or not isinstance(statement.op, ast.Add):
        return
    holder, value = statement.target, statement.value
    scaled = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.Div)
    if scaled and isinstance(value, ast.BinOp) and value.left is case.node:
        if not _is_a_number(value.right):
            return
    elif value is not case.node:
        return
    loop = _loop_of(case, holder.id, _is_a_number) if isinstance(holder, ast.Name) else None
    if loop is None or not isinstance(holder, ast.Name):
        return
    name, written = holder.id, f"{case.written(tensor)}.detach()"
    reads = min(row.totals.count, MOST_TOGETHER)
    instead = f"{name} += {text.swapped(value, case.node, written)}"
    one = _proposal(case, row, tensor, instead, f"{name} = {name}.item()", loop)
    dtype = row.route.origin.dtype
    yield replace(
        one,
        old=" + ".join(["0.0", *[case.written(case.node)] * reads]),
        new=f"({' + '.join(['0.0', *[written] * reads])}).item()",
        rounding=SUM_ROUNDING,
        caveats=(
            *one.caveats,
            f"summed in {dtype} on the device: a long sum loses digits that Python's floats keep",
        ),
    )


def _proposal(
    case: Case, row: Conversion, tensor: ast.expr, instead: str, behind: str, loop: ast.AST
) -> Proposal:
    device, count = row.route.origin.device, row.totals.count
    waited = row.totals.elapsed_ns / 1e6
    return Proposal(
        "TT301",
        case.node,
        "",
        f"{device} is read {count:,} times, one number at a time: {waited:,.1f} ms waited in all",
        count // min(count, MOST_TOGETHER),
        caveats=(WHAT_IS_SAVED,),
        told=f"`{instead}` in the loop, `{behind}` behind the one of line {_line(loop)}",
        fresh={ast.unparse(tensor): like(row.route.origin, ())},
    )


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _is_empty_list(node: ast.expr) -> bool:
    return isinstance(node, ast.List) and not node.elts


def _is_a_number(node: ast.expr) -> bool:
    """Say whether an expression is a number of Python's: `0.0`, `len(x)`, `x.size(0)`."""
    if isinstance(node, ast.Call):
        last = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        return last == "len" or (last in {"size", "numel"} and bool(node.args or last == "numel"))
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _loop_of(case: Case, name: str, begins: Callable[[ast.expr], bool]) -> ast.AST | None:
    """Return the outermost loop in which something is gathered, and not looked at.

    It is begun once, before that loop and in the same function.
    """
    text = case.script.text
    begun = [
        one
        for one in ast.walk(text.tree)
        if isinstance(one, ast.Assign)
        and text.function(one) is text.function(case.node)
        and any(getattr(to, "id", "") == name for to in one.targets)
    ]
    if len(begun) != 1 or not begins(begun[0].value):
        return None
    inside = [one for one in text.loops(case.node) if begun[0] not in ast.walk(one)]
    if not inside or not isinstance(inside[-1], ast.For | ast.While):
        return None
    uses = [one for one in ast.walk(inside[-1]) if isinstance(one, ast.Name) and one.id == name]
    return inside[-1] if len(uses) == 1 and not _is_gathered_elsewhere(case, name) else None


def _is_gathered_elsewhere(case: Case, name: str) -> bool:
    """Say whether another line appends or adds to the same."""
    lines = {
        one.lineno
        for one in ast.walk(case.script.text.tree)
        if (isinstance(one, ast.AugAssign) and _is_named(one.target, name))
        or (
            isinstance(one, ast.Call)
            and isinstance(one.func, ast.Attribute)
            and one.func.attr in {"append", "extend", "insert"}
            and _is_named(one.func.value, name)
        )
    }
    return len(lines) > 1


def _is_new_each_turn(case: Case, tensor: ast.expr, loop: ast.AST) -> bool:
    """Say whether each turn reads a tensor of its own, so that it may be kept."""
    if isinstance(tensor, ast.Name):
        values = [
            one.value
            for one in ast.walk(loop)
            if isinstance(one, ast.Assign) and any(_is_named(to, tensor.id) for to in one.targets)
        ]
        written = any(one.name == tensor.id for one in case.script.aliasing.writes)
        return bool(values) and not written and all(_is_computed(one) for one in values)
    return _is_computed(tensor)


def _is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_computed(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        last = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        return last not in VIEWING
    return isinstance(node, ast.BinOp | ast.UnaryOp)


READ_IN_A_LOOP: Final = Rule(
    "TT301",
    "a device that is read one number at a time, in a loop",
    _read_in_a_loop,
    "`loss.item()` and `float(loss)` wait until the device has computed the number, and copy it "
    "to the host. In a loop the device has nothing to do after each of them, until the "
    "host has launched the next piece of work.",
    "Gather on the device, and read once behind the loop: append `loss.detach()`, then "
    "`torch.stack(losses).tolist()`; or sum there, then `total.item()`. It is offered only where "
    "the loop does nothing else with what it gathers, and where the reads took time. A read that "
    "decides what the loop does next can't be left out: do it every so many turns.",
    """
import torch

device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
data = torch.arange(1_000.0, device=device)
one_by_one = []
for turn in range(100):
    one_by_one.append((data * turn).mean().item())            # costly: a wait in every turn
gathered = []
for turn in range(100):
    gathered.append((data * turn).mean().detach())
at_once = torch.stack(gathered).tolist()                      # better: one wait
assert one_by_one == at_once
""",
    (
        "what the device computes is waited for all the same, only later",
        "with CUDA graphs, which write their results anew, append `loss.detach().clone()`",
    ),
)

READING: Final = (READ_IN_A_LOOP,)
