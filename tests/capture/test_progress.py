"""One line on how far a long run has come, for who waits at a screen and nobody else."""

from __future__ import annotations

import io
import time

import pytest

from tensortoll.capture import progress
from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.observers import Observing
from tensortoll.capture.progress import Overseer, terminal_line
from tensortoll.capture.running import run


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def attended(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def told(monkeypatch, text: str, long_s: float) -> list[str]:
    """Return the lines that are shown while a text runs."""
    monkeypatch.setattr(progress, "LONG_S", long_s)
    monkeypatch.setattr(progress, "_TELL_S", 0.05)
    lines: list[str] = []
    run(text, "x.py", {}, observing=Observing(show=lines.append))
    return lines


CONVERTS = "import numpy as np, time\na = np.ones(1000).astype('f4')\ntime.sleep(0.6)\n"


def test_a_long_run_tells_what_it_has_done_so_far(monkeypatch):
    """Elapsed time, conversions and bytes; and the line is taken away in the end."""
    lines = told(monkeypatch, CONVERTS, 0.2)

    assert "1 conversions, 4.00 kB copied so far" in lines[-2]
    assert lines[0].startswith("tensortoll: ")
    assert "" == lines[-1]


def test_a_short_run_shows_nothing(monkeypatch):
    """Not even an empty line."""
    assert [] == told(monkeypatch, CONVERTS, 9.0)


def test_reading_a_large_file_of_records_is_told_too(monkeypatch):
    """How much of it was read."""
    text = "import numpy as np\nfor _ in range(100_000): np.empty(200)\n"
    lines = told(monkeypatch, text, 0.0)

    assert [line for line in lines if line.startswith("tensortoll: reading what was allocated, ")]
    assert "" == lines[-1]


def test_a_terminal_shows_one_line_that_is_erased():
    """Each is written over the one before."""
    stream = Terminal()
    show = terminal_line(stream)
    show("some way")
    show("")

    assert "\r\x1b[Ksome way\r\x1b[K" == stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_nobody_looks_in_ci_or_at_a_dumb_terminal(monkeypatch, name, value):
    """So nothing is shown."""
    monkeypatch.setenv(name, value)

    assert terminal_line(Terminal()) is None


def test_nobody_looks_at_a_pipe():
    """Nor at a closed stream."""
    assert terminal_line(io.StringIO()) is None


def test_a_line_that_can_not_be_shown_does_not_end_the_run():
    """A failure of ours is counted as one."""
    recorder = Recorder()

    def show(_: str) -> None:
        raise OSError("gone")

    overseer = Overseer((), recorder, show)
    overseer._started_s -= 60
    overseer.start()
    time.sleep(1.3)
    overseer.stop()

    assert ["looking after a long run: OSError: gone"] == list(recorder.faults)
