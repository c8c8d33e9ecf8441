"""Loops of lines that run too often to be timed one by one."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

import tensortoll
from tensortoll.capture.observers.hot import LineTime, Spell
from tensortoll.model import NO_LINE

MS = 1_000_000
LOOP = """\
import time
step = 0
end = time.monotonic() + 1
while time.monotonic() < end:
    for _ in range(1_000):
        step += 1
time.sleep(0.3)
last = 1
"""
NESTED = """\
import time
def count():
    step = 0
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        for _ in range(1_000):
            step += 1
    return step
steps = count()
steps += count()
"""


def watched(text):
    namespace = {}
    recording = tensortoll.run_source(text, "hot.py", namespace, memory=False)
    return recording, {one.line: one for one in recording.lines}, namespace


def test_a_hot_loop_is_left_alone_and_that_is_said():
    """Its lines run faster than they could be timed: the first part of the runs is counted."""
    recording, lines, namespace = watched(LOOP)
    said = "Lines 5 to 6 ran too often to be timed one by one: counted are "

    assert () == recording.faults
    assert any(one.startswith(said) for one in recording.blind_spots)
    assert 30_000 < lines[6].hits < namespace["step"]


def test_what_the_loop_took_is_shared_out_and_what_came_after_has_its_own():
    """All adds up to the whole, as without a hot loop."""
    recording, lines, _ = watched(LOOP)
    loop = sum(lines[line].elapsed_ns for line in (4, 5, 6))

    assert recording.elapsed_ns == sum(one.elapsed_ns for one in recording.lines)
    assert 600 * MS < loop < 1_500 * MS  # a busy machine looks late
    assert 150 * MS < lines[7].elapsed_ns < 700 * MS
    assert 1 == lines[8].hits
    assert lines[NO_LINE].elapsed_ns < recording.elapsed_ns // 2


def test_a_function_that_is_hot_has_its_lines_and_its_caller_the_whole():
    """Each time that it is called it is timed anew, for a while."""
    recording, lines, namespace = watched(NESTED)
    inside = sum(lines[line].elapsed_ns for line in (3, 4, 5, 6, 7))

    assert 700 * MS < inside < 2_000 * MS
    assert lines[7].hits < namespace["steps"]
    assert recording.blind_spots


def test_a_loop_with_work_in_it_is_timed_run_by_run():
    """Nothing is left out where timing costs little."""
    recording, lines, _ = watched(
        "import numpy as np\na = np.ones(200_000)\nfor _ in range(3_000):\n    b = a + 1\n"
    )

    assert not any("too often" in one for one in recording.blind_spots)
    assert 3_000 == lines[4].hits


def test_no_tracer_stays_and_no_line_is_left_unreported():
    """The next text is timed as if there had been none before."""
    watched(LOOP)
    _, lines, _ = watched("for i in range(1_000):\n    j = i\n")

    assert sys.gettrace() is None
    assert 1_000 == lines[2].hits


TIMES = st.dictionaries(st.integers(1, 6), st.integers(1, 10**9), min_size=1)


@given(TIMES, st.integers(0, 10**10), st.integers(0, 10**9), st.integers(0, 9))
def test_sharing_out_moves_time_and_makes_none(shown, looped_ns, rest_ns, line_after):
    """The sum over the lines stays what the profiler measured."""
    before = {line: LineTime(5, spent) for line, spent in shown.items()}
    last = min(shown)
    lines = {**before, last: LineTime(6, before[last].elapsed_ns + looped_ns + rest_ns)}
    spell = Spell(compile("", "x", "exec"), before, before, 0, looped_ns, line_after, dict(lines))
    whole = sum(one.elapsed_ns for one in lines.values())

    spell.correct(lines)

    assert 0 <= whole - sum(one.elapsed_ns for one in lines.values()) <= len(shown)
    assert all(one.hits and one.elapsed_ns >= 0 for one in lines.values())
    if line_after and line_after not in shown:
        assert rest_ns == lines[line_after].elapsed_ns
