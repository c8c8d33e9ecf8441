"""TT3xx: between the host and a device."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from tensortoll.advice.case import Case, Proposal
from tensortoll.advice.rules.origins import call_that_made
from tensortoll.advice.rules.rule import Rule
from tensortoll.capture.arrays.facts import Held, c_strides
from tensortoll.model import Conversion, Kind

HOSTS: Final = ("cpu", "meta")
MOST_ON_DEVICE: Final = 256 * 1024 * 1024
"""Bytes that a trial may hold on a device."""
MOST_TURNS: Final = 10
"""Rounds over the same data that a trial makes."""
INTO_TORCH: Final = ("torch.tensor", "torch.as_tensor", "torch.asarray", "torch.from_numpy")
HANDING_ON: Final = frozenset(("numpy", "contiguous"))
"""Methods between a copy to the host and one back, that change no element."""


def crosses(one: Conversion, effect: str) -> bool:
    """Say whether a row is torch's, and moves data in one direction."""
    route = one.route
    sides = route.origin, route.target
    return effect in route.effects and any(
        side.library == "torch" and side.device not in HOSTS for side in sides
    )


def like(kind: Kind, shape: tuple[int, ...]) -> Held:
    """Return what stands for a tensor of which no more is known than a row tells."""
    held = Held("torch", kind.dtype, shape, (), 0, 0, writable=True, device=kind.device)
    return held._replace(strides=c_strides(shape, held.itemsize))


def _stand_in(case: Case, node: ast.expr, kind: Kind, shape: tuple[int, ...]) -> Mapping[str, Held]:
    return {} if isinstance(case.fact(node), Held) else {ast.unparse(node): like(kind, shape)}


# ------------------------------------------------------------------------------- TT302


def _pinned_for_once(case: Case) -> Iterator[Proposal]:
    """`x.pin_memory().to(device, non_blocking=True)`."""
    row = case.row(lambda one: crosses(one, "h2d") and "pinned" in one.route.effects)
    call, receiver = case.call, case.receiver
    if row is None or call is None or receiver is None or case.method not in {"to", "cuda"}:
        return
    pinning: ast.expr | None = receiver
    if isinstance(receiver, ast.Name):
        pinning = call_that_made(case, receiver.id)
    inner = None if pinning is None else case.by_node.get(pinning)
    pinned = None if inner is None else inner.row(lambda one: one.route.outcome == "copy")
    if inner is None or pinned is None or inner.method != "pin_memory" or inner.receiver is None:
        return
    if pinned.totals.count < row.totals.count or row.shape is None:
        return  # what is pinned once and copied often is what pinned memory is for
    source = case.written(inner.receiver)
    given = [case.written(one) for one in call.args]
    given += [case.written(one) for one in call.keywords if one.arg != "non_blocking"]
    old = case.written(case.node)
    if isinstance(receiver, ast.Name):
        old = f"{case.written(inner.node)}{old.removeprefix(receiver.id)}"
    yield Proposal(
        "TT302",
        case.node,
        f"{source}.{case.method}({', '.join(given)})",
        "a tensor is copied into pinned memory for one transfer: that is one copy more",
        row.totals.count,
        caveats=(
            "the call waits until the tensor is there; a transfer from pinned memory need not",
        ),
        old=old,
        fresh=_stand_in(case, inner.receiver, pinned.route.origin, row.shape),
    )


PINNED_FOR_ONCE: Final = Rule(
    "TT302",
    "a tensor copied into pinned memory, and to the device once",
    _pinned_for_once,
    "`x.pin_memory()` allocates page-locked memory, and copies the tensor into it while the "
    "program waits. A transfer from there is faster, but for one transfer that seldom makes up for "
    "the copy: PyTorch's own tutorial found it up to twice as slow as the plain transfer.",
    "Hand the tensor to the device as it is: `x.to(device)`. Pin what is filled anew and sent "
    "again and again, or let a `DataLoader` pin on a thread of its own (`pin_memory=True`).",
    """
import torch

device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
batch = torch.ones(200, 300)
direct = batch.to(device)                                              # better: one copy
if torch.cuda.is_available():
    pinned = batch.pin_memory().to(device, non_blocking=True)          # costly: two
    assert torch.equal(direct, pinned)
""",
    ("told only where both ways were timed on this machine's own device",),
)

# ------------------------------------------------------------------------------- TT303


def _round_trip(case: Case) -> Iterator[Proposal]:
    """`d.cpu().to(device)`, `torch.from_numpy(d.cpu().numpy()).to(device)`."""
    row = case.row(lambda one: crosses(one, "h2d"))
    if row is None or case.call is None:
        return
    given = case.first if case.function in INTO_TORCH else case.receiver
    old = case.written(case.node)
    if isinstance(given, ast.Name):
        made = call_that_made(case, given.id)
        old = case.with_part(given, case.written(made)) if made is not None else old
        given = made
    out = None if given is None else _copy_to_host(case, given)
    if out is None or out.receiver is None:
        return
    away = out.row(lambda one: crosses(one, "d2h"))
    if away is None or away.shape is None or away.totals.count != row.totals.count:
        return
    here, there = away.route.origin, row.route.target
    if here.device != there.device or here.dtype != there.dtype:
        return
    if _is_written_between(case, out):
        return
    source = case.written(out.receiver)
    yield Proposal(
        "TT303",
        case.node,
        f"{source}.clone()",
        f"the tensor goes from {here.device} to the host, and back to where it was",
        row.totals.count,
        old=old,
        fresh=_stand_in(case, out.receiver, here, away.shape),
    )


