"""torch, JAX and CuPy on a real GPU: what crosses to it and back, and how long that took."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensortoll
from tensortoll.model import Conversion
from tensortoll.recording import Recording

N = 1 << 24
F, D, H = 4 * N, 8 * N, 2 * N
CPU, GPU = "cpu", "cuda:0"
FASTEST = 8e12
"""Bytes a second that no memory of a GPU reaches: a copy of a known size can't take less."""


def ran(prepare: str, text: str) -> tuple[Recording, list[Conversion]]:
    """Return the recording of ``text``, run after ``prepare``, and what its last line made."""
    recording = tensortoll.run_source(prepare + text, "case.py", {"__name__": "__main__"})
    assert recording.faults == ()
    line = len((prepare + text).rstrip().splitlines())
    return recording, [one for one in recording.conversions if one.route.place.line == line]


def told(one: Conversion) -> tuple[Any, ...]:
    route = one.route
    return ("+".join(route.effects), route.origin.device, route.target.device, *one.totals[:4])


TORCH = f"""
import numpy as np
import torch
t = torch.ones({N}); pinned = t.pin_memory(); g = t.cuda(); a = np.ones({N})
torch.cuda.synchronize()
"""
TORCH_ROWS = {
    "t.cuda()": ("h2d", CPU, GPU, 1, 1, F, F),
    "t.to('cuda', non_blocking=True)": ("h2d+non_blocking", CPU, GPU, 1, 1, F, F),
    "pinned.to('cuda')": ("h2d+pinned", CPU, GPU, 1, 1, F, F),
    "pinned.to('cuda', non_blocking=True)": ("h2d+non_blocking+pinned", CPU, GPU, 1, 1, F, F),
    "t.to('cuda', torch.float16)": ("cast+h2d", CPU, GPU, 1, 1, F, H),
    "torch.tensor(a, device='cuda')": ("h2d", CPU, GPU, 1, 1, D, D),
    "torch.as_tensor(a, device='cuda')": ("h2d", CPU, GPU, 1, 1, D, D),
    "g.copy_(t)": ("h2d", CPU, GPU, 1, 1, F, F),
    "g.cpu()": ("d2h", GPU, CPU, 1, 1, F, F),
    "t.copy_(g)": ("d2h", GPU, CPU, 1, 1, F, F),
    "pinned.copy_(g)": ("d2h+pinned", GPU, CPU, 1, 1, F, F),
    "g.double()": ("cast", GPU, GPU, 1, 1, F, D),
    "g.clone()": ("", GPU, GPU, 1, 1, F, F),
    "t.pin_memory()": ("pinned", CPU, CPU, 1, 1, F, F),
    "g.sum().item()": ("d2h+unbox", GPU, CPU, 1, 1, 4, 0),
    "float(g[5])": ("d2h+unbox", GPU, CPU, 1, 1, 4, 0),
    "if g.sum() > 0: pass": ("d2h+unbox", GPU, CPU, 1, 1, 1, 0),
}


@pytest.mark.parametrize("text", TORCH_ROWS)
def test_torch_moves_are_told_with_bytes_and_a_time_that_is_no_launch(text: str) -> None:
    """Events on the device time what does not wait; nothing is faster than memory can be."""
    _, [one] = ran(TORCH, text)

    assert told(one) == TORCH_ROWS[text]
    assert one.route.launch_only is False
    moved = max(one.totals.bytes_read, one.totals.bytes_written)
    assert one.totals.elapsed_ns * 1e-9 >= moved / FASTEST


def test_torch_computes_on_the_device_in_silence() -> None:
    """What stays on the device and keeps its dtype is no conversion."""
    _, rows = ran(TORCH, "g + g; g * 2.0; g.sum(); g.cuda(); g[5:10]; torch.cuda.synchronize()")

    assert rows == []


def test_an_asynchronous_copy_takes_the_device_longer_than_its_launch() -> None:
    """The host goes on at once; the time that is told is the device's, after the watch."""
    text = (
        "import time\nfor _ in range(8): kept = pinned.to('cuda', non_blocking=True)\n"
        "began = time.perf_counter_ns(); last = pinned.to('cuda', non_blocking=True)\n"
        "launch = time.perf_counter_ns() - began\n"
    )
    namespace: dict[str, Any] = {}
    recording = tensortoll.run_source(TORCH + text, "case.py", namespace)
    [one] = [
        one
        for one in recording.conversions
        if "non_blocking" in one.route.effects and one.totals.count == 1
    ]

    assert one.totals.elapsed_ns > namespace["launch"]


