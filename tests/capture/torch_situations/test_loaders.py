"""`DataLoader`: collate functions, workers that are forked, and those that can't be seen."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import tensortoll
from tensortoll.capture import running, workers
from tensortoll.capture.probes.torch.kernels import Override
from tensortoll.model import Conversion
from tensortoll.recording import Recording


def ran(text: str, namespace: dict[str, Any]) -> Recording:
    """Run a text watched, without a look at memory and lines."""
    outcome = running.run(text, "case.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    return outcome.recording


ROWS, WIDTH, BATCH = 64, 128, 16
F, D = 4 * ROWS * WIDTH, 8 * ROWS * WIDTH
START = f"""
import numpy as np
import torch
from torch.utils.data import DataLoader
wide = np.ones(({ROWS}, {WIDTH})); narrow = wide.astype("f4"); tensor = torch.ones({ROWS}, {WIDTH})
pairs = [(row, 3) for row in narrow]
def own(rows):
    return torch.from_numpy(np.stack(rows)).float()
"""
IN_WORKER = "a worker process"


def on_last_lines(text: str) -> list[Conversion]:
    recording = ran(START + text, {"__name__": "__main__"})
    assert (recording.faults, recording.blind_spots) == ((), ())
    first = START.index("def own")
    line = START[:first].count("\n") + 1
    return [one for one in recording.conversions if one.route.place.line >= line]


def summed(rows: list[Conversion]) -> set[tuple[object, ...]]:
    """Return what was counted, whatever line of the library did it."""
    found: dict[tuple[object, ...], list[int]] = {}
    for one in rows:
        route = one.route
        key = (route.outcome, "+".join(route.effects), route.place.line, route.where)
        sums = found.setdefault(key, [0, 0, 0])
        for i, value in enumerate(
            (one.totals.count, one.totals.bytes_read, one.totals.bytes_written)
        ):
            sums[i] += value
    return {(*key, *sums) for key, sums in found.items()}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a process of one thread: with others, as those of a test runner, rows are counted
    one by one, and the override stays where it is.
    """
    monkeypatch.setattr(threading, "active_count", lambda: 1)


LINE, COLLATE = START.count("\n") + 1, START.count("\n")


@pytest.mark.parametrize(("count", "where"), [(0, "main"), (2, IN_WORKER)])
def test_the_default_collate_function_wraps_each_row(count: int, where: str) -> None:
    """Arrays are shared row by row, and charged to the loop; stacking them computes."""
    rows = on_last_lines(
        f"for one in DataLoader(wide, {BATCH}, num_workers={count}, "
        f"multiprocessing_context={'fork' if count else None!r}): pass"
    )

    assert summed(rows) == {("view", "", LINE, where, ROWS, 0, 0)}
    assert all(one.route.implicit for one in rows)
    assert all("collate.py" in (one.route.via or "") for one in rows)


