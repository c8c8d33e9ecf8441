"""What a text gives reason to suspect and nothing of ours can see."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tensortoll.capture.text.compilers import compiles, is_compiled
from tensortoll.capture.text.names import Names

COMPILED: Final = (
    "Compiled functions (torch.compile, numba): casts and copies that the compiler made part of "
    "its kernels are not seen."
)
ADDRESSES: Final = (
    "Addresses of arrays are handed to code in C: what it reads and writes there is not seen."
)
_FOREIGN: Final = frozenset(("ctypes", "cffi", "triton", "pycuda"))
_POINTERS: Final = frozenset(("data_ptr", "mutable_data_ptr", "data_as", "get_as_parameter"))
"""Methods of tensors and of `ndarray.ctypes` that return an address."""


def suspicions(tree: ast.AST, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each kind of thing that is out of sight.

    Args:
        tree: Of a text that is about to run, as written.
        namespace: Its globals.
    """
    names = Names(tree, namespace)
    nodes = tuple(ast.walk(tree))
    if any(compiles(node, names) or _is_of_a_compiled(node, namespace) for node in nodes):
        yield COMPILED
    if any(_hands_out_an_address(node) for node in nodes) and (any(map(names.mentions, _FOREIGN))):
        yield ADDRESSES


def _is_of_a_compiled(node: ast.AST, namespace: Mapping[str, Any]) -> bool:
    return isinstance(node, ast.Name) and is_compiled(namespace.get(node.id))


def _hands_out_an_address(node: ast.AST) -> bool:
    """Say whether an address is an argument of a call: looking at one gives no reason."""
    if not isinstance(node, ast.Call) or isinstance(node.func, ast.Name):
        return False
    return any(_is_address(inner) for one in node.args for inner in ast.walk(one))


def _is_address(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in _POINTERS
    # `array.ctypes.data`
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "ctypes"
    )
