"""The magics themselves."""

from __future__ import annotations

import ast
from types import CodeType
from typing import Any, ClassVar, Literal

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.display import display

from tensortoll.errors import AlreadyWatchingError, TargetError
from tensortoll.magics.options import MAGIC, parsed, parser
from tensortoll.magics.session import Cell, Session
from tensortoll.model import Source

_COROUTINE = 0x80


@magics_class
class TensorcostMagics(Magics):
    """`%%tensorcost`, `%tensorcost` and `%convcheck`."""

    names: ClassVar[dict[Literal["line", "cell"], tuple[str, ...]]] = {
        "cell": ("tensorcost",),
        "line": ("tensorcost", "convcheck"),
    }

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        """Belong to a shell and its session."""
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @cell_magic("tensorcost")
    def tensorcost_cell(self, line: str, cell: str) -> object:
        """Run the cell, and show what its tensor conversions cost.

        Cells that begin with the magic are run by IPython itself and never come here: this is for
        the others, with a second cell magic below it or called by its name. Those return the value
        of their last expression, as `%%time` does.
        """
        __tracebackhide__ = "__ipython_bottom__"
        options = parsed(line)
        if options.help:
            print(parser().format_help())
            return None
        session, watching = self._session, self._session.watching
        raw = f"{MAGIC} {line}".rstrip() + "\n" + cell
        watched = Cell(None, Source(session.name(), raw), options=options)
        outer, session._cells = session._cells, [watched]
        watching.begin(watched)
        watch = watched.watch
        try:
            value = None
            for code in self._codes(watched, cell):
                with watching.running(watched, code):
                    value = eval(code, self.shell.user_global_ns, self.shell.user_ns)
        finally:
            watching.end(watched)
            session._cells = outer
            if watch is not None and watched.ran:
                watching.hand_over(watched, watch)
        return value

    def _codes(self, cell: Cell, body: str) -> list[CodeType]:
        """Return the code of each statement, the last one of its value."""
        shell, session = self.shell, self._session
        transformed = "\n" + shell.transform_cell(body)
        name = shell.compile.cache(
            transformed, shell.displayhook.prompt_count, raw_code=cell.source.text
        )
        with shell.display_trap:
            tree = shell.transform_ast(shell.compile.ast_parse(transformed, filename=name))
        cell.awaits_tree = False
        quiet = DisplayHook.semicolon_at_end_of_expression(body)
        codes: list[CodeType] = []
        for number, node in enumerate(tree.body):
            single = number == len(tree.body) - 1 and isinstance(node, ast.Expr) and not quiet
            one: Any = ast.Expression(node.value) if single else ast.Module([node], [])
            with shell.compile.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
                code = shell.compile(one, name, "eval" if single else "exec")
            if code.co_flags & _COROUTINE:
                msg = f"{MAGIC} with another magic around it can't await at the top level."
                raise UsageError(msg)
            codes.append(session.watching.taken(cell, code))
        return codes

    @line_magic("tensorcost")
    def tensorcost_line(self, line: str) -> None:
        """`%tensorcost on` gives every later cell one line, `off` ends that, `last` tells more.

        on: from now on each cell says below it what it converted. Conversions are counted, lines
            are neither timed nor is their memory watched.
        off: no more of these lines.
        last: the whole report on the last cell that was watched.
        """
        word = line.strip()
        if word in {"on", "off"}:
            self._session.every_cell = word == "on"
            return
        if word != "last":
            msg = (
                "%tensorcost wants one of the words `on`, `off` and `last`; to watch one cell, "
                "begin it with %%tensorcost."
            )
            raise UsageError(msg)
        if not self._session.recordings:
            print("No cell was watched yet: begin one with %%tensorcost, or say %tensorcost on.")
            return
        self._session.watching.show_again()

    @no_var_expand
    @line_magic
    def convcheck(self, line: str) -> Any:
        """Evaluate an expression, and say what it converts: `%convcheck torch.tensor(x)`.

        View or copy, and the addresses that prove it; bytes read and written, casts, time beside
        what this machine can do, whether a write to one side shows in the other, and the other
        ways to get the same from the same array, measured now. The value is returned.

        `%convcheck a, t` says whether arrays that stand already share memory, and
        `%convcheck --aliases` which ones of all. `%convcheck a -> torch.float32@cpu` asks for ways
        to a target. `--max-copies N`, `--max-bytes SIZE`, `--no-casts` and `--no-transfers` make
        it raise where the expression does more.
        """
        __tracebackhide__ = True
        from tensortoll.magics.convcheck import answered, asked
        from tensortoll.report.shown import Shown

        request = asked(line)
        if not request.text and not request.aliases:
            msg = "%convcheck wants an expression: %convcheck torch.tensor(x)"
            raise UsageError(msg)
        session, names = self._session, self.shell.user_ns
        try:
            answer = answered(request, names, session.earlier_cell, tuple(session.recordings))
        except SyntaxError as error:
            msg = (
                f"%convcheck wants one Python expression, and {request.text!r} is none: {error.msg}"
            )
            raise UsageError(msg) from None
        except (AlreadyWatchingError, TargetError) as error:
            msg = f"%convcheck: {error}"
            raise UsageError(msg) from None
        display(Shown(answer.card))
        if answer.recording is not None:
            request.hold(answer.recording)
        return answer.value
