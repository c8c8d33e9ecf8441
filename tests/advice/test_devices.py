"""Rules for devices, where they have something to say, and where they must be silent.

Run on a device that is none (`tests/fakes/fake_accelerator.py`), in a process of its own, as it
can't be taken back. How long it takes to cross is told to it, so what wins is known beforehand;
how much that is says nothing of a real device.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tensortoll
from tensortoll.model import Finding

FAKES = Path(__file__).parents[1] / "fakes"
SOURCES = Path(tensortoll.__file__).parents[1]
START = """
import torch
import fake_accelerator
d = torch.ones(200, 300, device="fakegpu")
x = torch.ones(200, 300)
data = torch.ones(1000, 64)
device = torch.device("fakegpu")
fake_accelerator.waits.update({waits})
"""
RUN = """
import json, sys
sys.path.insert(0, {fakes!r})
from tensortoll.advice import advised
from tensortoll.capture import running
for number, text in enumerate(json.loads(sys.stdin.read())):
    space = {{"__name__": "__main__"}}
    outcome = running.run(text, "case.py", space)
    assert outcome.error is None, (text, outcome.error)
    done = advised(outcome.recording, outcome.evidence, space, budget_s=20)
    done.save(f"{folder}/{{number}}.json")
"""
SLOW = {"read": 0.002, "pageable": 0.002, "pinned": 0.0005, "pin": 0.004}
TURNS = "losses = []\nfor i in range(20):\n"
LOOP = f"{TURNS}    loss = (d * i).mean()\n"
SENDING = "for i in range(0, 1000, 100):\n"
GATHERED = (
    "`losses.append(loss.detach())` in the loop, "
    "`losses = torch.stack(losses).tolist()` behind the one of line 10"
)
FIRES = {
    "TT301": [
        (
            f"{LOOP}    losses.append(loss.item())",
            GATHERED,
        ),
        (
            "losses = []\nfor i in range(20):\n    losses.append(float((d * i).mean()))",
            "`losses.append((d * i).mean().detach())` in the loop",
        ),
        (
            f"total = 0.0\n{LOOP}    total += loss.item()\nprint(total)",
            "`total += loss.detach()` in the loop, `total = total.item()` behind",
        ),
        (
            f"total = 0.0\n{LOOP}    total += loss.item() * len(x)",
            "`total += loss.detach() * len(x)` in the loop",
        ),
        (
            f"{LOOP}    losses.append(loss)\nmean = sum([one.item() for one in losses]) / 20",
            "mean = sum(torch.stack(losses).tolist()) / 20",
        ),
    ],
    "TT302": [
        ("g = x.pin_memory().to('fakegpu', non_blocking=True)", "g = x.to('fakegpu')"),
        ("p = x.pin_memory()\ng = p.to(device)", "g = x.to(device)"),
    ],
    "TT303": [
        ("g = d.cpu().to('fakegpu')", "g = d.clone()"),
        ("g = torch.from_numpy(d.cpu().numpy()).to(device)", "g = d.clone()"),
        ("g = torch.tensor(d.detach().cpu().numpy(), device=device)", "g = d.detach().clone()"),
        ("h = d.cpu()\ng = h.to('fakegpu')", "g = d.clone()"),
    ],
    "TT304": [
        (
            f"for turn in range(3):\n    {SENDING}        b = data[i : i + 100].to('fakegpu')",
            "`data = data.pin_memory()` before the loop of line 9",
        ),
    ],
}
SILENT = {
    "TT301": [
        # The loop looks at what it read.
        f"{LOOP}    losses.append(loss.item())\n    print(losses[-1])",
        f"{LOOP}    now = loss.item()\n    losses.append(now)\n    if now > 1e9: break",
        f"{LOOP}    if loss > 1e9: break",
        f"{LOOP}    losses.append(loss.item())\nlosses.append(3.0)",
        f"{LOOP}    losses.append(loss)\nbig = [one.item() for one in losses if one > 0]",
        # What is kept would be written anew in each turn.
        f"loss = d.sum()\n{TURNS}    loss += 1\n    losses.append(loss.item())",
        f"{TURNS}    one = d.view(-1).select(0, 0)\n    losses.append(one.item())\n    d += 1",
        # There is nothing to wait for.
        "losses = []\nfor i in range(20):\n    losses.append((x * i).mean().item())",
        "loss = d.mean().item()",
    ],
    "TT302": [
        "p = x.pin_memory()\nfor i in range(5):\n    g = p.to('fakegpu')\n    x[0] = 1",
        "g = x.to('fakegpu')",
        "p = x.pin_memory()\ng = p.to(device)\nprint(p[0, 0])",
    ],
    "TT303": [
        "h = d.cpu()\nh += 1\ng = h.to('fakegpu')",
        "h = d.cpu()\nd += 1\ng = h.to('fakegpu')",
        "h = d.cpu()\nd = d + 1\ng = h.to('fakegpu')",
        "h = d.cpu()\nprint(h.sum())",
        "g = (d.cpu() * 2).to('fakegpu')",
        "g = d.cpu().to('fakegpu', torch.float16)",
    ],
    "TT304": [
        "for i in range(0, 1000, 100):\n    b = data[i : i + 100].to('fakegpu')\n    data[0] = i",
        f"pinned = data.pin_memory()\n{SENDING}    b = pinned[i : i + 100].to('fakegpu')",
        "for i in range(0, 300, 100):\n    b = data[i : i + 100].to('fakegpu')",
        "b = data[:].to('fakegpu')",
    ],
}


def found(texts: list[tuple[str, dict[str, float]]], folder: Path) -> list[tuple[Finding, ...]]:
    """Run texts, each on a device that is as far away as is told, and return what is advised."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN.format(fakes=str(FAKES), folder=folder)],
        check=False,
        env={"PYTHONPATH": str(SOURCES), "PATH": ""},
        capture_output=True,
        text=True,
        input=json.dumps([START.format(waits=waits) + text for text, waits in texts]),
    )
    assert done.returncode == 0, done.stderr
    recordings = [tensortoll.load(folder / f"{number}.json") for number in range(len(texts))]
    for one in recordings:
        assert one.faults == ()
        assert all(finding.verified for finding in one.findings)
    return [one.findings for one in recordings]


