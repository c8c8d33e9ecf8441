"""Compilers that read the bytecode of functions: `torch.compile`, numba.

They stumble over our expressions, and they read not only the function they are given but all that
it calls. So where one is in play, functions and methods are left as written, and only the code at
the top of a text is rewritten.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tensortoll.capture.text.calls import dotted
from tensortoll.capture.text.names import Names

READERS_OF_BYTECODE: Final = ("torch.compile", "torch.export", "torch._dynamo", "numba")
BLIND_SPOT: Final = (
    "A compiler that reads functions' bytecode is in play (torch.compile, numba): functions were "
    "left as written, so NumPy's own methods inside of them are not seen."
)
COMPILERS: Final = frozenset(
    "jit njit pjit vectorize guvectorize stencil cfunc compile script trace kernel".split()
)
"""Names of functions that compile what they are given from its bytecode: it must stay as is."""
_KERAS_WORDS: Final = frozenset(("optimizer", "loss", "metrics"))


def in_play(tree: ast.AST, namespace: Mapping[str, Any]) -> bool:
    """Say whether a text compiles functions, or can call functions that are compiled."""
    names = Names(tree, namespace)
    return any(compiles(node, names) for node in ast.walk(tree)) or any(
        map(is_compiled, tuple(namespace.values()))
    )


def compiles(node: ast.AST, names: Names) -> bool:
    """Say whether a part of a text refers to one of these compilers."""
    if not isinstance(node, ast.Attribute | ast.Name | ast.Call):
        return False
    function = node.func if isinstance(node, ast.Call) else node
    known = names.resolve(function)
    if known is not None:
        return known.startswith(READERS_OF_BYTECODE)
    # `model.compile()` compiles a torch module in place, and takes keywords only; Keras says what
    # it is trained with, and JAX compiles what it has lowered, which no longer has bytecode.
    return (
        isinstance(node, ast.Call)
        and isinstance(function, ast.Attribute)
        and function.attr == "compile"
        and not node.args
        and names.in_play("torch")
        and (names.mentions("torch") or not names.mentions("jax"))
        and not any(keyword.arg in _KERAS_WORDS for keyword in node.keywords)
    )


def is_compiled(value: Any) -> bool:
    """Say whether an object was made by such a compiler. Runs no code of the object's."""
    kind = type(value)
    module = kind.__module__
    if module.startswith("numba."):
        return True
    if module == "torch._dynamo.eval_frame":  # a compiled module
        return True
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return False
    if not isinstance(own, Mapping):
        return False
    if own.get("_compiled_call_impl") is not None:
        return True
    # A function that was compiled, not one of torch's that is only kept from being so.
    return "_torchdynamo_orig_callable" in own and "torch._dynamo" in sys.modules


def is_compiler(node: ast.expr) -> bool:
    """Say whether a decorator or function compiles what it is given, by its name."""
    function = node.func if isinstance(node, ast.Call) else node
    parts = dotted(function)
    return parts is not None and not COMPILERS.isdisjoint(parts)


def handed_to_compilers(tree: ast.AST) -> frozenset[str]:
    """Return the names of functions that the text itself has compiled: `f = torch.compile(g)`."""
    return frozenset(_arguments_of_compilers(ast.walk(tree)))


def _arguments_of_compilers(nodes: Iterable[ast.AST]) -> Iterable[str]:
    for node in nodes:
        if isinstance(node, ast.Call) and is_compiler(node.func):
            for argument in node.args:
                if isinstance(argument, ast.Name):
                    yield argument.id
