"""What every replacement of a method of torch's owes to Dynamo and to subclasses of tensors.

A wrapped method carries the marks that `torch._dynamo.disable(…, recursive=False)` would set. The
wrapper that that function puts around costs half a microsecond a call, and importing it costs
seconds; without the marks a compiled function that calls the method would recurse for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def unseen_by_subclasses(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Have ``function`` ask tensors for attributes without telling `__torch_function__`."""

    @wraps(function)
    def asking(*args: Any, **kwargs: Any) -> _Result:
        import torch

        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    return asking


def left_alone_by_dynamo(function: Any, original: Any) -> Any:
    """Mark ``function``, which stands for ``original``, as one that is not to be compiled."""
    function._torchdynamo_disable = True
    function._torchdynamo_disable_msg = None
    function._torchdynamo_disable_recursive = False
    function._torchdynamo_orig_callable = original
    # Python's errors about arguments name a function in full.
    function.__name__ = function.__qualname__ = getattr(original, "__name__", function.__name__)
    function.__doc__ = getattr(original, "__doc__", None)
    return function


def asked_of_subclass(depth: int = 8) -> str:
    """Return the name of the function that a `__torch_function__` is running; empty for none.

    The frames are torch's and end at once: reading their variables keeps nothing alive.

    Args:
        depth: How many frames may stand between.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and depth:
        code = frame.f_code
        if code.co_name == "__torch_function__" and code.co_filename.endswith("_tensor.py"):
            return getattr(frame.f_locals.get("func"), "__name__", "")
        frame, depth = frame.f_back, depth - 1
    return ""
