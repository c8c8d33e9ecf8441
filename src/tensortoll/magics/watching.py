"""One shell's cells under watch: from the first hook to what came of it.

Imported with the first cell that is watched: `%load_ext` is to cost next to nothing.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from types import CodeType
from typing import TYPE_CHECKING, Any

from IPython.display import display

from tensortoll.advice import advised
from tensortoll.advice.running import recorded
from tensortoll.capture.counting.tracing import Ring
from tensortoll.capture.observers import Observing
from tensortoll.capture.patching import silenced
from tensortoll.capture.rewriting import rewriter
from tensortoll.capture.rewriting.functions import Originals, adopt, by_statement, functions_in
from tensortoll.capture.rewriting.placeholders import baked
from tensortoll.capture.rewriting.statements import is_look
from tensortoll.capture.running import rewritten_for
from tensortoll.capture.text.sources import Sources
from tensortoll.capture.unseen import without_own_frames
from tensortoll.capture.watch import NOTHING, Watch, notice
from tensortoll.errors import AlreadyWatchingError, LimitError
from tensortoll.guarding.verge import charge
from tensortoll.magics.attention import attention
from tensortoll.magics.options import MAGIC, guarded
from tensortoll.magics.output import print_line, put_out
from tensortoll.report import build_all
from tensortoll.report.shown import Shown

if TYPE_CHECKING:
    from tensortoll.capture.runtime.evidence import Evidence
    from tensortoll.magics.session import Cell, Session
    from tensortoll.recording import Recording


class Watching:
    """Starts and ends the watch of a session's cells."""

    def __init__(self, session: Session) -> None:
        """Belong to ``session``."""
        self._session = session
        self._shell = session.shell
        self._last = ""
        """The name of the last cell that was watched."""
        self._untried: tuple[Recording, Evidence] | None = None
        """The last cell of those that get one line, with what its advice is made of."""

    def begin(self, cell: Cell) -> None:
        """Start to watch a cell."""
        if cell.options is not None and cell.options.trace:
            cell.ring = Ring()
        sources = Sources(self._session.earlier_cell)
        watch = Watch(sources, observing=self._observing(cell), ring=cell.ring)
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
        self._shell.ast_transformers.append(self._session)
        self._wrap_run_code()
        self._wrap_showtraceback()

    def _observing(self, cell: Cell) -> Observing:
        options = cell.options
        if options is None:
            return self._session.observing or NOTHING
        return Observing(not options.no_memory, not options.no_time, attention(self._shell))

    def _adopt(self, watch: Watch) -> None:
        """Let functions that earlier cells defined without a watch be seen into."""

        def rewrite(filename: str) -> Iterator[CodeType]:
            source = self._session.earlier_cell(filename)
            if source is None:
                return
            tree = ast.parse("".join(linecache.getlines(filename)))
            rewritten = rewriter.rewrite(
                tree, source, watch.rewrites, watch.explicit, self._shell.user_ns
            )
            flags = self._shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            for code in by_statement(rewritten.tree, filename, flags):
                yield baked(code, rewritten.expressions)

        try:
            with silenced():  # the user was warned when the cell was run
                adopt(functions_in(self._shell.user_ns), rewrite)
        except Exception as error:
            watch.recorder.fault("rewriting functions of earlier cells", error)

    def end(self, cell: Cell) -> None:
        """Stop watching a cell, if it is."""
        if cell.watch is None:
            return
        try:
            _end_guard(cell)
            cell.watch.stop()
        finally:
            if self._session in self._shell.ast_transformers:
                self._shell.ast_transformers.remove(self._session)
            vars(self._shell).pop("run_code", None)
            vars(self._shell).pop("showtraceback", None)
            cell.watch.restore_names(self._shell.user_ns)
            cell.watch = None

    def _wrap_run_code(self) -> None:
        run_code = self._shell.run_code

        async def watched(code_obj: CodeType, result: Any = None, *, async_: bool = False) -> bool:
            cell = self._session._cells[-1] if self._session._cells else None
            if cell is None:
                return bool(await run_code(code_obj, result, async_=async_))
            code_obj = self.taken(cell, code_obj)
            with self.running(cell, code_obj):
                return bool(await run_code(code_obj, result, async_=async_))

        self._shell.run_code = watched

    def _wrap_showtraceback(self) -> None:
        showtraceback = self._shell.showtraceback

        def shown(exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
            if (error := (exc_tuple or sys.exc_info())[1]) is not None:
                charge(error)
                notice(error)
                without_own_frames(error)
            showtraceback(exc_tuple, *args, **kwargs)

        self._shell.showtraceback = shown

    def taken(self, cell: Cell, code: CodeType) -> CodeType:
        """Return a statement's code with our expressions in it, and know it as the cell's."""
        watch = self._session._cells[0].watch if self._session._cells else cell.watch
        if watch is not None:
            watch.sources.add(code.co_filename, cell.source)
            if cell.rewritten is not None and not cell.ran:
                flags = self._shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                originals = Originals(
                    cell.rewritten.original, code.co_filename, flags, by_statement
                )
                watch.texts.add(code.co_filename, originals)
        cell.ran = True
        code = baked(code, cell.rewritten.expressions if cell.rewritten else {})
        if watch is None or is_look(code):
            return code  # on the line of a statement of the user's, which has its own hits
        return watch.observers.timed(code)

    def running(self, cell: Cell, code: CodeType) -> AbstractContextManager[None]:
        """Observe a block that runs the code that `taken` returned."""
        watch = self._session._cells[0].watch if self._session._cells else cell.watch
        return nullcontext() if watch is None else watch.observers.running(code)

    def visit(self, tree: ast.Module) -> ast.Module:
        """Rewrite the tree of the cell that is about to run; see `Session.visit`."""
        cell = self._session._cells[-1] if self._session._cells else None
        watch = self._session._cells[0].watch if self._session._cells else None
        if cell is None or watch is None or not cell.awaits_tree:
            return tree
        cell.awaits_tree = False
        cell.rewritten = rewritten_for(watch, tree, cell.source, self._shell.user_ns)
        return cell.rewritten.tree

    def hand_over(self, cell: Cell, watch: Watch) -> None:
        """Show and keep what was seen of a cell."""
        options = cell.options
        if options is None and self._session.sink is None:
            # One line tells of no advice, and trying it out takes longer than most cells do.
            recording = watch.recording((cell.source,))
            self._untried = recording, watch.evidence
        else:
            recording = recorded(watch, cell.source, self._shell.user_ns)
        self._session.recordings.append(recording)
        self._last = cell.source.name
        if self._session.sink is not None:
            self._session.sink(recording, cell.source.name)
        if options is not None:
            put_out(recording, cell.source.name, options, self._shell.user_ns, cell.ring)
        elif self._session.every_cell:
            print_line(recording)

    def show_again(self) -> None:
        """Show the whole report on the last cell that was watched."""
        recordings = self._session.recordings
        if self._untried is not None and recordings[-1] is self._untried[0]:
            recordings[-1] = advised(*self._untried, self._shell.user_ns)
        self._untried = None
        display(Shown(*build_all(recordings[-1], ran=self._last)))


def _end_guard(cell: Cell) -> None:
    guard, cell.guard = cell.guard, None
    if guard is None:
        return
    try:
        guard.__exit__(None, None, None)
    except LimitError as error:  # of a conversion that no line of the cell's made
        print(f"{MAGIC}: {error}")
