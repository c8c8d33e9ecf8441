"""Runs a `%%tensorcost` cell the way IPython runs any other.

The magic's line is taken away before the cell is parsed, and the watch goes on and off with
IPython's own events. So `Out[n]`, a trailing `;`, top-level `await`, `%magics`, `!shell`,
tracebacks and failing cells are IPython's business, as ever, and a line's number is that of the
notebook's gutter. The magic itself (`tensorcost.py`) is left for what can't be run so.
"""

from __future__ import annotations

import linecache
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Final

from IPython.core.inputtransformer2 import leading_indent
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

from tensortoll.magics.cell_text import as_run, is_native, magic_line
from tensortoll.magics.options import MAGIC, parsed
from tensortoll.model import Source

if TYPE_CHECKING:
    # Loaded with the first cell that is watched: `%load_ext` is to cost next to nothing.
    import argparse
    import ast

    from tensortoll.capture.counting.tracing import Ring
    from tensortoll.capture.observers import Observing
    from tensortoll.capture.rewriting.rewriter import Rewritten
    from tensortoll.capture.watch import Watch
    from tensortoll.guarding import Guarded
    from tensortoll.magics.watching import Watching
    from tensortoll.recording import Recording

CHECKS: Final = "%convcheck"
"""Cells with this magic have a watch of their own: there is one at a time."""
LINE_MAGIC: Final = "%tensorcost"
"""A cell with it asks for the last one's report, or switches: it gets no line of its own."""
KEPT: Final = 50
"""Recordings kept to tell how arrays came to share memory. They hold numbers and strings only."""

Sink = Callable[["Recording", str], None]
"""Takes the recording of a cell, and the cell's name."""


@dataclass
class Cell:
    """A cell that is being run."""

    info: ExecutionInfo | None
    source: Source
    watch: Watch | None = None
    options: argparse.Namespace | None = None
    rewritten: Rewritten | None = None
    awaits_tree: bool = True
    """Whether the cell's own tree has yet to come by; later ones are those of nested magics."""
    ran: bool = False
    ring: Ring | None = None
    """Holds the single events, where a trace is asked for."""
    guard: Guarded | None = None
    """The limits that its magic's line sets, while they hold."""


class Session:
    """One shell's cells, as far as they are watched."""

    def __init__(self, shell: InteractiveShell) -> None:
        """Belong to ``shell``; nothing is changed before `install`."""
        self.shell = shell
        self.recordings: deque[Recording] = deque(maxlen=KEPT)
        """Of the last cells that were watched, the newest last."""
        self.sink: Sink | None = None
        """Where the recording of every cell goes, `%%tensorcost` or not; None for none."""
        self.observing: Observing | None = None
        """What is observed in cells without options of their own; None for nothing. Starting
        memray takes longer than most of them do."""
        self.every_cell = False
        """Whether cells without the magic get a line too; see `%tensorcost on`."""
        self._cells: list[Cell] = []

    # -------------------------------------------------------------- in and out of IPython

    def install(self) -> None:
        """Hook into the shell."""
        self.shell.input_transformers_cleanup.append(self.without_magic)
        self.shell.events.register("pre_run_cell", self._before)
        self.shell.events.register("post_run_cell", self._after)

    def uninstall(self) -> None:
        """Leave the shell as it was found."""
        while self._cells:
            self.watching.end(self._cells.pop())
        for hooks in (self.shell.input_transformers_cleanup, self.shell.ast_transformers):
            hooks[:] = [one for one in hooks if one not in (self, self.without_magic)]
        self.shell.events.unregister("pre_run_cell", self._before)
        self.shell.events.unregister("post_run_cell", self._after)

    def without_magic(self, lines: list[str]) -> list[str]:
        """Take the magic's line away, if the cell can be run natively; see the module.

        Called for every cell and at any time, so it changes nothing else.
        """
        if not lines or not is_native("".join(lines)):
            return lines
        if self._cells and not is_native(self._cells[-1].source.text or ""):
            # Another magic's body, in mid-run (`%%time` above us): IPython will call the magic.
            return lines
        return ["\n", *leading_indent(lines[1:])]

    def _before(self, info: ExecutionInfo) -> None:
        while self._cells and not _is_nested():
            # The last cell was torn away without its end: an interrupt inside of IPython.
            self.watching.end(self._cells.pop())
        source = Source(self.name(), as_run(info.raw_cell))
        cell = Cell(info, source)
        self._cells.append(cell)
        if len(self._cells) > 1:
            if self._cells[0].watch is not None and is_native(info.raw_cell):
                print(f"{MAGIC}: a watched cell is running: this one is counted as part of it.")
            return
        if is_native(info.raw_cell):
            cell.options = parsed(magic_line(info.raw_cell))
            self.watching.begin(cell)
        elif self._is_watched_anyway(info.raw_cell):
            self.watching.begin(cell)

    def _after(self, result: ExecutionResult) -> None:
        if not self._cells or self._cells[-1].info is not result.info:
            return  # the cell that loaded us
        cell = self._cells.pop()
        watched = cell.watch
        if watched is None:
            return
        self.watching.end(cell)
        if cell.ran:
            self.watching.hand_over(cell, watched)

    def _is_watched_anyway(self, raw: str) -> bool:
        """Say whether a cell without the magic at its top is watched too."""
        if self.sink is None and (not self.every_cell or LINE_MAGIC in raw):
            return False
        return CHECKS not in raw

    # ------------------------------------------------------------------------- watching

    @cached_property
    def watching(self) -> Watching:
        """What watches the cells."""
        from tensortoll.magics.watching import Watching

        return Watching(self)

    def name(self) -> str:
        """Return how a reader knows the cell that is run now."""
        return f"cell [{self.shell.displayhook.prompt_count}]"

    def visit(self, tree: ast.Module) -> ast.Module:
        """Rewrite the tree of the cell that is about to run; IPython calls this."""
        return self.watching.visit(tree)

    def earlier_cell(self, filename: str) -> Source | None:
        """Return the cell that a code object of an earlier one belongs to."""
        numbers: dict[str, int] = getattr(self.shell.compile, "_filename_map", {})
        number = numbers.get(filename)
        if number is None:
            return None
        text = "".join(linecache.getlines(filename))
        history = getattr(self.shell.history_manager, "input_hist_raw", [])
        if number < len(history) and len(history[number].splitlines()) == len(text.splitlines()):
            text = history[number]
        return Source(f"cell [{number}]", text)


def _is_nested() -> bool:
    """Say whether the cell that begins is run by another one, `get_ipython().run_cell(…)`."""
    running = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        running += frame.f_code.co_name == "run_cell_async"
        frame = frame.f_back
    return running > 1
