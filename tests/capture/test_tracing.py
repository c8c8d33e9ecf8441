"""
A trace tells single conversions, in bounded memory, and only where one is asked for.
"""

import itertools

import pytest

from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.counting.tracing import Ring
from tensortoll.capture.running import run
from tensortoll.report.exports import perfetto

CODE = """
import torch, numpy as np
a = np.zeros(5000)
for _ in range(20):
    t = torch.tensor(a)
    u = torch.from_numpy(a)
    f = t.float()
    b = a.astype('float32')
"""


def traced(text, **limits):
    ring = Ring(**limits)
    outcome = run(text, "cell [1]", {"__name__": "__main__"}, ring=ring)

    assert outcome.error is None, outcome.error
    assert () == outcome.recording.faults
    return ring.trace(), outcome.recording


def test_events_add_up_to_the_recording():
    """
    Counts, bytes and times of the events are those of the recording, place by place.
    """
    trace, recording = traced(CODE)
    places = {one.route.place for one in recording.conversions}

    assert 4 == len(places)
    for place in places:
        events = [one for one in trace.events if one.route.place == place]
        rows = [one for one in recording.conversions if one.route.place == place]
        for number, of_event in (
            ("count", "conversions"),
            ("bytes_written", "bytes_written"),
            ("elapsed_ns", "elapsed_ns"),
        ):
            expected = sum(getattr(one.totals, number) for one in rows)
            assert expected == sum(getattr(one, of_event) for one in events), number
    assert recording.count == len(trace.events)
    assert 0 == trace.dropped


def test_events_lie_where_they_happened():
    """
    They are told in order of time, after the watch began, and none in the time of another.
    """
    trace, _ = traced(CODE)
    ends = [one.start_ns + one.elapsed_ns for one in trace.events]

    assert sorted(ends) == ends
    assert all(one.start_ns >= 0 for one in trace.events)
    timed = [one for one in trace.events if one.elapsed_ns]
    assert all(
        one.start_ns + one.elapsed_ns <= following.start_ns + 1_000
        for one, following in itertools.pairwise(timed)
    )


def test_the_ring_is_bounded_and_says_what_it_dropped():
    """
    The last events stay; how many there were before is known.
    """
    trace, recording = traced(CODE, max_events=7)

    assert 4 <= len(trace.events) <= 7  # a wrap that became a copy took a place and left it
    assert recording.count - len(trace.events) == trace.dropped
    assert trace.events[-1].route.operation.endswith("astype")


def test_threads_have_rows_of_their_own():
    """
    What another thread did is told apart.
    """
    trace, _ = traced(
        "import torch, threading\n"
        "def work():\n    torch.ones(5000).double()\n"
        "work()\n"
        "t = threading.Thread(target=work); t.start(); t.join()\n"
    )

    assert {0, 1} == {one.thread for one in trace.events}
    assert {"main", "thread"} == set(trace.threads)


def test_without_a_trace_sums_are_plain():
    """
    Nothing is looked up or called where nobody asked for events.
    """
    kinds = []
    code = "import torch\ntorch.ones(9).double()\nlook()\n"
    from tensortoll.capture.watch import current

    def look():
        kinds.extend(type(one) for one in current().recorder._all_sums())

    run(code, "cell [1]", {"look": look})

    assert [Sums] == kinds


def test_perfetto_reads_it():
    """
    The document has what the Trace Event Format asks for, and times in microseconds.
    """
    trace, _ = traced(CODE)
    document = perfetto.timeline(trace)
    slices = [one for one in document["traceEvents"] if one["ph"] == "X"]
    names = [one for one in document["traceEvents"] if one["ph"] == "M"]

    assert len(trace.events) == len(slices)
    assert {"process_name", "thread_name"} == {one["name"] for one in names}
    assert pytest.approx(sum(one.elapsed_ns for one in trace.events) / 1000) == sum(
        one["dur"] for one in slices
    )
    for one in slices:
        assert {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"} == one.keys()
        assert isinstance(one["ts"], float)