@pytest.fixture(scope="module")
def by_text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Finding, ...]]:
    """Return what is advised for every text, on a device that is far away."""
    texts = [text for cases in FIRES.values() for text, _ in cases]
    texts += [text for cases in SILENT.values() for text in cases]
    every = found([(text, SLOW) for text in texts], tmp_path_factory.mktemp("texts"))
    return dict(zip(texts, every, strict=True))


@pytest.mark.parametrize(
    ("code", "text", "wanted"),
    [(code, *case) for code, cases in FIRES.items() for case in cases],
)
def test_a_rule_says_what_to_write_where_that_wins(
    code: str, text: str, wanted: str, by_text: dict[str, tuple[Finding, ...]]
) -> None:
    """Both forms were run there, gave the same, and the better one crossed less or waited less."""
    told = [one.suggestion for one in by_text[text] if one.rule == code]

    assert any(wanted in one for one in told), told


@pytest.mark.parametrize(
    ("code", "text"), [(code, text) for code, texts in SILENT.items() for text in texts]
)
def test_a_rule_is_silent_where_its_advice_would_be_wrong_or_win_nothing(
    code: str, text: str, by_text: dict[str, tuple[Finding, ...]]
) -> None:
    """Where something else sees the difference, or where it is done well already."""
    assert code not in [one.rule for one in by_text[text]]


def test_the_device_decides_what_wins(tmp_path: Path) -> None:
    """How fast it reads pinned memory, and whether a read of it takes any time at all."""
    sending = "for i in range(0, 1000, 100):\n    b = data[i : i + 100].to('fakegpu')"
    pinning = "g = x.pin_memory().to('fakegpu')"
    told = found(
        [
            (sending, {**SLOW, "pinned": 0.0005}),
            (sending, {**SLOW, "pinned": 0.0019}),
            (pinning, {**SLOW, "pin": 0.0, "pageable": 0.02}),
            (pinning, {**SLOW, "pageable": 0.02, "pinned": 0.02}),
            (LOOP.replace("20", "2") + "    losses.append(loss.item())", dict.fromkeys(SLOW, 0.0)),
        ],
        tmp_path,
    )

    assert [[one.rule for one in findings] for findings in told] == [
        ["TT304"],
        [],
        [],
        ["TT302"],
        [],
    ]


def test_what_is_said_of_a_round_trip_adds_up(by_text: dict[str, tuple[Finding, ...]]) -> None:
    """Two crossings of 240,000 bytes become one copy on the device."""
    [one] = by_text["g = d.cpu().to('fakegpu')"]

    assert one.saved_bytes == 240_000
    assert one.title == "the tensor goes from fakegpu:0 to the host, and back to where it was"
