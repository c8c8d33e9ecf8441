"""Functions whose code was rewritten: as written again once the watch ends, rewritten in the next.

A function outlives the cell that defined it. Left rewritten, it would be slower for ever and
strange to whoever reads its bytecode (`torch.compile`, numba, cloudpickle); so it carries our
expressions only while a watch is on.
"""

from __future__ import annotations
import __future__

import ast
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

from tensortoll.capture.patching import silenced
from tensortoll.capture.runtime.expressions import FUNCTIONS


class Twins(NamedTuple):
    """The two forms of a function's code."""

    original: CodeType
    rewritten: CodeType


_OF_FUNCTION: Final[weakref.WeakKeyDictionary[Any, Twins]] = weakref.WeakKeyDictionary()


Compile = Callable[[ast.Module, str, int], Iterable[CodeType]]
"""Compiles a tree under a file name, with flags for `compile`."""


def as_a_whole(tree: ast.Module, filename: str, flags: int = 0) -> Iterator[CodeType]:
    """Compile a text as Python compiles a script."""
    yield compile(tree, filename, "exec", flags=flags, dont_inherit=True)


def by_statement(tree: ast.Module, filename: str, flags: int = 0) -> Iterator[CodeType]:
    """Compile each statement by itself, as IPython does.

    So a text may hold what no module may: a `from __future__` further down.
    """
    for statement in tree.body:
        alone = ast.Module([statement], [])
        yield compile(alone, filename, "exec", flags=flags, dont_inherit=True)
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for one in statement.names:
                flags |= getattr(__future__, one.name).compiler_flag


class Originals:
    """The codes of one text as written, to be found by where they stand in it."""

    def __init__(
        self, tree: ast.Module, filename: str, flags: int = 0, compile_: Compile = as_a_whole
    ) -> None:
        """Keep the text; it is compiled when first asked for.

        Args:
            tree: As written.
            filename: That the rewritten codes have.
            flags: For `compile`.
            compile_: How the text itself is compiled.
        """
        self._compile = compile_
        self._tree = tree
        self._filename = filename
        self._flags = flags
        self._codes: dict[tuple[object, ...], CodeType] | None = None

    def of(self, rewritten: CodeType) -> CodeType | None:
        """Return the code of the same function as written."""
        if self._codes is None:
            with silenced():  # the user was warned when the text itself was compiled
                codes = tuple(self._compile(self._tree, self._filename, self._flags))
            self._codes = {_standing(one): one for code in codes for one in nested(code)}
        found = self._codes.get(_standing(rewritten))
        # A closure's cells are looked up by position: they must be the same.
        if found is None or found.co_freevars != rewritten.co_freevars:
            return None
        return found


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield all code objects inside of ``code``."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from nested(constant)


def _standing(code: CodeType) -> tuple[object, ...]:
    """Return where a code object's text stands: the same as written and rewritten."""
    if not code.co_name.startswith("<"):
        # No two `def` or `class` begin on one line. Columns would not do: what we put at the
        # start of a body may stand before the first thing that is evaluated there.
        return code.co_qualname, code.co_firstlineno
    # Two lambdas on one line differ in nothing but their columns.
    known = [p for p in code.co_positions() if None not in p and p[:1] + p[2:3] != p[1:2] + p[3:4]]
    starts = [(p[0], p[2]) for p in known]
    ends = [(p[1], p[3]) for p in known]
    return code.co_qualname, min(starts, default=None), max(ends, default=None)


class Texts:
    """The texts that were rewritten while a watch was on."""

    def __init__(self) -> None:
        """Start without any."""
        self._originals: dict[str, list[Originals]] = {}

    def add(self, filename: str, originals: Originals) -> None:
        """Take in one more text, or part of one, of a file."""
        self._originals.setdefault(filename, []).append(originals)

    def as_written(self) -> None:
        """Give every function that was defined meanwhile its own code back."""
        for function in tuple(FUNCTIONS):
            if isinstance(function, FunctionType) and function not in _OF_FUNCTION:
                twins = self._twins(function)
                if twins is not None:
                    _OF_FUNCTION[function] = twins
        for function, twins in tuple(_OF_FUNCTION.items()):
            if function.__code__ is twins.rewritten:
                function.__code__ = twins.original

    def _twins(self, function: FunctionType) -> Twins | None:
        code = function.__code__
        for originals in self._originals.get(code.co_filename, ()):
            original = originals.of(code)
            if original is not None:
                return Twins(original, code)
        return None


Rewrite = Callable[[str], Iterable[CodeType]]
"""Returns the rewritten code of the text with this file name, in any number of pieces."""


def adopt(functions: Iterable[FunctionType], rewrite: Rewrite) -> None:
    """Have functions of texts that were run without a watch carry our expressions too.

    Args:
        functions: Of the user's.
        rewrite: Asked once for each file.
    """
    codes: dict[str, dict[tuple[object, ...], CodeType]] = {}
    for function in functions:
        code = function.__code__
        if function in _OF_FUNCTION:
            continue
        if code.co_filename not in codes:
            pieces = rewrite(code.co_filename)
            codes[code.co_filename] = {
                _standing(one): one for piece in pieces for one in nested(piece)
            }
        twin = codes[code.co_filename].get(_standing(code))
        if twin is not None and twin.co_freevars == code.co_freevars:
            _OF_FUNCTION[function] = Twins(code, twin)


def functions_in(namespace: Mapping[str, Any]) -> Iterator[FunctionType]:
    """Yield the functions that a namespace names, and the methods of its own classes."""
    for value in tuple(namespace.values()):
        # Not `isinstance`, which asks the object for its `__class__`: a proxy would wake up.
        if type(value) is FunctionType:
            yield value
        elif issubclass(type(value), type) and vars(value).get("__module__") == namespace.get(
            "__name__"
        ):
            for member in tuple(vars(value).values()):
                yield from _plain_functions(member)


def _plain_functions(member: object) -> Iterator[FunctionType]:
    parts: tuple[object, ...] = (member,)
    if type(member) in (staticmethod, classmethod):
        parts = (member.__func__,)  # type: ignore[attr-defined]
    elif type(member) is property:
        parts = (member.fget, member.fset)
    yield from (part for part in parts if type(part) is FunctionType)


def as_rewritten(kept: Mapping[str, Any]) -> None:
    """Have functions of earlier texts carry our expressions again.

    Args:
        kept: Names that the text about to run hands to compilers; those are left as written.
    """
    left = {id(value) for value in kept.values()}
    for function, twins in tuple(_OF_FUNCTION.items()):
        if (
            id(function) not in left
            and function.__code__ is twins.original
            and not _is_compiled(twins.original)
        ):
            function.__code__ = twins.rewritten


def _is_compiled(code: CodeType) -> bool:
    """Say whether `torch.compile` has work of its own stored with this code."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    look = getattr(dynamo, "_debug_get_cache_entry_list", None)
    return bool(look(code)) if callable(look) else False