def test_printing_a_tensor_on_the_device_reads_it() -> None:
    """A few numbers, and not the whole."""
    _, rows = ran(TORCH, "repr(g)")

    assert rows
    assert all("d2h" in one.route.effects for one in rows)
    assert sum(one.totals.bytes_read for one in rows) < 4096


def test_backward_on_the_devices_own_thread_is_charged_to_the_line_that_waits() -> None:
    """The cast of the gradient belongs to `backward()`."""
    text = "w = torch.ones_like(g, requires_grad=True); s = w.double().sum()\ns.backward()"
    _, rows = ran(TORCH, text)

    assert [told(one) for one in rows if one.totals.bytes_read == D] == [
        ("cast", GPU, GPU, 1, 1, D, F)
    ]
    assert {one.route.where for one in rows} == {"thread, while this line waited"}


def test_the_thread_that_pins_batches_is_charged_to_the_loop() -> None:
    """Each batch is copied into page-locked memory once, on a thread of the loader's."""
    text = (
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "for one, in DataLoader(TensorDataset(t.reshape(64, -1)), 16, pin_memory=True): pass"
    )
    _, rows = ran(TORCH, text)
    pinning = [one for one in rows if "pinned" in one.route.effects]

    assert sum(one.totals.count for one in pinning) == 4
    assert sum(one.totals.bytes_written for one in pinning) == F


def test_a_graph_that_is_captured_is_captured_as_without_us() -> None:
    """No event of ours becomes a part of it, and it replays."""
    text = """
graph = torch.cuda.CUDAGraph(); out = torch.empty_like(g)
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    out.copy_(g)
torch.cuda.synchronize()
with torch.cuda.graph(graph):
    out.copy_(g * 2)
g.fill_(3.0); graph.replay(); torch.cuda.synchronize()
right = bool((out == 6).all())
"""
    namespace: dict[str, Any] = {}
    recording = tensortoll.run_source(TORCH + text, "case.py", namespace)

    assert namespace["right"]
    assert recording.faults == ()


JAX = f"""
import numpy as np
import jax
import jax.numpy as jnp
a = np.ones({N}, np.float32); j = jax.device_put(a, jax.devices("gpu")[0]); j.block_until_ready()
"""


@pytest.mark.parametrize(
    ("text", "effects", "devices"),
    [
        ("r = jax.device_put(a, jax.devices('gpu')[0])", "h2d", (CPU, GPU)),
        ("r = jnp.asarray(a)", "h2d", (CPU, GPU)),
        ("r = np.asarray(j)", "d2h", (GPU, CPU)),
        ("r = jax.device_get(j)", "d2h", (GPU, CPU)),
    ],
)
def test_jax_moves_are_told_with_bytes(text: str, effects: str, devices: tuple[str, str]) -> None:
    """To the device and back, each a copy of all bytes."""
    _, [one] = ran(JAX, text)

    assert told(one)[:3] == (effects, *devices)
    assert (one.route.outcome, one.totals.bytes_written) == ("copy", F)


CUPY = f"""
import numpy as np
import cupy as cp
a = np.ones({N}, np.float32); c = cp.asarray(a); cp.cuda.Device().synchronize()
"""


@pytest.mark.parametrize(
    ("text", "effects", "devices", "written"),
    [
        ("r = cp.asarray(a)", "h2d", (CPU, GPU), F),
        ("r = cp.array(a)", "h2d", (CPU, GPU), F),
        ("r = cp.asnumpy(c)", "d2h", (GPU, CPU), F),
        ("r = c.get()", "d2h", (GPU, CPU), F),
        ("r = c.astype(np.float64)", "cast", (GPU, GPU), D),
        ("r = c.copy()", "", (GPU, GPU), F),
    ],
)
def test_cupy_moves_are_told_with_bytes(
    text: str, effects: str, devices: tuple[str, str], written: int
) -> None:
    """To the device and back, and casts on it."""
    _, [one] = ran(CUPY, text)

    assert told(one)[:3] == (effects, *devices)
    assert (one.route.outcome, one.totals.bytes_written) == ("copy", written)


def test_cupy_and_torch_share_the_devices_memory() -> None:
    """A capsule moves nothing: the address on the device is the same on both sides."""
    namespace: dict[str, Any] = {}
    recording = tensortoll.run_source(
        CUPY + "import torch\nr = torch.from_dlpack(c)", "case.py", namespace
    )

    assert namespace["r"].data_ptr() == namespace["c"].data.ptr
    assert [
        one.route.outcome for one in recording.conversions if one.route.target.library == "torch"
    ] == ["view"]
    assert np.asarray(namespace["r"].cpu()).sum() == N
