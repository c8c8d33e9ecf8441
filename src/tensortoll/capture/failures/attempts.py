"""Which call raised, on which line of the user's, and what it was given.

All of it is read from the traceback. Where a library's own Python called the function in C that
raised, its frames still hold the very objects; where the user's line called it, its first argument
was noted by the rewritten expression, and the others are found again from their text.
"""

from __future__ import annotations

import ast
import dis
import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Final

from tensortoll.capture.failures.evaluating import UNKNOWN, Scope, variables
from tensortoll.capture.text.calls import named, stored_value, written_at
from tensortoll.capture.text.signs import parsed
from tensortoll.capture.text.sources import Sources, is_own
from tensortoll.model import Place, Source

STORE: Final = "[]="
"""The name of a store into an array, among those of calls."""
_STORES: Final = frozenset(
    dis.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in dis.opmap
)
LED: Final = 4
"""So many errors that led to the one that was raised are looked at."""

HOLDERS: Final = {
    ("traceback_utils.py", "error_handler"): ("args", "kwargs"),
    ("weak_tensor_ops.py", "wrapper"): ("args", "kwargs"),
    ("constant_op.py", "convert_to_eager_tensor"): ("value",),
    ("tensor_util.py", "make_tensor_proto"): ("values",),
    ("tensor.py", "__array__"): ("self",),
    ("tensor.py", "__tf_tensor__"): ("self",),
    ("api.py", "_call_unconverted"): ("args",),
    ("arrays.py", "numpy"): ("self",),
    ("arrays.py", "__array__"): ("self",),
    ("reads.py", "numpy"): ("self",),
}
"""Frames of TensorFlow's, and of our own hooks, that hold what was to be converted: the file, the
function, and its variables."""


@dataclass
class Attempt:
    """A call that raised. It lives no longer than the look at it."""

    error: BaseException
    source: Source
    line: int
    expression: str
    """The call as the user wrote it."""
    name: str
    """The own name of what was called, `numpy`, `from_numpy`; an operator's sign."""
    library: str
    """Whose function was called; empty where it is a method, an operator or not known."""
    argument: str = ""
    """The first operand as the user wrote it."""
    operands: list[Any] = field(default_factory=list)
    """Receiver and arguments, as far as they are known."""
    arguments: list[str] = field(default_factory=list)
    """The first ones of these as the user wrote them."""
    keywords: dict[str, Any] = field(default_factory=dict)
    inner_name: str = ""
    """What the innermost Python function called."""

    def written(self, operand: Any) -> str:
        """Return how the user wrote an operand; empty where that is not known."""
        pairs = zip(self.operands, self.arguments, strict=False)
        return next((text for one, text in pairs if one is operand), "")

    @property
    def text(self) -> str:
        """What the library says."""
        return str(self.error)

    @property
    def computes(self) -> bool:
        """Whether the line called a library or used an operator, on something not known now."""
        called = self.name == "operator" or self.library in {"torch", "tensorflow"}
        methods = bool(self.name) and not self.library
        return (called or methods) and any(one is UNKNOWN for one in self.operands)


@dataclass(frozen=True)
class Step:
    """A frame of a traceback, and where it stood."""

    frame: FrameType
    offset: int
    line: int


def steps(first: TracebackType | None) -> Iterator[Step]:
    """Yield the frames of a traceback, the outermost first."""
    while first is not None:
        yield Step(first.tb_frame, first.tb_lasti, first.tb_lineno)
        first = first.tb_next


