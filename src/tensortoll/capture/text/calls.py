"""What an instruction of a frame is doing, in the words of the source: which call, which operator.

Asked once per place and never per event, so it may parse text. The answer decides how a place is
named and whether the user asked for a conversion there; it never decides what was copied.
"""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Final, NamedTuple

from tensortoll.capture.text.signs import parsed, sign_of


class Extent(NamedTuple):
    """Where a sub-expression stands: lines from 1, columns from 0 in characters."""

    line: int
    end_line: int
    column: int | None
    end_column: int | None


class Call(NamedTuple):
    """What runs at an instruction."""

    extent: Extent
    text: str
    """The sub-expression as written."""
    name: str
    """The last part of what is called, under its own name and not an alias's: `tensor`,
    `clone`; an operator's sign; `[]=` for a store into a subscript, `[]= result` for one of a
    value that was just computed; empty where unknown."""
    operation: str
    """How a report names it: `torch.tensor`, `.clone`, `+`."""


_CACHE = dis.opmap["CACHE"]
OPERATORS = {"BINARY_OP", "COMPARE_OP", "UNARY_NEGATIVE", "UNARY_INVERT", "UNARY_NOT"}
STORES = {"STORE_SUBSCR", "STORE_SLICE"}
CALLS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "PRECALL"}


def call_at(frame: FrameType, lines: list[str] | None = None) -> Call:
    """Return what ``frame`` is doing now.

    Args:
        frame: A frame that is running, or that has called another one.
        lines: The text of its file; looked up where None.
    """
    code, offset = frame.f_code, frame.f_lasti
    lines = linecache.getlines(code.co_filename) if lines is None else lines
    extent, text = written_at(code, offset, frame.f_lineno or code.co_firstlineno, lines)
    instruction = _instruction(code, offset)
    if instruction in STORES:
        name = "[]=" if _stores_what_stood(extent, lines) else "[]= result"
        return Call(extent, text, name, "[]=")
    if instruction in CALLS:
        return Call(extent, text, *_called(text, frame))
    if instruction in OPERATORS:
        sign = sign_of(text)
        return Call(extent, text, sign, sign)
    if instruction == "BINARY_SUBSCR":
        return Call(extent, text, "[]", "[]")
    if instruction in {"FOR_ITER", "GET_ITER", "SEND", "YIELD_VALUE"}:
        name = "await" if text.startswith("await") else "for"
        return Call(extent, text, name, name)
    return Call(extent, text, "", "")


def _instruction(code: CodeType, offset: int) -> str:
    """Return the name of the instruction at ``offset``, as it was before any specialising."""
    while offset >= 0 and code.co_code[offset] == _CACHE:
        # A frame that has called a Python function stands on the last cache entry of its CALL.
        offset -= 2
    return dis.opname[code.co_code[offset]] if offset >= 0 else ""


def extent_at(code: CodeType, offset: int, line: int) -> Extent:
    """Return where the instruction at ``offset`` bytes stands; columns in UTF-8 bytes."""
    for number, position in enumerate(code.co_positions()):
        if number * 2 == offset:
            start, end, column, end_column = position
            if start is None:
                break
            return Extent(start, end or start, column, end_column)
    return Extent(line, line, None, None)


def written_at(code: CodeType, offset: int, line: int, lines: list[str]) -> tuple[Extent, str]:
    """Return where the instruction at ``offset`` bytes stands, in characters, and its text.

    Args:
        code: Whose instruction it is.
        offset: In bytes.
        line: The line, should nothing else be known.
        lines: The text of the file.
    """
    return _with_dot(*_in_characters(extent_at(code, offset, line), lines), lines)


def _in_characters(extent: Extent, lines: list[str]) -> tuple[Extent, str]:
    """Turn byte columns into character columns, and cut the text out."""
    first, last, column, end_column = extent
    if not 1 <= first <= last <= len(lines):
        return Extent(first, last, None, None), ""
    if column is None or end_column is None:
        return Extent(first, last, None, None), lines[first - 1].strip()
    head = lines[first - 1].encode()[:column].decode(errors="replace")
    tail = lines[last - 1].encode()[:end_column].decode(errors="replace")
    cut = [line.rstrip("\n") for line in lines[first - 1 : last]]
    cut[-1] = cut[-1][: len(tail)]
    cut[0] = cut[0][len(head) :]
    return Extent(first, last, len(head), len(tail)), "\n".join(cut)


def _with_dot(extent: Extent, text: str, lines: list[str]) -> tuple[Extent, str]:
    """Take the dot in where a chain over several lines made the call start at the method's name."""
    column = extent.column
    if not column or lines[extent.line - 1][column - 1] != ".":
        return extent, text
    return extent._replace(column=column - 1), f".{text}"


