"""Runs a `%%tensorcost` cell the way IPython runs any other.

The magic's line is taken away before the cell is parsed, and the watch goes on and off with
IPython's own events. So `Out[n]`, a trailing `;`, top-level `await`, `%magics`, `!shell`,
tracebacks and failing cells are IPython's business, as ever, and a line's number is that of the
notebook's gutter. The magic itself (`tensorcost.py`) is left for what can't be run so.
"""

from __future__ import annotations

import argparse
import ast
import linecache
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

from IPython.core.inputtransformer2 import leading_indent
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

from tensortoll.advice.running import recorded
from tensortoll.capture import rewriting
from tensortoll.capture.functions import Originals, adopt, by_statement, functions_in
from tensortoll.capture.observers import Observing
from tensortoll.capture.patching import silenced
from tensortoll.capture.placeholders import baked
from tensortoll.capture.running import rewritten_for
from tensortoll.capture.sources import Sources
from tensortoll.capture.tracing import Ring
from tensortoll.capture.unseen import without_own_frames
from tensortoll.capture.watch import NOTHING, Watch, notice
from tensortoll.errors import AlreadyWatchingError, LimitError
from tensortoll.guarding import Guarded
from tensortoll.guarding.verge import charge
from tensortoll.magics.attention import attention
from tensortoll.magics.cell_text import as_run, is_native, magic_line
from tensortoll.magics.options import MAGIC, guarded, parsed
from tensortoll.magics.output import print_line, put_out
from tensortoll.model import Source
from tensortoll.recording import Recording

CHECKS: Final = "%convcheck"
"""Cells with this magic have a watch of their own: there is one at a time."""
LINE_MAGIC: Final = "%tensorcost"
"""A cell with it asks for the last one's report, or switches: it gets no line of its own."""
KEPT: Final = 50
"""Recordings kept to tell how arrays came to share memory. They hold numbers and strings only."""

Sink = Callable[[Recording, str], None]
"""Takes the recording of a cell, and the cell's name."""


