"""`tensortoll run` is `python`, with a report on standard error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tensortoll

BOTH = ([sys.executable, "-m", "tensortoll"], [str(Path(sys.executable).parent / "tensortoll")])


def tensortoll_(
    *arguments: str | Path, cwd: Path, **options: object
) -> subprocess.CompletedProcess[str]:
    command = [*BOTH[0], *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("name = 'beside'\n")
    return tmp_path


ENDS = {
    "done": "print('out'); import sys; print('err', file=sys.stderr)",
    "status": "import sys; sys.exit(3)",
    "no status": "import sys; sys.exit()",
    "text": "import sys; sys.exit('went wrong')",
    "error": (
        "def f():\n    return 1 / 0\n\ntry:\n    f()\n"
        "except ZeroDivisionError as e:\n    raise KeyError('k') from e\n"
    ),
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError('two')])",
    "syntax": "x = 1\ny = = 2\n",
    "indent": "if 1:\nprint(2)\n",
    "arguments": "import sys; print(sys.argv[0].endswith('s.py'), sys.argv[1:])",
    "main": (
        "print(__name__, __file__.endswith('s.py'), __doc__)\nx = 1\n"
        "import __main__; print(__main__.x, __file__)"
    ),
    "path": "import sys, os; import beside; print(beside.name, os.path.samefile(sys.path[0], '.'))",
    "pickle": "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))).__name__)",
    "thread": "import threading\nthreading.Thread(target=lambda: print('from a thread')).start()",
    "atexit": "import atexit; atexit.register(print, 'at the end')",
    "warning": "import warnings; warnings.warn('look out')",
    "stdin": "print(input())",
    "latin": "# -*- coding: latin-1 -*-\nprint(len('\xe9'))\n",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_script_ends_as_it_does_without_us(name: str, folder: Path) -> None:
    """Exit status, output, traceback, arguments and surroundings are Python's own."""
    encoding = "latin-1" if name == "latin" else "utf-8"
    (folder / "s.py").write_text(ENDS[name], encoding=encoding)
    arguments = ("s.py", "--json", "1", "-x", "--quiet")
    plain = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        input="a\n",
    )
    ours = tensortoll_("run", "--quiet", *arguments, cwd=folder, input="a\n")
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr == plain.stderr


def test_an_interrupted_script_tells_the_shell(folder: Path) -> None:
    """The process ends by the signal, as Python's does."""
    (folder / "s.py").write_text("raise KeyboardInterrupt")
    plain, ours = python("s.py", cwd=folder), tensortoll_("run", "--quiet", "s.py", cwd=folder)
    assert ours.returncode == plain.returncode
    assert ours.stderr == plain.stderr


CASTS = "import torch\nt = torch.ones(5000).double()\nprint(t.dtype)\n"


def test_the_report_goes_to_standard_error(folder: Path) -> None:
    """Standard output is the script's alone."""
    (folder / "s.py").write_text(CASTS)
    ours = tensortoll_("run", "s.py", cwd=folder)
    assert (ours.returncode, ours.stdout) == (0, "torch.float64\n")
    assert "float64" in ours.stderr
    assert "t = torch.ones(5000).double()" in ours.stderr


def test_files_are_written_as_asked(folder: Path) -> None:
    """`--json` gives a recording, `--html` a page; `--quiet` prints nothing."""
    (folder / "s.py").write_text(CASTS + "1/0\n")
    ours = tensortoll_("run", "--quiet", "--json", "r.json", "--html", "r.html", "s.py", cwd=folder)
    assert ours.returncode == 1
    assert tensortoll.load(folder / "r.json").bytes_written == 40_000
    assert "<html" in (folder / "r.html").read_text()
    assert "tensortoll" not in ours.stderr


@pytest.mark.parametrize("target", ["absent.py", ".", "binary.py", "broken.ipynb", "list.ipynb"])
def test_what_can_not_be_run_is_said_in_one_line(target: str, folder: Path) -> None:
    """Status 2 and a message that names the file, never a traceback of ours."""
    (folder / "binary.py").write_bytes(b"x = '\xff\xfe'\n")
    (folder / "broken.ipynb").write_text("{")
    (folder / "list.ipynb").write_text("[1]")
    ours = tensortoll_("run", target, cwd=folder)
    assert (ours.returncode, ours.stdout) == (2, "")
    assert ours.stderr.startswith("tensortoll: ")
    assert target in ours.stderr
    assert "Traceback" not in ours.stderr


def test_both_names_of_the_command_are_the_same(folder: Path) -> None:
    """`tensortoll` and `python -m tensortoll` give the same help, version and errors."""
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["nonsense"], []):
        one, other = (
            subprocess.run(
                [*name, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            for name in BOTH
        )
        assert (one.returncode, one.stdout, one.stderr) == (
            other.returncode,
            other.stdout,
            other.stderr,
        )


def notebook(*cells: str) -> str:
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}
            },
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{number}",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": text,
                }
                for number, text in enumerate(cells)
            ],
        }
    )


def test_a_notebook_is_run_cell_by_cell(folder: Path) -> None:
    """Its cells are sources of one recording; the file is left as it was."""
    text = notebook("import torch\nt = torch.ones(5000)", "d = t.double()")
    (folder / "n.ipynb").write_text(text)
    ours = tensortoll_(
        *("run", "--quiet", "--no-memory", "--no-time"),
        *("--json", "r.json", "--html", "r.html", "n.ipynb"),
        cwd=folder,
    )
    assert (ours.returncode, ours.stdout) == (0, ""), ours.stderr
    recording = tensortoll.load(folder / "r.json")
    assert [one.route.place.expression for one in recording.conversions] == ["t.double()"]
    assert "<html" in (folder / "r.html").read_text()
    assert (folder / "n.ipynb").read_text() == text


def test_a_cell_that_raises_ends_the_notebook(folder: Path) -> None:
    """The status tells, the error is shown, and what ran before is recorded."""
    (folder / "n.ipynb").write_text(
        notebook("import torch\ntorch.ones(9).double()", "1/0", "print(2)")
    )
    ours = tensortoll_("run", "--quiet", "--json", "r.json", "n.ipynb", cwd=folder)
    assert ours.returncode == 1
    assert "ZeroDivisionError" in ours.stderr
    assert tensortoll.load(folder / "r.json").casts == 1


def test_a_script_is_observed_and_each_observer_can_be_left_out(folder):
    """`--no-memory` and `--no-time` take away what they name, and no more."""
    (folder / "s.py").write_text("x = bytearray(9_999_999)\n")
    seen = {}
    for options in ((), ("--no-memory",), ("--no-time",)):
        done = tensortoll_("run", "--json", "r.json", "--quiet", *options, "s.py", cwd=folder)
        recording = tensortoll.load(folder / "r.json")
        (line,) = [one for one in recording.lines if one.line == 1]
        seen[options] = line.allocated_bytes >= 9_999_999, line.elapsed_ns > 0
        assert ("", "") == (done.stdout, done.stderr)

    assert {
        (): (True, True),
        ("--no-memory",): (False, True),
        ("--no-time",): (True, False),
    } == seen
