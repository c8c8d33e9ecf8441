"""Texts and blocks run as they would without us, and leave a recording behind."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tensortoll
from tensortoll.capture import watch
from tensortoll.errors import AlreadyWatchingError, RecordingFormatError


def test_a_text_runs_in_the_namespace_that_it_is_given() -> None:
    """Names come from there and stay there; the text is `__main__` where none is given."""
    namespace: dict[str, Any] = {"n": 3}
    recording = tensortoll.run_source(
        "import torch\nt = torch.ones(n).double()", "<cell>", namespace
    )
    assert namespace["t"].dtype is torch.float64
    assert [one.route.place.line for one in recording.conversions] == [2]
    assert recording.sources[0].name == "<cell>"
    tensortoll.run_source("assert __name__ == '__main__'")


def test_an_error_is_raised_once_the_watch_has_ended() -> None:
    """The error is the text's own, and its traceback begins in the text."""
    text = "import torch\ndef f():\n    return torch.ones(2).double() @ 'x'\nf()\n"
    with pytest.raises(TypeError) as caught:
        tensortoll.run_source(text, "mine.py")
    assert watch.current() is None
    frames = traceback.extract_tb(caught.value.__traceback__)
    own = [one for one in frames if one.filename == "mine.py"]
    assert [(one.lineno, one.name) for one in own] == [(4, "<module>"), (3, "f")]
    assert own[-1].line == "return torch.ones(2).double() @ 'x'"
    assert frames[-1].filename == "mine.py"


@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "SystemExit(3)", "GeneratorExit()"])
def test_what_is_no_error_goes_through_too(error: str) -> None:
    """An interrupt and an exit are raised to the caller, unchanged."""
    with pytest.raises((KeyboardInterrupt, SystemExit, GeneratorExit)) as caught:
        tensortoll.run_source(f"raise {error}")
    assert repr(caught.value) == error


def test_a_text_that_is_no_python_is_not_run() -> None:
    """The error is Python's own, with its line, and nothing is left on."""
    namespace: dict[str, Any] = {}
    with pytest.raises(SyntaxError) as caught:
        tensortoll.run_source("a = 1\nb = = 2", "mine.py", namespace)
    assert (caught.value.filename, caught.value.lineno, namespace) == ("mine.py", 2, {})


def test_a_second_watch_inside_the_first_is_refused() -> None:
    """The message says what to do, and the first one goes on."""
    x = torch.ones(3)
    with tensortoll.record() as recorder:
        with pytest.raises(AlreadyWatchingError, match="end the first one"), tensortoll.record():
            pass
        with pytest.raises(AlreadyWatchingError):
            tensortoll.run_source("1")
        x.double()
    assert recorder.recording.casts == 1


def test_a_block_that_raises_is_recorded_up_to_there() -> None:
    """The error goes on its way."""
    recorder = tensortoll.record()

    def failing() -> None:
        torch.ones(3).double()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), recorder:
        failing()
    assert recorder.recording.casts == 1


def test_a_recorder_can_be_asked_before_its_block_has_ended() -> None:
    """It tells what was seen so far."""
    with tensortoll.record() as recorder:
        torch.ones(3).double()
        assert recorder.recording.casts == 1
        torch.ones(3).double()
    assert recorder.recording.casts == 2


def test_a_function_outlives_its_text_as_it_was_written() -> None:
    """Its bytecode, once the watch has ended, is that of the text compiled by Python."""
    text = "def f(a):\n    return a.astype('f4').copy()\n"
    namespace: dict[str, Any] = {"a": np.ones(3)}
    tensortoll.run_source(text + "f(a)", "f.py", namespace)
    plain: dict[str, Any] = {}
    exec(compile(text, "f.py", "exec", dont_inherit=True), plain)
    assert namespace["f"].__code__ == plain["f"].__code__


def test_a_recording_survives_the_disk(tmp_path: Path) -> None:
    """What `save` wrote, `load` reads; totals are the sums of its rows."""
    recording = tensortoll.run_source("import torch\nt = torch.ones(1000).double()\nt.numpy()")
    path = tmp_path / "r.json"
    recording.save(path)
    loaded = tensortoll.load(path)
    assert loaded.to_dict() == recording.to_dict() == json.loads(path.read_text())
    totals = loaded.count, loaded.copies, loaded.casts, loaded.views, loaded.bytes_written
    assert totals == (2, 1, 1, 1, 8000)


def test_a_recording_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """The message names the file, and says what to do."""
    document = tensortoll.run_source("1").to_dict()
    path = tmp_path / "new.json"
    path.write_text(json.dumps({**document, "version": 99}))
    with pytest.raises(RecordingFormatError, match=r"new\.json: .*(newer|upgrade|update)"):
        tensortoll.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "other"}', "\x00"])
def test_what_is_no_recording_is_refused(text: str, tmp_path: Path) -> None:
    """A damaged or foreign file is an error of ours, with the file's name in it."""
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(RecordingFormatError, match=r"r\.json"):
        tensortoll.load(path)


def test_a_library_that_arrives_during_the_text_is_watched() -> None:
    """A text may import what nobody had imported before it."""
    import subprocess

    text = (
        "import tensortoll as t; print(t.run_source('import torch; torch.ones(9).double()').casts)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