@pytest.mark.parametrize(
    ("rows", "views", "parsed"),
    [
        ("[(a, b) for a, b in zip(wide, narrow)]", 2 * ROWS, 0),
        ("[[a, b] for a, b in zip(wide, narrow)]", 2 * ROWS, 0),
        ("[Pair(a, b) for a, b in zip(wide, narrow)]", 2 * ROWS, 0),
        ("[(a, (b, a)) for a, b in zip(wide, narrow)]", 3 * ROWS, 0),
        ("[(a, b, 3) for a, b in zip(wide, narrow)]", 2 * ROWS, ROWS // BATCH),
        ("[{'x': a, 'y': (b, a)} for a, b in zip(wide, narrow)]", 3 * ROWS, 0),
        ("[(a,) for a in wide]", ROWS, 0),
        ("[(a, torch.ones(3)) for a in wide]", ROWS, 0),
    ],
)
@pytest.mark.usefixtures("alone")
def test_rows_of_several_arrays_are_counted_one_by_one(rows: str, views: int, parsed: int) -> None:
    """Whatever they stand in, and the batches are of the types that torch gives them."""
    setup = (
        "from collections import namedtuple; Pair = namedtuple('Pair', 'x y')\n"
        f"data = {rows}\nplain = [type(one) for one in DataLoader(data, {BATCH})]\n"
    )
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(START + setup, space)
    recording = ran(f"kinds = [type(one) for one in DataLoader(data, {BATCH})]", space)

    assert recording.views == views
    assert recording.count - recording.views == parsed
    assert space["kinds"] == space["plain"]
    assert recording.faults == ()


@pytest.mark.usefixtures("alone")
def test_the_override_is_lifted_once_for_a_batch_of_rows_of_arrays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To lift it takes as long as to wrap some rows, however many arrays each of them has."""
    lifted: list[str] = []
    stop = Override.stop
    monkeypatch.setattr(
        Override, "stop", lambda self: (lifted.append(self._arguments[0]), stop(self))[1]
    )
    rows = [(row, row, row) for row in np.ones((ROWS, 9))]
    with tensortoll.record() as recorder:
        list(DataLoader(rows, BATCH))
        batches = lifted.count("lift_fresh")

    assert batches == ROWS // BATCH
    assert recorder.recording.views == 3 * ROWS


@pytest.mark.usefixtures("alone")
def test_a_row_that_raises_leaves_the_override_in_place() -> None:
    """A batch of rows of different lengths is an error of torch's; what comes after is counted."""
    text = (
        "try:\n    next(iter(DataLoader([(row, row) for row in wide[:15]] + [(wide[0],)], 16)))\n"
        "except RuntimeError as error:\n    told = str(error)\nlast = torch.from_numpy(narrow)"
    )
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(START, space)
    recording = ran(text, space)

    assert "equal size" in space["told"]
    assert [one.totals.count for one in recording.of_line(5)] == [1]


@pytest.mark.parametrize(("count", "where"), [(0, "main"), (2, IN_WORKER)])
def test_a_collate_function_of_the_users_is_charged_inside(count: int, where: str) -> None:
    """At its own lines: one view and one cast for each batch."""
    rows = on_last_lines(
        f"for one in DataLoader(wide, {BATCH}, collate_fn=own, num_workers={count}, "
        f"multiprocessing_context={'fork' if count else None!r}): pass"
    )

    batches = ROWS // BATCH
    assert summed(rows) == {
        ("view", "", COLLATE, where, batches, 0, 0),
        ("copy", "cast", COLLATE, where, batches, D, F),
    }


def test_numbers_beside_arrays_are_parsed_batch_by_batch() -> None:
    """The labels of a batch, Python numbers, are walked into one tensor."""
    rows = on_last_lines(f"for one, label in DataLoader(pairs, {BATCH}): pass")

    assert summed(rows) == {
        ("view", "", LINE, "main", ROWS, 0, 0),
        ("copy", "parse", LINE, "main", ROWS // BATCH, 0, ROWS * 8),
    }


@pytest.mark.parametrize("text", ["DataLoader(tensor, 16)", "DataLoader(tensor, 16, shuffle=True)"])
def test_a_loader_of_tensors_converts_nothing(text: str) -> None:
    """Rows of a tensor are stacked; the order they are taken in is the loader's own affair."""
    assert on_last_lines(f"for one in {text}: pass") == []


def test_workers_that_still_run_are_said_to_be_unseen() -> None:
    """What persistent workers counted can't be asked of them: a sentence says so."""
    with tensortoll.record() as recorder:
        loader = DataLoader(
            np.ones((8, 8)),
            4,
            num_workers=1,
            persistent_workers=True,
            multiprocessing_context="fork",
        )
        list(loader)
    del loader

    assert any("still running" in one for one in recorder.recording.blind_spots)


SPAWNING = """
import numpy as np
from torch.utils.data import DataLoader

if __name__ == "__main__":
    rows = np.ones((8, 1024))
    for one in DataLoader(rows, 4, num_workers=1, multiprocessing_context="spawn"):
        one.half()
"""


def test_spawned_workers_are_said_to_be_unseen(tmp_path: Path) -> None:
    """They inherit nothing of ours; what the main process converts is counted all the same."""
    script, saved = tmp_path / "script.py", tmp_path / "recording.json"
    script.write_text(SPAWNING)
    options = ("--no-memory", "--no-time", "--quiet", "--json", str(saved))
    subprocess.run(
        [sys.executable, "-m", "tensortoll", "run", *options, str(script)],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": str(Path(tensortoll.__file__).parents[1]), "PATH": ""},
    )
    recording = tensortoll.load(saved)

    assert recording.blind_spots == (workers.SPAWNED,)
    assert [one.totals[:4] for one in recording.conversions] == [(2, 2, 8 * 8192, 2 * 8192)]


def test_a_watch_without_other_processes_says_nothing_of_them() -> None:
    """A blind spot needs a reason; `Process.start` is put back."""
    before = multiprocessing.process.BaseProcess.start
    with tensortoll.record() as recorder:
        assert multiprocessing.process.BaseProcess.start is not before
        torch.ones(4096).double()

    assert recorder.recording.blind_spots == ()
    assert multiprocessing.process.BaseProcess.start is before
