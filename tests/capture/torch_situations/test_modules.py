"""Models, modes and transforms: what is written is told by the addresses before and after."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from tensortoll.capture import running
from tensortoll.model import Conversion
from tensortoll.recording import Recording

START = """
import copy
import torch
torch.manual_seed(0)
net = torch.nn.Linear(64, 64)
wide = torch.nn.Linear(64, 64).double()
m = torch.arange(4096.0).reshape(64, 64)
leaf = torch.ones(4096, requires_grad=True)
state = {name: one.clone() for name, one in wide.state_dict().items()}
own = {name: one.clone() for name, one in net.state_dict().items()}
"""
W, F, D = 64 * 64 + 64, 4, 8


def ran(text: str, namespace: dict[str, Any]) -> Recording:
    """Run a text watched, without a look at memory and lines."""
    outcome = running.run(text, "case.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    return outcome.recording


class Case(NamedTuple):
    text: str
    effects: str
    count: int
    read: int
    written: int
    piece: str
    """Of the expression that is charged."""


CASES = {
    "half": Case("net.half()", "cast", 2, W * F, W * 2, "net.half()"),
    "to a dtype": Case("net.to(torch.float64)", "cast", 2, W * F, W * D, "net.to("),
    "to meta": Case("net.to('meta')", "", 2, 0, 0, "net.to("),
    "load narrower": Case(
        "net.load_state_dict(state)", "cast", 2, W * D, W * F, "net.load_state_dict(state)"
    ),
    "load the same": Case(
        "net.load_state_dict(own)", "", 2, W * F, W * F, "net.load_state_dict(own)"
    ),
    "deepcopy of a model": Case("r = copy.deepcopy(net)", "", 2, W * F, W * F, "copy.deepcopy"),
    "deepcopy of a view": Case("r = copy.deepcopy(m[1:3])", "", 1, 4096 * F, 4096 * F, "deepcopy"),
    "deepcopy of one twice": Case(
        "r = copy.deepcopy({'a': m, 'b': m})", "", 1, 4096 * F, 4096 * F, "deepcopy"
    ),
    "share_memory": Case("net.share_memory()", "", 2, W * F, W * F, "net.share_memory()"),
    "inference_mode": Case(
        "with torch.inference_mode(): r = m.double()", "cast", 1, 4096 * F, 4096 * D, "m.double()"
    ),
    "a layout in inference_mode": Case(
        "with torch.inference_mode(): r = m.t().contiguous()",
        *("layout", 1, 4096 * F, 4096 * F, "m.t().contiguous()"),
    ),
    "vmap": Case(
        "r = torch.vmap(lambda row: row.double())(m)",
        *("cast", 1, 4096 * F, 4096 * D, "row.double()"),
    ),
    "vmap of a clone": Case(
        "r = torch.vmap(lambda row: row.clone())(m)",
        *("", 1, 4096 * F, 4096 * F, "row.clone()"),
    ),
    "autocast": Case(
        "with torch.autocast('cpu', torch.bfloat16): r = net(m)",
        *("cast", 3, (W + 4096) * F, (W + 4096) * 2, "net(m)"),
    ),
    "channels last": Case(
        "r = m.reshape(1, 4, 32, 32).to(memory_format=torch.channels_last)",
        *("layout", 1, 4096 * F, 4096 * F, ".to(memory_format"),
    ),
    "backward": Case(
        "(leaf.double() ** 2).sum().backward()",
        *("cast", 1, 4096 * D, 4096 * F, ".backward()"),
    ),
}


def last_line(text: str) -> tuple[list[Conversion], dict[str, Any]]:
    namespace: dict[str, Any] = {}
    recording = ran(START + text, namespace)
    assert recording.faults == ()
    line = len((START + text).rstrip().splitlines())
    return [one for one in recording.conversions if one.route.place.line == line], namespace


@pytest.mark.parametrize("name", CASES)
def test_what_a_model_or_a_mode_converts_is_counted_once(name: str) -> None:
    """Effects, how many tensors, and all bytes read and written."""
    case = CASES[name]
    found, _ = last_line(case.text)

    mine = [one for one in found if case.piece in one.route.place.expression]
    [one] = [one for one in mine if "+".join(one.route.effects) == case.effects]
    assert one.totals[:4] == (case.count, case.count, case.read, case.written)
    assert one.route.outcome == "copy"
    assert len(mine) == 1


SAME_MEMORY = {
    "net.float()": "net.weight",
    "net.to('cpu')": "net.weight",
    "wide.double()": "wide.weight",
    "net.load_state_dict(own, assign=True)": "own['weight']",
    "r = copy.copy(net)": "net.weight",
    "r = torch.vmap(lambda row: row[1:])(m)": "m",
    "with torch.inference_mode(): r = m.float()": "m",
    "r = net.state_dict()": "net.weight",
    "r = list(net.parameters())": "net.weight",
}


@pytest.mark.parametrize("text", SAME_MEMORY)
def test_what_leaves_memory_where_it_is_is_silent(text: str) -> None:
    """The address of the first element is the same before and after, and nothing is told."""
    plain: dict[str, Any] = {}
    exec(START, plain)
    before = eval(SAME_MEMORY[text], plain).data_ptr()
    exec(text, plain)
    after = {one.data_ptr() for one in (*plain["net"].parameters(), *plain["wide"].parameters())}
    assert before in after | {plain["m"].data_ptr()}

    assert last_line(text)[0] == []


def test_results_of_models_are_those_of_an_unwatched_run() -> None:
    """Weights after steps under autocast are the same to the last bit."""
    text = """
optimizer = torch.optim.AdamW(net.parameters(), 0.01)
for _ in range(3):
    with torch.autocast("cpu", torch.bfloat16):
        loss = net(m / 4096).float().square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
    plain: dict[str, Any] = {}
    exec(START + text, plain)
    _, watched = last_line(text)

    assert torch.equal(plain["net"].weight, watched["net"].weight)
    assert torch.equal(plain["loss"], watched["loss"])
