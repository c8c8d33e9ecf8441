"""Moves between the host and a device, reads of a device, and whose time is told.

Run on a device that is none (`tests/fakes/fake_accelerator.py`), in a process of its own, as it
can't be taken back. Its memory is the host's, so the tensors' sizes are the proof of what moved.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tensortoll
from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.probes.torch import devices
from tensortoll.model import Conversion, Kind

FAKES = Path(__file__).parents[2] / "fakes"
SOURCES = Path(tensortoll.__file__).parents[1]
F, D, H = 4 * 4096, 8 * 4096, 2 * 4096
CPU, DEVICE = "cpu", "fakegpu:0"
START = """
import numpy as np
import torch
import fake_accelerator
array = np.ones(4096); t = torch.arange(4096.0); m = t.reshape(64, 64)
d = torch.zeros(4096, device="fakegpu"); square = torch.zeros(64, 64, device="fakegpu")
net = torch.nn.Linear(64, 64)
"""
TRAINING = """
net.to('fakegpu'); loss = net(m.to('fakegpu')).double().sum()
loss.backward()
torch.optim.SGD(net.parameters(), 0.1).step()
state = {name: one.cpu() for name, one in net.state_dict().items()}
net.load_state_dict(state)
net.cpu()
assert len(fake_accelerator.threads) == 2
""".strip()
ROWS = {
    # expression: (effects, from, to, bytes read, bytes written, whether the time is a launch's)
    "t.to('fakegpu')": ("h2d", CPU, DEVICE, F, F, False),
    "t.fakegpu()": ("h2d", CPU, DEVICE, F, F, False),
    "t.to('fakegpu', non_blocking=True)": ("h2d+non_blocking", CPU, DEVICE, F, F, True),
    "t.to('fakegpu', torch.float16)": ("cast+h2d", CPU, DEVICE, F, H, False),
    "d.copy_(t)": ("h2d", CPU, DEVICE, F, F, False),
    "d[:] = t": ("h2d", CPU, DEVICE, F, F, False),
    "torch.tensor(array, device='fakegpu')": ("h2d", CPU, DEVICE, D, D, False),
    "torch.as_tensor(array, device='fakegpu')": ("h2d", CPU, DEVICE, D, D, False),
    "d.cpu()": ("d2h", DEVICE, CPU, F, F, False),
    "d.to('cpu', torch.float64)": ("cast+d2h", DEVICE, CPU, F, D, False),
    "d.double()": ("cast", DEVICE, DEVICE, F, D, True),
    "d.clone()": ("", DEVICE, DEVICE, F, F, True),
    "d.tolist()": ("d2h+unbox", DEVICE, CPU, F, 0, False),
    "d[5].item()": ("d2h+unbox", DEVICE, CPU, 4, 0, False),
    "float(d.sum())": ("d2h+unbox", DEVICE, CPU, 4, 0, False),
    "int(d[5])": ("d2h+unbox", DEVICE, CPU, 4, 0, False),
    "bool(d[5] > 0)": ("d2h+unbox", DEVICE, CPU, 1, 0, False),
    "if d.sum() > 0: pass": ("d2h+unbox", DEVICE, CPU, 1, 0, False),
    "d + d; d * 2.0; d > 0.5; d.sum(); d.cpu; d.to('fakegpu')": None,
}
TOLD = """
import sys
sys.path.insert(0, {fakes!r})
{before}
from tensortoll.capture import running
outcome = running.run({text!r}, "case.py", {{"__name__": "__main__"}})
assert outcome.error is None, outcome.error
outcome.recording.save({path!r})
"""


def recorded(text: str, folder: Path, before: str = "") -> list[list[Conversion]]:
    """Return what was counted on each line of ``text``, run in a process with the device."""
    path = folder / "recording.json"
    if torch.version.cuda is not None:
        # Such a build knows its accelerator from the start; the watched code can't set one up.
        before += "import fake_accelerator\n"
    code = TOLD.format(fakes=str(FAKES), before=before, text=START + text, path=str(path))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        env={"PYTHONPATH": str(SOURCES), "PATH": ""},
        capture_output=True,
    )
    recording = tensortoll.load(path)
    assert recording.faults == ()
    first = len(START.splitlines()) + 1
    lines: list[list[Conversion]] = [[] for _ in text.splitlines()]
    for one in recording.conversions:
        if one.route.place.line >= first:
            lines[one.route.place.line - first].append(one)
    return lines


@pytest.fixture(scope="module")
def by_row(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Conversion]]:
    """Return what each row made; the device is set up by the watched code itself."""
    lines = recorded("\n".join(ROWS), tmp_path_factory.mktemp("rows"))
    return dict(zip(ROWS, lines, strict=True))


@pytest.mark.parametrize("row", ROWS)
def test_what_crosses_to_or_from_a_device_is_told_with_its_bytes(
    row: str, by_row: dict[str, list[Conversion]]
) -> None:
    """Moves, casts and reads: effects, devices, bytes, and whether the time is only a launch's."""
    expected = ROWS[row]
    if expected is None:
        assert by_row[row] == []
        return
    [one] = by_row[row]

    route = one.route
    assert route.outcome == "copy"
    assert ("+".join(route.effects), route.origin.device, route.target.device) == expected[:3]
    assert one.totals[:4] == (1, 1, *expected[3:5])
    assert route.launch_only is expected[5]
    assert route.implicit is (row.startswith("if "))
    assert one.totals.elapsed_ns > 0
    assert one.proof is None or one.proof.origin != one.proof.target


