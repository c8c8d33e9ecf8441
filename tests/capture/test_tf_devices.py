"""TensorFlow with a second logical CPU, which stands for a device of its own.

Both are one memory, so a move is told by the names of the devices and shown to share by address.
Devices are fixed by the first operation, so this runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tensortoll

SOURCES = Path(tensortoll.__file__).parents[1]
F = 4 * 100 * 60
CPU, OTHER = "cpu", "cpu:1"
START = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
array = np.ones((100, 60), np.float32)
with tf.device("CPU:0"):
    here = tf.ones((100, 60)); numbers = tf.range(6000)
with tf.device("CPU:1"):
    there = tf.ones((100, 60))
addresses = []
def note(*both):
    addresses.append([np.asarray(one).__array_interface__["data"][0] for one in both])
"""
ROWS = {
    # line: (outcome, effects, from, to) of each row
    "with tf.device('CPU:1'): r = tf.identity(here); note(r, here)": (("view", "d2d", CPU, OTHER),),
    "with tf.device('CPU:0'): r = tf.identity(there); note(r, there)": (
        ("view", "d2d", OTHER, CPU),
    ),
    "with tf.device('CPU:1'): r = here * 2.0": (("view", "d2d", CPU, OTHER),),
    "with tf.device('CPU:1'): r = there + here": (("view", "d2d", CPU, OTHER),),
    "with tf.device('CPU:1'): r = tf.constant(array)": (("copy", "d2d", CPU, OTHER),),
    "r = there.numpy()": (("copy", "d2d", OTHER, CPU),),
    # The slice is made on the first device.
    "r = float(there[0, 0])": (("view", "d2d", OTHER, CPU), ("copy", "unbox", CPU, CPU)),
    "with tf.device('CPU:1'): r = there * 2.0": (),
    "with tf.device('CPU:0'): r = here + here": (),
}
RUN = """
import json, sys
from tensortoll.capture import running
names = {{"__name__": "__main__"}}
outcome = running.run({text!r}, "case.py", names)
assert outcome.error is None, outcome.error
outcome.recording.save({path!r})
print(json.dumps(names["addresses"]))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[list[int]]]:
    """Return what was recorded of the rows, and the addresses that they noted."""
    path = tmp_path_factory.mktemp("devices") / "recording.json"
    code = RUN.format(text=START + "\n".join(ROWS), path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    recording = tensortoll.load(path)
    assert recording.faults == ()
    return recording, json.loads(done.stdout)


@pytest.mark.parametrize("row", ROWS)
def test_what_crosses_between_two_devices_is_told(row: str, seen: Any) -> None:
    """Moves, arrays that are made on a device, reads of it, and silence on one device."""
    line = len(START.splitlines()) + 1 + list(ROWS).index(row)
    found = {
        (
            one.route.outcome,
            "+".join(one.route.effects),
            one.route.origin.device,
            one.route.target.device,
        )
        for one in seen[0].conversions
        if one.route.place.line == line
    }

    assert set(ROWS[row]) == found


def test_a_move_between_logical_devices_leaves_the_memory_where_it_is(seen: Any) -> None:
    """That is why it is called a view, and writes nothing."""
    recording, addresses = seen
    assert all(one == other for one, other in addresses)
    assert len(addresses) == 2

    moved = [one for one in recording.conversions if one.route.effects == ("d2d",)]
    assert all(one.totals.bytes_written == 0 for one in moved if one.route.outcome == "view")
