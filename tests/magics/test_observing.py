"""Memory and time by line in cells: by choice, natively and in the fallback, awaiting or not."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from IPython.utils.capture import capture_output

from tensortoll.magics.attention import attention
from tensortoll.model import NO_LINE, LineCost
from tensortoll.recording import Recording

MS = 1_000_000
CELL = "import numpy as np\ndef f():\n    return np.ones(1_000_000)\nfor _ in range(3): x = f()\n"


def observed(shell: Any, cell: str) -> tuple[Recording, dict[int, LineCost]]:
    with capture_output():
        shell.run_cell(cell, store_history=True)
    recording = shell._tensortoll_session.recordings[-1]
    name = recording.sources[-1].name
    lines = {one.line: one for one in recording.lines if one.source.name == name}
    return recording, lines


def test_a_cell_has_memory_and_time_on_the_lines_of_the_gutter(shell):
    """The magic's line is the first one."""
    recording, lines = observed(shell, f"%%tensorcost -q\n{CELL}")

    assert () == recording.faults
    assert abs(lines[4].allocated_bytes - 24_000_000) < 100_000
    assert 3 == lines[4].hits
    assert lines[5].elapsed_ns >= lines[4].elapsed_ns > 0
    assert recording.peak.total >= 16_000_000


def test_a_statement_that_is_looked_at_is_hit_as_often_as_it_ran(shell):
    """What we put behind statements that can write is no statement of the user's."""
    cell = "import numpy as np\na = np.ones(9)\nfor i in range(3):\n    a[i] = 2\na[5] = 1\n"
    recording, lines = observed(shell, f"%%tensorcost -q --no-memory\n{cell}")

    assert () == recording.faults
    assert {2: 1, 3: 1, 4: 4, 5: 3, 6: 1} == {n: lines[n].hits for n in range(2, 7)}


@pytest.mark.parametrize(
    ("option", "memory", "time"),
    [("--no-memory", False, True), ("--no-time", True, False), ("--no-memory --no-time", 0, 0)],
)
def test_each_can_be_left_out(shell, option, memory, time):
    """And nothing is said of what nobody wanted."""
    recording, lines = observed(shell, f"%%tensorcost -q {option}\n{CELL}")

    assert bool(memory) == (recording.peak is not None)
    assert bool(memory) == any(one.allocated_bytes for one in lines.values())
    assert bool(time) == any(one.elapsed_ns for one in lines.values())
    assert () == recording.blind_spots


def test_the_fallback_observes_too(shell):
    """A magic above or below ours makes no difference to what is seen."""
    recording, lines = observed(shell, f"%%tensorcost -q\n%%capture\n{CELL}")
    del lines

    assert recording.peak.total >= 16_000_000
    with capture_output():
        shell.run_cell_magic("tensorcost", "-q", CELL)
    recording = shell._tensortoll_session.recordings[-1]
    (line,) = [one for one in recording.lines if one.line == 4]
    assert 3 == line.hits
    assert abs(line.allocated_bytes - 24_000_000) < 100_000


def test_an_awaiting_line_has_the_time_that_it_waited(shell):
    """The clock does not stop where a coroutine is suspended."""
    cell = "%%tensorcost -q --no-memory\nimport asyncio\nawait asyncio.sleep(0.1)\nx = 1\n"
    recording, lines = observed(shell, cell)

    assert 100 * MS <= lines[3].elapsed_ns < 200 * MS
    assert lines[4].elapsed_ns < 20 * MS
    top = sum(lines[line].elapsed_ns for line in (2, 3, 4))
    assert recording.elapsed_ns == top + lines[NO_LINE].elapsed_ns


def test_the_report_of_a_cell_has_the_columns(shell, monkeypatch):
    """In text and in HTML."""
    monkeypatch.setenv("COLUMNS", "100")
    shell.run_cell("import numpy as np")
    with capture_output() as caught:
        shell.run_cell("%%tensorcost\nx = np.ones(1_000_000).astype('f4')\n")
    (shown,) = caught.outputs

    assert "allocated  peak" in shown.data["text/plain"]
    assert re.search(r"peak 12\.\d MB, 4\.00 MB of it converted", shown.data["text/plain"])
    assert ">allocated<" in shown.data["text/html"]


def test_a_cell_that_fails_is_observed_up_to_there(shell):
    """Its lines are told, and nothing stays on."""
    recording, lines = observed(shell, "%%tensorcost -q\nx = bytearray(9_999_999)\n1 / 0\nx = 2\n")

    assert lines[2].allocated_bytes >= 9_999_999
    assert 1 == lines[3].hits
    assert 4 not in lines or not lines[4].hits
    assert () == recording.faults
    assert sys.gettrace() is None
    assert sys.getprofile() is None


def test_functions_of_earlier_cells_take_their_memory_on_their_own_lines(shell):
    """As a source of its own."""
    with capture_output():
        shell.run_cell("import numpy as np\ndef f():\n    return np.ones(500_000)\n", True)
    recording, _ = observed(shell, "%%tensorcost -q\nx = f()\n")
    places = {
        (one.source.name, one.line): one.allocated_bytes
        for one in recording.lines
        if one.allocated_bytes > 100_000
    }

    assert [("cell [1]", 3)] == list(places)


def test_every_cell_mode_observes_nothing(shell):
    """Starting memray for each little cell would take longer than the cell."""
    with capture_output():
        shell.run_cell("%tensorcost on")
        shell.run_cell("import numpy as np\nx = np.ones(100_000).astype('f4')")
        shell.run_cell("%tensorcost off")
    recording = shell._tensortoll_session.recordings[-1]

    assert recording.peak is None
    assert () == recording.lines


class Kernel:
    """What a kernel tells of who is asking."""

    def __init__(self, *, allows_input: bool) -> None:
        self._allow_stdin = allows_input


def test_a_notebook_with_a_person_gets_a_line_and_a_program_that_runs_it_none(shell, monkeypatch):
    """Programs that run notebooks take no input, and CI says what it is."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    assert attention(shell) is None  # output is captured here
    with monkeypatch.context() as patched:
        patched.setattr(shell, "kernel", Kernel(allows_input=True), raising=False)
        show = attention(shell)
        assert show is not None
        with capture_output() as caught:
            show("some way")
            show("")
        assert {"text/plain": "some way"} == caught.outputs[0].data
        patched.setenv("CI", "true")
        assert attention(shell) is None
        patched.delenv("CI")
        patched.setattr(shell, "kernel", Kernel(allows_input=False))
        assert attention(shell) is None