def test_models_move_with_all_they_hold(tmp_path: Path) -> None:
    """`Module.to`, backward on the device's own thread, a step, and `load_state_dict`."""
    forward, backward, step, state, load, back, _ = (
        [one for one in line if DEVICE in (one.route.origin.device, one.route.target.device)]
        for line in recorded(TRAINING, tmp_path)
    )
    weights = (64 * 64 + 64) * 4

    moves = {one.route.place.expression: one.totals[:4] for one in forward}
    assert moves == {
        "net.to('fakegpu')": (2, 2, weights, weights),
        "m.to('fakegpu')": (1, 1, F, F),
        "net(m.to('fakegpu')).double()": (1, 1, F, D),
    }
    [cast] = backward
    assert cast.totals[:4] == (1, 1, D, F)
    assert cast.route.where == "thread, while this line waited"
    assert cast.route.place.expression == "loss.backward()"
    assert step == []
    assert [(one.route.effects, one.totals[:4]) for one in (*state, *load)] == [
        (("d2h",), (2, 2, weights, weights)),
        (("h2d",), (2, 2, weights, weights)),
    ]
    # The gradients come along.
    assert [one.totals[:4] for one in back] == [(4, 4, 2 * weights, 2 * weights)]


def test_printing_a_device_reads_what_is_shown(tmp_path: Path) -> None:
    """The few numbers that are shown are read from the device; on the host, looking is nothing."""
    shown, host = recorded("print(d); repr(square)\nprint(t); repr(m)", tmp_path)

    assert {(one.route.effects, one.route.implicit) for one in shown} == {(("d2h", "unbox"), True)}
    assert {one.route.operation for one in shown} == {"print", "repr"}
    assert 0 < sum(one.totals.bytes_read for one in shown) < 4096
    assert host == []


def test_a_device_that_is_set_up_before_the_watch_is_seen(tmp_path: Path) -> None:
    """It makes no difference when the device came."""
    [[one]] = recorded(
        "t.to('fakegpu')",
        tmp_path,
        f"import sys; sys.path.insert(0, {str(FAKES)!r}); import fake_accelerator\n",
    )

    assert one.route.effects == ("h2d",)


class _Event:
    """An event that is done when it is told to be, and as long after the last as it is told."""

    made: list[_Event]
    done = False

    def __init__(self, device: Any, *, enable_timing: bool) -> None:
        assert enable_timing
        self.waited = False
        self.made.append(self)

    def record(self) -> None:
        self.at = len(self.made)

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.waited = True

    def elapsed_time(self, other: _Event) -> float:
        return float(other.at - self.at)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> type[_Event]:
    """Return the events of a device, as torch would make them."""
    kind = type("Event", (_Event,), {"made": []})
    monkeypatch.setattr(torch, "Event", kind)
    return kind


def _sums() -> Sums:
    kind = Kind("torch", "float32", "xpu:0")
    return Sums("copy", kind, kind)


def test_a_device_is_waited_for_once_the_watch_ends(events: type[_Event]) -> None:
    """While code runs, events are only left behind; afterwards their milliseconds are added up."""
    timing, sums, device = devices.Timing(), _sums(), torch.device("xpu:0")
    for _ in range(3):
        timing.end(timing.begin(device), device, sums)
    assert (sums.elapsed_ns, [one for one in events.made if one.waited]) == (0, [])

    timing.read()

    assert sums.elapsed_ns == 3_000_000


def test_events_that_are_done_are_read_before_there_are_too_many(events: type[_Event]) -> None:
    """A long run keeps a bounded number of events, and loses no time."""
    events.done = True
    timing, sums, device = devices.Timing(), _sums(), torch.device("xpu:0")
    for _ in range(devices.MOST_PENDING + 1):
        timing.end(timing.begin(device), device, sums)

    assert sums.elapsed_ns == (devices.MOST_PENDING + 1) * 1_000_000


def test_a_device_whose_events_fail_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, only the launch can be timed."""
    asked = []

    def refuse(**_: object) -> None:
        asked.append(1)
        raise RuntimeError

    monkeypatch.setattr(torch, "Event", refuse)
    timing = devices.Timing()

    assert [timing.begin(torch.device("xpu:0")) for _ in range(3)] == [None] * 3
    assert asked == [1]
