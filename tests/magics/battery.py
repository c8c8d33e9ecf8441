"""Runs the cells of battery.txt in a real shell, and tells all that can be seen of them.

As a program: `python battery.py plain|watched` writes what was seen as JSON. Each side is a process
of its own, so that warnings that are shown once per process are shown to both.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import re
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

CELLS = Path(__file__).with_name("battery.txt")
MAGIC = "%%tensorcost -q"
ADDRESS = re.compile(r"(0x|(?<=object at )|(?<=stopped ))[0-9a-fA-F]{6,}")
TIMES = re.compile(r"\b\d[\d.,e+]* ?(ns|µs|us|ms|s)\b( ± [^)]*\))?")
CELL_FILE = re.compile(
    r"(\S*[\\/]ipykernel_\d+[\\/]\d+\.py|<ipython-input-[^>]*>|<tensorcost[^>]*>)"
)
ERROR_LINE = re.compile(r"^(-+> ?)(\d+) +", re.MULTILINE)
CONTEXT = re.compile(r"^ +\d+(?= |$).*\n", re.MULTILINE)
"""The lines around an error: how many IPython shows of them is not the same twice."""
MENTIONS = re.compile(r"((?:Cell )?In ?\[\d+\], line |<cell>, line |<cell>:|\(<cell>, line )(\d+)")
OF_THE_SHELL = re.compile(r"_+|_i*|_i?\d+|_[dio]h|In|Out|exit|quit|get_ipython|open|__.*")


class Cell(NamedTuple):
    """One cell of a snippet."""

    text: str
    watched: bool

    def as_run(self, *, watched: bool) -> str:
        """Return the cell with the magic, or with a comment in its place, or with nothing."""
        first = ""
        if watched and self.watched:
            first = f"{MAGIC}\n"
        elif self.can_be_commented:
            first = "# plain\n"
        if "@@\n" in self.text:
            return self.text.replace("@@\n", first)
        return first + self.text

    @property
    def can_be_commented(self) -> bool:
        """Whether a comment at the top changes nothing but the numbers of the lines."""
        return bool(self.text.strip()) and not self.text.startswith(("%%", " ", "\n"))


def snippets() -> dict[str, list[Cell]]:
    """Return the cells by the name of the snippet."""
    found = {}
    for part in re.split(r"^### ", CELLS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        kinds = ["---", *re.findall(r"^---.*$", text, flags=re.MULTILINE)]
        texts = re.split(r"^---.*\n", text.rstrip("\n") + "\n", flags=re.MULTILINE)
        found[name] = [
            Cell(one, kind != "--- plain") for kind, one in zip(kinds, texts, strict=True)
        ]
    return found


OWN_NUMBER = re.compile(rf"\(pid={os.getpid()}\)")
"""In a warning of Python's."""


