"""Who is called in a source, and with what."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tensortoll.advice.text import Function
from tensortoll.advice.vocabulary import IN_PLACE, LIBRARIES


def harmless(namespace: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return what says of a global name whether calling it, or a method of it, writes nothing."""
    known = {name for name, value in namespace.items() if is_of_a_library(value)}
    return known.__contains__


def is_of_a_library(value: Any) -> bool:
    """Say whether a value is a library's, and writes nothing that it is not asked to write."""
    kind = type(value)
    if kind in (str, bytes, list, dict, tuple, int, float, set):
        return True
    library = kind.__module__.partition(".")[0]
    if library == "builtins":  # a module, a class, a function: known by where it comes from
        name = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        return str(name).partition(".")[0] in LIBRARIES
    bases = {(base.__module__, base.__qualname__) for base in kind.__mro__}
    if ("torch.nn.modules.module", "Module") in bases:
        # A module of torch's, or the user's own, whose body is read like any other.
        if not hasattr(value, "_modules"):  # begun, and never finished
            return False
        return not any(vars(one).get("inplace") for one in value.modules())
    return library in LIBRARIES


def is_array(kind: type | None) -> bool:
    """Say whether a type is that of an array."""
    library = getattr(kind, "__module__", "").partition(".")[0]
    return library in {"numpy", "torch", "tensorflow", "jaxlib"}


def is_false(node: ast.expr) -> bool:
    """Say whether an expression is `False`."""
    return isinstance(node, ast.Constant) and node.value is False


def called(node: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    function = node.func
    return str(getattr(function, "attr", None) or getattr(function, "id", None) or "")


def arguments(node: ast.Call) -> Iterator[ast.expr]:
    """Yield all arguments of a call."""
    yield from node.args
    yield from (one.value for one in node.keywords)


def roots(node: ast.AST) -> Iterator[str]:
    """Yield the name that a path begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def parts(target: ast.expr) -> Iterator[ast.expr]:
    """Yield what a target consists of."""
    if isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            yield from parts(one)
    else:
        yield target


def methods(tree: ast.AST) -> dict[str, tuple[ast.FunctionDef, ...]]:
    """Return the methods of all classes of a text, by name."""
    found: dict[str, tuple[ast.FunctionDef, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, ast.FunctionDef):
                    found[one.name] = (*found.get(one.name, ()), one)
    return found


def is_in_place(name: str) -> bool:
    """Say whether a function, or a method, is named for writing in place, as torch's are."""
    return (name.endswith("_") and not name.startswith("_")) or name in IN_PLACE


def functions_called(
    node: ast.AST, own: Mapping[str, Function], methods_by_name: Mapping[str, Sequence[Function]]
) -> set[Function | None]:
    """Return the functions of a source that are called from a node, also by one another."""
    found: set[Function | None] = set()
    waiting = [node]
    while waiting:
        for one in ast.walk(waiting.pop()):
            name = str(getattr(one, "attr", None) or getattr(one, "id", None))
            for body in (own.get(name), *methods_by_name.get(name, ())):
                if body is not None and body not in found:
                    found.add(body)
                    waiting.append(body)
    return found


def reached(tree: ast.AST, node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs with a node of a source: its own parts, and the functions it calls."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    own = {one.name: one for one in ast.walk(tree) if isinstance(one, functions)}
    yield from ast.walk(node)
    for function in functions_called(node, own, methods(tree)):
        if function is not None:
            yield from ast.walk(function)
