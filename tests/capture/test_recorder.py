"""The recorder adds up exactly, in memory that does not grow with the number of events."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType

import pytest
import torch

import tensortoll
from tensortoll.capture.counting import recorder as recording_
from tensortoll.capture.counting.recorder import ELSEWHERE, Located, Recorder, Site, Sums
from tensortoll.model import Kind, Place, Source

SOURCE = Source("cell", None)
FLOAT, DOUBLE = Kind("torch", "float32"), Kind("torch", "float64")


def located(line: int) -> Located:
    return Located(Place(SOURCE, line, line, 0, 5, "x"), "x", implicit=False, name="x")


def group() -> Sums:
    return Sums("copy", FLOAT, DOUBLE, ("cast",), shape=(3,))


def count(sums: Sums, times: int) -> None:
    for _ in range(times):
        sums.count += 1
        sums.copies += 1
        sums.read += 4
        sums.written += 8


class Allocated:
    bytes = 0


@contextmanager
def allocating() -> Iterator[Allocated]:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    found = Allocated()
    try:
        yield found
        gc.collect()
        found.bytes = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_ten_million_events_at_one_place_take_no_memory() -> None:
    """Each event is added to numbers that stand already."""
    recorder = Recorder()
    table = recorder.local.table
    site = table.sites[1] = Site(located(1), table)
    sums = site.add("key", group())
    count(sums, 10)
    with allocating() as grown:
        for _ in range(100):
            sums.count += 100_000
            sums.written += 800_000
        count(sums, 1000)

    assert grown.bytes < 4096
    assert recorder.events == 10_001_010


def test_real_events_at_one_place_take_no_memory() -> None:
    """A million real casts leave as many objects behind as a thousand."""
    x = torch.rand(2)

    def cast(times: int) -> int:
        for _ in range(times):
            x.double()
        gc.collect()
        return sys.getallocatedblocks()

    with tensortoll.record() as recorder:
        before = cast(1000)
        after = cast(1_000_000)

    assert after - before < 200
    [row] = recorder.recording.conversions
    assert row.totals[:4] == (1_001_000, 1_001_000, 1_001_000 * 8, 1_001_000 * 16)


def test_a_hundred_thousand_places_stay_under_a_hundred_megabytes() -> None:
    """Places beyond the limit are lost, their sums are not."""
    with allocating() as grown:
        recorder = Recorder()
        table = recorder.local.table
        for line in range(100_000):
            site = table.sites[line] = Site(located(line), table)
            count(site.add("key", group()), 1)

    assert grown.bytes < 100e6
    assert recorder.events == 100_000
    places = {one.route.place for one in recorder.conversions()}
    assert len(places) == 50_001
    assert ELSEWHERE in places


def test_beyond_the_limit_totals_stay_exact() -> None:
    """What has no place of its own is added up by kinds and outcome."""
    recorder = Recorder(max_groups=3)
    table = recorder.local.table
    for line in range(10):
        site = table.sites[line] = Site(located(line), table)
        count(site.add("key", group()), line + 1)

    rows = list(recorder.conversions())
    assert len(rows) == 4
    assert sum(one.totals.count for one in rows) == 55
    assert sum(one.totals.bytes_written for one in rows) == 55 * 8
    [rest] = [one for one in rows if one.route.place is ELSEWHERE]
    assert rest.totals.count == 49
    assert (rest.route.origin, rest.route.effects) == (FLOAT, ("cast",))


def test_threads_add_exactly() -> None:
    """Eight threads that cast at the same time lose none of each other's events."""
    x = torch.rand(3)
    began = threading.Barrier(8)

    def work() -> None:
        began.wait()
        for _ in range(2000):
            x.double()

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with tensortoll.record() as recorder:
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(switching)

    [row] = recorder.recording.conversions
    assert row.totals[:4] == (16_000, 16_000, 16_000 * 12, 16_000 * 24)
    assert row.route.where == "thread"


def codes(times: int) -> Iterator[CodeType]:
    for number in range(times):
        yield compile(f"x.double(), {number}", f"made{number % 3}.py", "eval")


def test_code_made_for_ever_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects that a table holds stay under a limit; the sums stay, by place, and exact."""
    monkeypatch.setattr(recording_, "MAX_CODES", 50)
    x = torch.rand(4)
    with tensortoll.record() as recorder:
        for code in codes(1000):
            eval(code, {"x": x})
    watch = recorder._watch

    rows = [one for one in recorder.recording.conversions if one.route.place.source.name != "x"]
    assert sum(one.totals.count for one in rows) == 1000
    assert sum(one.totals.bytes_written for one in rows) == 1000 * 32
    assert {one.route.place.source.name for one in rows} == {"made0.py", "made1.py", "made2.py"}
    [table] = watch.recorder._tables
    assert len(table.codes) <= 52
    assert len(table.sites) + len(table.deep) <= 60
    assert watch.recorder._groups <= 200


def test_a_fault_is_counted_and_cut() -> None:
    """Faults of one reason are one row with a number, however long their text."""
    recorder = Recorder()
    for _ in range(3):
        recorder.fault("here", ValueError("y" * 1000))

    [(reason, times)] = recorder.faults.items()
    assert reason.startswith("here: ValueError: yyy")
    assert len(reason) == 300
    assert times == 3