class Battery:
    """A shell that runs snippets."""

    def __init__(self, *, watched: bool) -> None:
        """Start a shell; with our extension in it where ``watched``."""
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        settings = Config()
        settings.HistoryManager.hist_file = ":memory:"
        settings.InteractiveShell.colors = "NoColor"
        self.shell = InteractiveShell.instance(config=settings)
        self.watched = watched
        if watched:
            self.shell.run_line_magic("load_ext", "tensortoll")

    def run(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """Run a snippet in an empty namespace, and return what was seen of each cell."""
        if dynamo := sys.modules.get("torch._dynamo"):
            dynamo.reset()  # or it complains about names that are gone
        with mock.patch("gc.collect"):  # seconds in all, for nothing
            self.shell.reset(new_session=True)
        self.shell.user_ns.pop("__warningregistry__", None)
        return [self._cell(cell) for cell in cells]

    def _cell(self, cell: Cell) -> dict[str, Any]:
        text = cell.as_run(watched=self.watched)
        shift = text.count("\n") - cell.as_run(watched=False).count("\n")
        out, err = io.StringIO(), io.StringIO()
        session = vars(self.shell).get("_tensortoll_session")
        before = None if session is None else _last(session)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            result = self.shell.run_cell(text, store_history=True)
        number = result.execution_count
        error = result.error_before_exec or result.error_in_exec
        seen = {
            "stdout": _shifted(out.getvalue(), shift),
            "stderr": _shifted(OWN_NUMBER.sub("(pid)", err.getvalue()), shift),
            "success": result.success,
            "value": _shown(result.result),
            "out": _shown(self.shell.user_ns["Out"].get(number, "nothing")),
            "underscore": _shown(self.shell.user_ns.get("_")),
            "error": [] if error is None else list(_errors(error, shift)),
            "namespace": {
                name: _shown(value)
                for name, value in sorted(self.shell.user_ns.items())
                if not OF_THE_SHELL.fullmatch(name)
            },
        }
        if self.watched:
            # What only one side can tell; the test looks at it by itself.
            recording = None if session is None else _last(session)
            recording = None if recording is before else recording
            seen["leftovers"] = list(self._leftovers())
            seen["recorded"] = recording is not None
            seen["faults"] = [] if recording is None else list(recording.faults)
        return seen

    def _leftovers(self) -> Iterator[str]:
        from tensortoll.capture import watch
        from tensortoll.capture.runtime.expressions import RUNNING

        if "run_code" in vars(self.shell):
            yield "shell.run_code"
        if self.shell.ast_transformers:
            yield "shell.ast_transformers"
        if watch.current() is not None:
            yield "a watch"
        if RUNNING.recorder is not None:
            yield "RUNNING.recorder"
        torch = sys.modules.get("torch")
        if torch is not None and "numpy" in vars(torch.Tensor):
            yield "torch.Tensor.numpy"


def _last(session: Any) -> Any:
    return session.recordings[-1] if session.recordings else None


def _shown(value: object) -> str:
    if type(value) is set:
        value = sorted(value, key=repr)
    try:
        text = repr(value)
    except Exception as error:
        text = f"no repr: {error}"
    return ADDRESS.sub("0x…", CELL_FILE.sub("<cell>", text))


def _shifted(text: str, shift: int) -> str:
    """Return output without what changes from run to run, with a plain cell's line numbers."""
    text = TIMES.sub("<time>", ADDRESS.sub("0x…", CELL_FILE.sub("<cell>", text)))
    text = text.replace(str(Path.cwd()), "<folder>")
    text = MENTIONS.sub(lambda m: m[1] + str(int(m[2]) - shift), text)
    text = CONTEXT.sub("", text)
    return ERROR_LINE.sub(lambda m: m[1] + str(int(m[2]) - shift) + " ", text)


def _errors(error: BaseException, shift: int) -> Iterator[Any]:
    """Yield the type, the words and the traceback of an error and of what led to it."""
    chain: BaseException | None = error
    while chain is not None:
        yield type(chain).__name__, ADDRESS.sub("0x…", _message(chain, shift))
        yield list(_frames(chain, shift))
        if isinstance(chain, BaseExceptionGroup):
            yield [list(_errors(one, shift)) for one in chain.exceptions]
        yield "cause" if chain.__cause__ else "context"
        chain = chain.__cause__ or chain.__context__


def _message(error: BaseException, shift: int) -> str:
    if isinstance(error, SyntaxError):
        line = None if error.lineno is None else error.lineno - shift
        return f"{error.msg} at {line}:{error.offset} {error.text}"
    return CELL_FILE.sub("<cell>", str(error))


def _frames(error: BaseException, shift: int) -> Iterator[tuple[Any, ...]]:
    frames = [
        (frame, line, _columns(frame, position))
        for (frame, line), position in zip(
            traceback.walk_tb(error.__traceback__), _positions(error), strict=True
        )
    ]
    while frames and not CELL_FILE.fullmatch(frames[0][0].f_code.co_filename):
        del frames[0]  # the shell's
    for frame, line, columns in frames:
        file = frame.f_code.co_filename
        text = linecache.getline(file, line, frame.f_globals).strip()
        if CELL_FILE.fullmatch(file):
            yield "<cell>", frame.f_code.co_qualname, line - shift, columns, text
        else:
            yield Path(file).name, frame.f_code.co_qualname, line, text


def _positions(error: BaseException) -> Iterator[Any]:
    tb = error.__traceback__
    while tb is not None:
        yield list(tb.tb_frame.f_code.co_positions())[tb.tb_lasti // 2]
        tb = tb.tb_next


def _columns(frame: Any, position: Any) -> Any:
    return position[2:] if CELL_FILE.fullmatch(frame.f_code.co_filename) else None


def main(side: str, chosen: list[str]) -> None:
    """Run all snippets, or the chosen ones, and write what was seen."""
    out = sys.stdout
    # A kernel has threads of its own, and from Python 3.12 on a fork beside others is warned of.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    found: dict[str, Any] = {"": __import__("IPython").__version__}
    with tempfile.TemporaryDirectory(prefix="battery-") as folder:
        os.chdir(folder)
        battery = Battery(watched=side == "watched")
        warnings.simplefilter("default")
        for name, cells in snippets().items():
            if not chosen or name in chosen:
                found[name] = battery.run(cells)
        os.chdir("/")
    json.dump(found, out, ensure_ascii=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