def _copy_to_host(case: Case, node: ast.expr) -> Case | None:
    """Return the copy to the host that an expression hands on unchanged."""
    while isinstance(node, ast.Call):
        found = case.by_node.get(node)
        if found is not None and found.method in {"cpu", "to"}:
            return found
        if isinstance(node.func, ast.Attribute) and node.func.attr in HANDING_ON and not node.args:
            node = node.func.value
        elif case.script.names.resolve(node.func) in INTO_TORCH and len(node.args) == 1:
            if node.keywords:
                return None
            node = node.args[0]
        else:
            return None
    return None


def _is_written_between(case: Case, out: Case) -> bool:
    """Say whether the tensor on the device may be another one when it comes back."""
    if out.place.line == case.place.line:
        return False
    names = frozenset(case.script.aliasing.carried(out.receiver))
    bound = [
        one
        for one in ast.walk(case.script.text.tree)
        if isinstance(one, ast.Name) and one.id in names and isinstance(one.ctx, ast.Store)
    ]
    again = any(one.lineno > out.place.line for one in bound)
    return again or case.script.aliasing.write_of(names, out.node) is not None


ROUND_TRIP: Final = Rule(
    "TT303",
    "a tensor that goes from a device to the host, and back",
    _round_trip,
    "`d.cpu()` waits for the device, and copies the tensor to the host; `.to(device)` copies it "
    "back, to get what was there before.",
    "Leave the tensor where it is, and copy it there: `d.clone()`. Where nobody writes to either, "
    "the tensor itself will do.",
    """
import torch

device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
state = torch.ones(200, 300, device=device)
travelled = state.cpu().to(device)       # costly: to the host and back
stayed = state.clone()                   # better: copied within the device
assert torch.equal(travelled.cpu(), stayed.cpu())
""",
)

# ------------------------------------------------------------------------------- TT304


def _pageable(case: Case) -> Iterator[Proposal]:
    """`data[i : i + n].to(device)` in a loop."""
    row = case.row(lambda one: crosses(one, "h2d") and "pinned" not in one.route.effects)
    part = case.receiver
    if row is None or case.call is None or not isinstance(part, ast.Subscript) or not row.shape:
        return
    index = part.slice.elts[0] if isinstance(part.slice, ast.Tuple) else part.slice
    whole = case.array(part.value, "torch")
    loops = list(case.script.text.loops(case.node))
    if not loops or whole is None or not isinstance(part.value, ast.Name) or whole.device != "cpu":
        return
    if not isinstance(index, ast.Slice) or isinstance(part.slice, ast.Tuple) or not row.shape[0]:
        return
    turns = min(row.totals.bytes_read // max(whole.nbytes, 1), MOST_TURNS)
    turns = min(turns, MOST_ON_DEVICE // max(whole.nbytes, 1))
    name = part.value.id
    if turns < 1 or _is_bound_or_written(case, name, loops[-1]):
        return
    step = f"_part{case.written(case.node).removeprefix(case.written(part))}"
    turn, parts = f"for _turn in {(1,) * turns}", f".split({row.shape[0]})"
    pageable = f"{turn} for _part in {name}{parts}"
    pinned = f"for _pinned in [{name}.pin_memory()] {turn} for _part in _pinned{parts}"
    torch = case.script.spelled("torch")
    line = getattr(loops[-1], "lineno", 0)
    yield Proposal(
        "TT304",
        case.node,
        f"{torch}.cat([{step} {pinned}])",
        f"parts of `{name}` go to {row.route.target.device} from pageable memory "
        f"{row.totals.count:,} times",
        1,
        caveats=(
            f"{whole.nbytes:,} bytes are copied once, and can't be swapped out from then on",
            f"measured with {turns} of the rounds over `{name}`, the pinning included",
        ),
        told=f"`{name} = {name}.pin_memory()` before the loop of line {line}",
        old=f"{torch}.cat([{step} {pageable}])",
    )


def _is_bound_or_written(case: Case, name: str, loop: ast.AST) -> bool:
    bound = (
        one.id
        for one in ast.walk(loop)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    )
    return name in bound or case.script.aliasing.write_of(frozenset((name,)), loop) is not None


PAGEABLE: Final = Rule(
    "TT304",
    "parts of one tensor that go to a device from pageable memory, again and again",
    _pageable,
    "A device reads only memory that stays where it is. What lies in ordinary, pageable memory "
    "is copied by the driver, piece by piece, into pinned memory of its own first.",
    "Pin the whole tensor once, before the loop: `data = data.pin_memory()`. That costs a copy, "
    "and is offered only where it wins with that copy counted in.",
    """
import torch

device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
data = torch.ones(1_000, 300)
pageable = [data[n : n + 100].to(device) for n in range(0, 1_000, 100)]
if torch.cuda.is_available():
    data = data.pin_memory()                                           # better: pinned once
    pinned = [data[n : n + 100].to(device) for n in range(0, 1_000, 100)]
    assert torch.equal(torch.cat(pageable), torch.cat(pinned))
""",
    ("memory that is pinned can't be used for anything else: too much of it slows the machine",),
)

DEVICES: Final = (PINNED_FOR_ONCE, ROUND_TRIP, PAGEABLE)
