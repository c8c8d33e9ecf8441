"""What the names in a text refer to, as far as its imports and the namespace tell.

Only libraries' functions are asked for: `np.asarray`, `from numpy import array as make`, an alias
made by an assignment. Nothing is run to find out.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from tensortoll.capture.text.calls import dotted
from tensortoll.capture.text.nodes import spells_fields
from tensortoll.capture.text.sources import is_library

MOST_HELD: Final = 1_000
"""Attributes of one object that are looked at."""


class Names:
    """Names of one text."""

    def __init__(self, tree: ast.AST, namespace: Mapping[str, Any]) -> None:
        """Read a text's imports.

        Args:
            tree: Of the text.
            namespace: Its globals, before it runs.
        """
        self.tree = tree
        self._namespace = namespace
        self._imported = dict(_imports(tree))
        for name, value in _aliases(tree):
            known = self.resolve(value)
            if known is not None:
                self._imported.setdefault(name, known)

    def resolve(self, node: ast.expr) -> str | None:
        """Return the dotted name of what ``node`` refers to, or None where it is not known."""
        parts = dotted(node)
        if parts is None:
            return None
        first = self._imported.get(parts[0]) or self._in_namespace(parts[0])
        return None if first is None else ".".join((first, *parts[1:]))

    def in_play(self, library: str) -> bool:
        """Say whether a library is loaded, or will be by this text."""
        return library in sys.modules or any(
            known.partition(".")[0] == library for known in self._imported.values()
        )

    def mentions(self, library: str) -> bool:
        """Say whether the text imports from a library, or the namespace names it or its objects."""
        if any(known.partition(".")[0] == library for known in self._imported.values()):
            return True
        return library in sys.modules and any(
            _library(value) == library for value in tuple(self._namespace.values())
        )

    def tells_of_records(self) -> bool:
        """Say whether the text spells fields of records, or the namespace names arrays of them."""
        array = getattr(sys.modules.get("numpy"), "ndarray", None)
        return spells_fields(self.tree) or any(
            type(value) is array and value.dtype.names is not None
            for value in tuple(self._namespace.values())
        )

    def reaches(self, library: str) -> bool:
        """Say whether the text mentions a library, or names the user's own objects that hold one's.

        A function that a library has compiled may be an attribute of a model, or stand in a module.
        """
        if self.mentions(library):
            return True
        if library not in sys.modules:
            return False
        imported = (sys.modules.get(known) for known in self._imported.values())
        values = (*tuple(self._namespace.values()), *imported)
        return any(_library(one) == library for value in values for one in _held_by(value))

    def _in_namespace(self, name: str) -> str | None:
        value = self._namespace.get(name)
        # Not `isinstance`, which asks the object for its `__class__`: a proxy would wake up.
        kind = type(value)
        if issubclass(kind, ModuleType):
            known = vars(value).get("__name__")
            return known if isinstance(known, str) else None
        if not issubclass(kind, FunctionType | BuiltinFunctionType | type) and not _in_c(kind):
            return None
        module, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if not isinstance(module, str) or not isinstance(own, str) or module == "builtins":
            return None
        return f"{_home(module, own, value)}.{own}"


def _home(module: str, own: str, value: object) -> str:
    """Return the module that a library offers a function in: `numpy`, not `numpy._core.numeric`."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        outer = ".".join(parts[:length])
        offered = sys.modules.get(outer)
        if offered is not None and vars(offered).get(own) is value:
            return outer
    return module


def _in_c(kind: type) -> bool:
    """Say whether objects of a type are functions of NumPy's, or of a Cython module."""
    names = {"ufunc", "_ArrayFunctionDispatcher", "cython_function_or_method"}
    return kind.__name__ in names


def _library(value: object) -> str:
    """Return the library that a module, function or object is of. Runs no code of the object's."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        name = vars(value).get("__name__")
    else:
        named = kind is FunctionType or issubclass(kind, type)
        name = getattr(value, "__module__", None) if named else kind.__module__
    home = name.partition(".")[0] if isinstance(name, str) else ""
    return home.removesuffix("lib") if home == "jaxlib" else home


def _held_by(value: object) -> Iterator[object]:
    """Yield what an object of the user's own, its class or a module holds. Runs none of its code.

    Nothing is looked for in libraries, which hold much of others.
    """
    kind = type(value)
    if issubclass(kind, ModuleType):
        if not is_library(getattr(vars(value).get("__spec__"), "origin", None) or ""):
            yield from itertools.islice(tuple(vars(value).values()), MOST_HELD)
        return
    home = sys.modules.get(kind.__module__)
    origin = None if home is None else vars(home).get("__file__")
    if kind.__module__ != "__main__" and (not isinstance(origin, str) or is_library(origin)):
        return
    stored: Any = {}
    with contextlib.suppress(AttributeError):  # it has none of its own
        stored = object.__getattribute__(value, "__dict__")
    own = tuple(stored.values()) if type(stored) is dict else ()
    yield from itertools.islice((*own, *tuple(vars(kind).values())), MOST_HELD)


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.asname:
                    yield one.asname, one.name
                else:
                    first = one.name.partition(".")[0]
                    yield first, first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                yield one.asname or one.name, f"{node.module}.{one.name}"


def _aliases(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield `make = np.asarray`: a plain name that stands for a dotted one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute | ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