@dataclass
class Cell:
    """A cell that is being run."""

    info: ExecutionInfo | None
    source: Source
    watch: Watch | None = None
    options: argparse.Namespace | None = None
    rewritten: rewriting.Rewritten | None = None
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
        self.observing = NOTHING
        """What is observed in cells without options of their own. Starting memray takes longer
        than most of them do."""
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
            self._end(self._cells.pop())
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
            self._end(self._cells.pop())
        source = Source(self.name(), as_run(info.raw_cell))
        cell = Cell(info, source)
        self._cells.append(cell)
        if len(self._cells) > 1:
            if self._cells[0].watch is not None and is_native(info.raw_cell):
                print(f"{MAGIC}: a watched cell is running: this one is counted as part of it.")
            return
        if is_native(info.raw_cell):
            cell.options = parsed(magic_line(info.raw_cell))
            self.begin(cell)
        elif self._is_watched_anyway(info.raw_cell):
            self.begin(cell)

    def _after(self, result: ExecutionResult) -> None:
        if not self._cells or self._cells[-1].info is not result.info:
            return  # the cell that loaded us
        cell = self._cells.pop()
        watched = cell.watch
        self._end(cell)
        if watched is not None and cell.ran:
            self.hand_over(cell, watched)

    def _is_watched_anyway(self, raw: str) -> bool:
        """Say whether a cell without the magic at its top is watched too."""
        if self.sink is None and (not self.every_cell or LINE_MAGIC in raw):
            return False
        return CHECKS not in raw

    # ------------------------------------------------------------------------- watching

    def name(self) -> str:
        """Return how a reader knows the cell that is run now."""
        return f"cell [{self.shell.displayhook.prompt_count}]"

    def begin(self, cell: Cell) -> None:
        """Start to watch a cell."""
        if cell.options is not None and cell.options.trace:
            cell.ring = Ring()
        watch = Watch(Sources(self.earlier_cell), observing=self._observing(cell), ring=cell.ring)
        try:
            watch.start(cell.source.text or "")
        except AlreadyWatchingError as error:
            print(f"{MAGIC}: {error} The cell runs without a report.")
            return
        cell.watch = watch
        cell.guard = None if cell.options is None else guarded(cell.options)
        if cell.guard is not None:
            cell.guard.__enter__()
        self._adopt(watch)
        self.shell.ast_transformers.append(self)
        self._wrap_run_code()
        self._wrap_showtraceback()

    def _observing(self, cell: Cell) -> Observing:
        options = cell.options
        if options is None:
            return self.observing
        return Observing(not options.no_memory, not options.no_time, attention(self.shell))

    def _adopt(self, watch: Watch) -> None:
        """Let functions that earlier cells defined without a watch be seen into."""

        def rewrite(filename: str) -> Iterator[CodeType]:
            source = self.earlier_cell(filename)
            if source is None:
                return
            tree = ast.parse("".join(linecache.getlines(filename)))
            rewritten = rewriting.rewrite(
                tree, source, watch.rewrites, watch.explicit, self.shell.user_ns
            )
            flags = self.shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            for code in by_statement(rewritten.tree, filename, flags):
                yield baked(code, rewritten.expressions)

        try:
            with silenced():  # the user was warned when the cell was run
                adopt(functions_in(self.shell.user_ns), rewrite)
        except Exception as error:
            watch.recorder.fault("rewriting functions of earlier cells", error)

    def _end(self, cell: Cell) -> None:
        """Stop watching a cell, if it is."""
        if cell.watch is None:
            return
        try:
            _end_guard(cell)
            cell.watch.stop()
        finally:
            if self in self.shell.ast_transformers:
                self.shell.ast_transformers.remove(self)
            vars(self.shell).pop("run_code", None)
            vars(self.shell).pop("showtraceback", None)
            cell.watch.restore_names(self.shell.user_ns)
            cell.watch = None

    def _wrap_run_code(self) -> None:
        run_code = self.shell.run_code

        async def watched(code_obj: CodeType, result: Any = None, *, async_: bool = False) -> bool:
            cell = self._cells[-1] if self._cells else None
            if cell is None:
                return bool(await run_code(code_obj, result, async_=async_))
            code_obj = self.taken(cell, code_obj)
            with self.running(cell, code_obj):
                return bool(await run_code(code_obj, result, async_=async_))

        self.shell.run_code = watched

    def _wrap_showtraceback(self) -> None:
        showtraceback = self.shell.showtraceback

        def shown(exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
            if (error := (exc_tuple or sys.exc_info())[1]) is not None:
                charge(error)
                notice(error)
                without_own_frames(error)
            showtraceback(exc_tuple, *args, **kwargs)

        self.shell.showtraceback = shown

    def taken(self, cell: Cell, code: CodeType) -> CodeType:
        """Return a statement's code with our expressions in it, and know it as the cell's."""
        watch = self._cells[0].watch if self._cells else cell.watch
        if watch is not None:
            watch.sources.add(code.co_filename, cell.source)
            if cell.rewritten is not None and not cell.ran:
                flags = self.shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                originals = Originals(
                    cell.rewritten.original, code.co_filename, flags, by_statement
                )
                watch.texts.add(code.co_filename, originals)
        cell.ran = True
        code = baked(code, cell.rewritten.expressions if cell.rewritten else {})
        return code if watch is None else watch.observers.timed(code)

    def running(self, cell: Cell, code: CodeType) -> AbstractContextManager[None]:
        """Observe a block that runs the code that `taken` returned."""
        watch = self._cells[0].watch if self._cells else cell.watch
        return nullcontext() if watch is None else watch.observers.running(code)

    def visit(self, tree: ast.Module) -> ast.Module:
        """Rewrite the tree of the cell that is about to run; IPython calls this."""
        cell = self._cells[-1] if self._cells else None
        watch = self._cells[0].watch if self._cells else None
        if cell is None or watch is None or not cell.awaits_tree:
            return tree
        cell.awaits_tree = False
        cell.rewritten = rewritten_for(watch, tree, cell.source, self.shell.user_ns)
        return cell.rewritten.tree

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

    # ------------------------------------------------------------------------ reporting

    def hand_over(self, cell: Cell, watch: Watch) -> None:
        """Show and keep what was seen of a cell."""
        recording = recorded(watch, cell.source, self.shell.user_ns)
        self.recordings.append(recording)
        options = cell.options
        if self.sink is not None:
            self.sink(recording, cell.source.name)
        if options is not None:
            put_out(recording, cell.source.name, options, self.shell.user_ns, cell.ring)
        elif self.every_cell:
            print_line(recording)


def _end_guard(cell: Cell) -> None:
    guard, cell.guard = cell.guard, None
    if guard is None:
        return
    try:
        guard.__exit__(None, None, None)
    except LimitError as error:  # of a conversion that no line of the cell's made
        print(f"{MAGIC}: {error}")


def _is_nested() -> bool:
    """Say whether the cell that begins is run by another one, `get_ipython().run_cell(…)`."""
    running = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        running += frame.f_code.co_name == "run_cell_async"
        frame = frame.f_back
    return running > 1