HANDED_ON: Final = frozenset(
    (
        # views
        "view view_as t transpose adjoint permute squeeze unsqueeze expand expand_as swapaxes "
        "swapdims movedim moveaxis detach narrow select unflatten broadcast_to numpy from_numpy "
        "rollaxis flip fliplr flipud rot90 get pop "
        # the same elements, or the same values, elsewhere
        "tensor as_tensor asarray asanyarray array ascontiguousarray asfortranarray astype copy "
        "clone contiguous reshape ravel flatten to type type_as float double half bfloat16 int "
        "long short char byte bool cpu cuda frombuffer from_dlpack deepcopy"
    ).split()
)
"""Names of calls whose result is data that stood before, and nothing computed."""


def computes(value: ast.expr) -> bool:
    """Say whether a value that is stored was just computed: nobody but the store will see it.

    `u[1:-1] = (u[2:] + u[:-2]) / 2` puts a result where it belongs; `rows[i] = row` duplicates.
    """
    if isinstance(value, ast.Await):
        return computes(value.value)
    if isinstance(value, ast.Call):
        function = value.func
        name = getattr(function, "attr", None) or getattr(function, "id", None)
        return name not in HANDED_ON
    return isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp)


def _stores_what_stood(extent: Extent, lines: list[str]) -> bool:
    """Say whether the assignment to the subscript at ``extent`` shows that its value stood before.

    False where the source does not tell, and for `a[i] += 1`, which computes.
    """
    value = stored_value(extent, lines)
    return value is not None and not computes(value)


def stored_value(extent: Extent, lines: list[str]) -> ast.expr | None:
    """Return what is assigned to the subscript at ``extent``; None where the text does not tell."""
    if extent.column is None or not 1 <= extent.line <= len(lines):
        return None
    for first in (
        len(lines[extent.line - 1]) - len(lines[extent.line - 1].lstrip()),
        extent.column,
    ):
        statement = _statement(lines[extent.line - 1 :], first)
        column = len(lines[extent.line - 1][first : extent.column].encode())
        for node in ast.walk(statement) if statement else ():
            if isinstance(node, ast.Assign):
                value = _assigned(node, column)
                if value is not None:
                    return value
    return None


_LONGEST_STATEMENT: Final = 40
"""Lines."""


def _statement(lines: list[str], column: int) -> ast.Module | None:
    """Return the first lines, from a column of the first one on, as soon as they are Python."""
    for end in range(1, min(len(lines), _LONGEST_STATEMENT) + 1):
        try:
            return ast.parse("".join([lines[0][column:], *lines[1:end]]))
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def _assigned(node: ast.Assign, column: int) -> ast.expr | None:
    """Return what is assigned to the subscript that starts at ``column`` of the first line."""
    for target in node.targets:
        if isinstance(target, ast.Subscript) and (target.lineno, target.col_offset) == (1, column):
            return node.value
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for part, value in zip(target.elts, node.value.elts, strict=False):
                if (part.lineno, part.col_offset) == (1, column):
                    return value
    return None


def _called(text: str, frame: FrameType) -> tuple[str, str]:
    node = parsed(text.removeprefix("."))
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return "", ""
    if text.startswith(".") and isinstance(node.func, ast.Name):
        return node.func.id, f".{node.func.id}"
    return named(node.func, frame)


def named(function: ast.expr, frame: FrameType) -> tuple[str, str]:
    """Return the own name of what ``function`` refers to, and how a report names it."""
    parts = dotted(function)
    if parts is None:
        last = function.attr if isinstance(function, ast.Attribute) else ""
        return last, f".{last}" if last else ""
    known = referred(parts, frame)
    if known is None:
        return parts[-1], ".".join(parts) if len(parts) == 1 else f".{parts[-1]}"
    own = _public_name(known) or getattr(known, "__name__", None)
    if not isinstance(own, str):  # an object that can be called, known by the user's name alone
        return parts[-1], ".".join(parts)
    if own == parts[-1] or len(parts) == 1:
        home = (getattr(known, "__module__", None) or "").partition(".")[0]
        single = f"{home}.{own}" if home not in {"", "builtins", "__main__"} else own
        return own, ".".join(parts) if len(parts) > 1 else single
    return own, ".".join(parts)


def _public_name(known: object) -> str | None:
    """Return the name under which TensorFlow offers a function; behind it stands a longer one."""
    while type(known) is FunctionType:
        names = vars(known).get("_tf_api_names")
        if names:
            return str(names[0]).rpartition(".")[2]
        known = vars(known).get("__wrapped__")
    return None


def dotted(node: ast.expr) -> list[str] | None:
    """Return `a.b.c` as its parts; None for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    parts.append(node.id)
    return parts[::-1]


def referred(parts: list[str], frame: FrameType) -> object | None:
    """Return what a dotted global name refers to, or None where looking could run code.

    Local variables are left alone: reading `f_locals` of a function's frame would keep what they
    hold alive. Attributes are followed through modules only.
    """
    found = frame.f_globals.get(parts[0])
    if found is None:
        found = getattr(builtins, parts[0], None)
    for part in parts[1:]:
        if not isinstance(found, ModuleType):
            return None
        found = vars(found).get(part)
    return found
