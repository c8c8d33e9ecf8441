"""What every replacement of a method of torch's owes to Dynamo and to subclasses of tensors.

A wrapped method carries the marks that `torch._dynamo.disable(…, recursive=False)` would set. The
wrapper that that function puts around costs half a microsecond a call, and importing it costs
seconds; without the marks a compiled function that calls the method would recurse for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def unseen_by_subclasses(function: Callable[..., None]) -> Callable[..., None]:
    """Have ``function`` ask tensors for attributes without telling `__torch_function__`."""

    def asking(*args: Any, **kwargs: Any) -> None:
        import torch

        with torch._C.DisableTorchFunctionSubclass():
            function(*args, **kwargs)

    return asking


def left_alone_by_dynamo(function: Any, original: Any) -> Any:
    """Mark ``function``, which stands for ``original``, as one that is not to be compiled."""
    function._torchdynamo_disable = True
    function._torchdynamo_disable_msg = None
    function._torchdynamo_disable_recursive = False
    function._torchdynamo_orig_callable = original
    function.__name__ = getattr(original, "__name__", function.__name__)
    function.__doc__ = getattr(original, "__doc__", None)
    return function
