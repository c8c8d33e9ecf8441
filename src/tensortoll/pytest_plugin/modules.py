"""The project's own functions carry our expressions while a test is watched.

pytest rewrites the `assert` statements of tests as it imports them. Here the same is done once
more, to the text in which conversions are wrapped, so that both are in what runs; the functions
get their own code back when the watch ends. See `capture.functions`.
"""

from __future__ import annotations

import ast
import copy
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import pytest

from tensortoll.capture.patching import silenced
from tensortoll.capture.rewriting.functions import Originals, adopt, as_rewritten, functions_in
from tensortoll.capture.rewriting.placeholders import PLACEHOLDER, baked
from tensortoll.capture.rewriting.rewriter import rewrite
from tensortoll.capture.text.compilers import BLIND_SPOT, in_play
from tensortoll.capture.text.sources import Sources, is_library
from tensortoll.capture.watch import Watch
from tensortoll.model import Source

ASSERTIONS: Final = "@pytest_ar"
"""The name that pytest gives to its own module, in modules whose assertions it has rewritten."""


class Modules:
    """The modules below pytest's root folder, in one run."""

    def __init__(self, config: pytest.Config) -> None:
        """Start without any."""
        self._config = config
        self._seen: set[int] = set()
        self._kept: list[ModuleType] = []
        """Those that were seen, so that no other takes the address of one."""
        self._originals: dict[str, Originals] = {}
        self.sources = Sources(self._source)
        """What conversions are charged to: by the path from the root folder, on any machine."""

    def _source(self, filename: str) -> Source | None:
        if is_library(filename):
            return None
        linecache.checkcache(filename)  # one process may see several runs
        text = "".join(linecache.getlines(filename))
        path = Path(filename)
        if path.is_relative_to(self._config.rootpath):
            return Source(path.relative_to(self._config.rootpath).as_posix(), text or None)
        return Source(filename, text or None)

    def rewrite(self, watch: Watch, module: ModuleType | None) -> None:
        """Have all functions carry our expressions until ``watch`` ends."""
        try:
            for one in self._new(module):
                self._adopt(watch, one)
        except Exception as error:
            watch.recorder.fault("rewriting the tests' modules", error)
        for filename, originals in self._originals.items():
            watch.texts.add(filename, originals)
        as_rewritten({})

    def _new(self, module: ModuleType | None) -> Iterator[ModuleType]:
        """Yield the modules of the project that came since the last test."""
        for one in (module, *tuple(sys.modules.values())):
            if one is None or id(one) in self._seen or type(one) is not ModuleType:
                continue
            self._seen.add(id(one))
            self._kept.append(one)
            file = vars(one).get("__file__")
            if (
                isinstance(file, str)
                and file.endswith(".py")
                and not is_library(file)
                and Path(file).is_relative_to(self._config.rootpath)
            ):
                yield one

    def _adopt(self, watch: Watch, module: ModuleType) -> None:
        names = vars(module)

        def rewritten(filename: str) -> Iterator[CodeType]:
            source = self.sources.of(filename)
            if source is None or source.text is None:
                return
            tree = ast.parse(source.text)
            if in_play(tree, names):
                watch.recorder.blind_spot(BLIND_SPOT)
                return
            found = rewrite(tree, source, watch.rewrites, watch.explicit, names)
            if found.error is not None:
                raise found.error
            self._originals[filename] = Originals(
                found.original, filename, compile_=self._compiled_like(names)
            )
            compile_ = self._compiled_like(names)
            for code in compile_(_Opaque().visit(found.tree), filename, 0):
                yield baked(code, found.expressions)

        own = (one for one in _functions(names) if one.__globals__ is names)
        with silenced():  # whoever imported the module was warned
            adopt(own, rewritten)

    def _compiled_like(self, names: dict[str, Any]) -> Any:
        """Return what compiles a text as pytest has compiled the module with these names."""

        def compiled(tree: ast.Module, filename: str, flags: int = 0) -> Iterator[CodeType]:
            if ASSERTIONS in names:
                from _pytest.assertion.rewrite import rewrite_asserts

                tree = copy.deepcopy(tree)
                text = Path(filename).read_bytes()
                rewrite_asserts(tree, text, filename, self._config)
            yield compile(tree, filename, "exec", flags=flags, dont_inherit=True)

        return compiled


def _functions(names: dict[str, Any]) -> Iterator[FunctionType]:
    """Yield the functions of a module, those inside of decorators' wrappers included."""
    waiting = list(functions_in(names))
    done: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        yield one
        for cell in one.__closure__ or ():
            try:
                inner = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if type(inner) is FunctionType:
                waiting.append(inner)
        wrapped = vars(one).get("__wrapped__")
        if type(wrapped) is FunctionType:
            waiting.append(wrapped)


class Wrapped(ast.Call):
    """A call of ours around an expression.

    pytest takes the calls in an `assert` apart, to show the parts. A node of a type that it does
    not know it takes as a whole: so it shows the value, and not what we have put around.
    """


class _Opaque(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Make the calls of ours known by their type."""
        self.generic_visit(node)
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Constant)
            and isinstance(function.value.value, str)
            and function.value.value.startswith(PLACEHOLDER)
        ):
            return ast.copy_location(Wrapped(function, node.args, node.keywords), node)
        return node