def chain(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised in place of."""
    found = [error]
    while len(found) < LED:
        before = found[-1].__cause__ or found[-1].__context__
        traced = hasattr(found[-1], "ag_error_metadata")  # raised anew by TensorFlow
        led = found[-1].__suppress_context__ or traced
        if before is None or before in found or not led:
            break
        found.append(before)
    return found


def attempt(
    error: BaseException, sources: Sources, given: tuple[Place, Any] | None = None
) -> Attempt | None:
    """Return what raised ``error``, or None where no line of the user's did.

    Args:
        error: As it was caught.
        sources: What counts as the user's code.
        given: The last rewritten call that did not return, and what it was given.
    """
    stack = list(steps(error.__traceback__))
    mine = [one for one in stack if sources.of(one.frame.f_code.co_filename) is not None]
    if not mine:
        return None
    step = mine[-1]
    source = sources.of(step.frame.f_code.co_filename)
    assert source is not None
    lines = source.text.splitlines(keepends=True) if source.text else None
    found = _read(step, source, lines, error)
    inner = [one for one in stack[stack.index(step) + 1 :] if not _is_hook(one.frame)]
    if inner:
        inside = _read(inner[-1], source, None, error)
        found.inner_name = inside.name
        known = [one for one in inside.operands if one is not UNKNOWN]
        found.operands += known
    if given is not None and (given[0].line, given[0].expression) == (found.line, found.expression):
        found.operands[:1] = [given[1]]
    found.operands += (one for one in _held(error) if one is not None)
    _in_traced_code(found, error, sources)
    return found


def _is_hook(frame: FrameType) -> bool:
    return is_own(frame.f_code.co_filename)


def _read(step: Step, source: Source, lines: list[str] | None, error: BaseException) -> Attempt:
    """Read the call at which a frame stood."""
    frame = step.frame
    if lines is None:
        lines = linecache.getlines(frame.f_code.co_filename)
    extent, text = written_at(frame.f_code, step.offset, step.line, lines)
    node = parsed(text.removeprefix("."))
    scope = Scope(frame)
    found = Attempt(error, source, extent.line, text, "", "")
    if isinstance(node, ast.Await):
        node = node.value
    match node:
        case ast.Call():
            own, shown = named(node.func, frame)
            found.name = own
            whose = scope.value(node.func)
            home = getattr(whose, "__module__", None)
            if whose is not UNKNOWN and isinstance(home, str) and not home.startswith("tensortoll"):
                found.library = home.partition(".")[0]
            elif not shown.startswith("."):
                found.library = shown.partition(".")[0]
            arguments = [one for one in node.args if not isinstance(one, ast.Starred)]
            if isinstance(node.func, ast.Attribute) and not _is_function(whose):
                arguments.insert(0, node.func.value)
            found.keywords = {
                one.arg: scope.value(one.value) for one in node.keywords if one.arg is not None
            }
            _operands(found, arguments, scope)
        case ast.BinOp() | ast.Compare():
            found.name = "operator"
            right = [node.right] if isinstance(node, ast.BinOp) else node.comparators
            _operands(found, [node.left, *right], scope)
        case None:
            _augmented(found, text, scope)
    if isinstance(node, ast.Subscript) and frame.f_code.co_code[step.offset] in _STORES:
        found.name = STORE
        found.library = type(scope.value(node.value)).__module__.partition(".")[0]
        value = stored_value(extent, lines)
        _operands(found, [value] if value is not None else [], scope)
    return found


def _is_function(value: Any) -> bool:
    """Say whether what was called is a module's function rather than a method."""
    return value is not UNKNOWN and getattr(value, "__self__", None).__class__.__name__ in {
        "NoneType",
        "module",
    }


def _augmented(found: Attempt, text: str, scope: Scope) -> None:
    try:
        statement = ast.parse(text.strip()).body[0]
    except (SyntaxError, IndexError, ValueError):
        return
    if isinstance(statement, ast.AugAssign):
        found.name = "operator"
        _operands(found, [statement.target, statement.value], scope)


def _operands(found: Attempt, nodes: list[ast.expr], scope: Scope) -> None:
    if nodes:
        found.arguments = [ast.unparse(one) for one in nodes]
        found.argument = found.arguments[0]
    found.operands = [scope.value(one) for one in nodes]


def _held(error: BaseException) -> Iterator[Any]:
    """Yield what frames of libraries hold that were converting."""
    for one in chain(error):
        if isinstance(one, AttributeError):
            yield one.obj
        for step in steps(one.__traceback__):
            code = step.frame.f_code
            names = HOLDERS.get((code.co_filename.rpartition("/")[2], code.co_name), ())
            if not names and code.co_filename.rpartition("/")[2].startswith("gen_"):
                names = code.co_varnames[: code.co_argcount]
            for name in names:
                value = variables(step.frame).get(name)
                if name in {"args", "kwargs"}:
                    yield from value.values() if isinstance(value, dict) else value or ()
                else:
                    yield value


def _in_traced_code(found: Attempt, error: BaseException, sources: Sources) -> None:
    """Find the user's own line where TensorFlow ran a translation of it."""
    traced = getattr(error, "ag_error_metadata", None)
    for one in getattr(traced, "translated_stack", ()):
        source = sources.of(one.filename)
        if one.is_converted and source is not None:
            lines = (source.text or "").splitlines()
            found.source, found.line = source, one.lineno
            found.expression = lines[one.lineno - 1].strip() if one.lineno <= len(lines) else ""
            found.expression = found.expression.removeprefix("return ")
            found.argument, found.arguments = "", []
            return
