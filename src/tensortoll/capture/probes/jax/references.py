"""Compiled functions that the user's text hands on, to be called by others: `map(f, arrays)`.

No call of theirs stands in the text. So where one is handed to what calls it there and then, or on
a thread, a stand-in goes in its place that tells of each call. Nobody else gets to see it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, MethodType
from typing import Any, Final

CALLERS: Final = frozenset(("jax._src.tree", "jax._src.tree_util", "jax.tree", "jax.tree_util"))
"""Modules whose `map` and `tree_map` call what they are given first."""


def calls_what_it_is_given(function: Any) -> bool:
    """Say whether a function calls its first argument and hands it to nobody else."""
    if function is map:
        return True
    if type(function) is MethodType:
        is_pool = type(function.__self__) is ThreadPoolExecutor
        return is_pool and function.__name__ in {"map", "submit"}
    return (
        type(function) is FunctionType
        and function.__name__ in {"map", "tree_map"}
        and function.__module__ in CALLERS
    )


def unbound(function: Any) -> tuple[Any, list[Any]]:
    """Return what a partial call will call in the end, and the arguments it has already."""
    held: list[Any] = []
    while isinstance(function, functools.partial):
        held += (*function.args, *function.keywords.values())
        function = function.func
    return function, held


class StandIn:
    """Calls a compiled function, and tells of it."""

    __slots__ = ("_around", "_function")

    def __init__(self, function: Any, around: Callable[..., Any]) -> None:
        """Stand for a function.

        Args:
            function: To be called.
            around: Is given it and the arguments, calls it and returns the result.
        """
        self._function = function
        self._around = around

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._around(self._function, args, kwargs)
