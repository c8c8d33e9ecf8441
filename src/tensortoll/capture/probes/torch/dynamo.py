"""Keeps `torch.compile` from compiling us.

While a compiled function runs, Dynamo looks at every Python frame that begins, and compiles those
that it may: our hooks too, once for every kind of tensor. So each code object of ours carries the
mark to be let be, which costs nothing when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Final

from tensortoll.capture.rewriting.functions import nested

_OWN: Final = f"{__name__.partition('.')[0]}."
_marked: set[str] = set()
"""The modules of ours whose code carries the mark. It stays, as the code is ours alone."""


def skip_own_code() -> None:
    """Mark all code of ours that was loaded since the last time."""
    import torch

    frames = torch._C._dynamo.eval_frame
    skipped = frames._FrameExecStrategy(frames._FrameAction.SKIP, frames._FrameAction.DEFAULT)
    for name, module in tuple(sys.modules.items()):
        if name.startswith(_OWN) and name not in _marked:
            _marked.add(name)
            for code in _codes_of(vars(module), name):
                frames.set_code_exec_strategy(code, skipped)


def _codes_of(members: dict[str, object], module: str) -> Iterator[CodeType]:
    for value in tuple(members.values()):
        if isinstance(value, type) and value.__module__ == module:
            yield from _codes_of(dict(vars(value)), module)
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        inner = getattr(inner, "__wrapped__", inner)
        if isinstance(inner, FunctionType):
            yield inner.__code__
            yield from nested(inner.__code__)
