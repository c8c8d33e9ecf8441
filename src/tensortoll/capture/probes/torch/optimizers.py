"""Optimizer steps on the CPU that have nothing to convert.

An optimizer multiplies by Python numbers all the time. On the CPU each such number passes through
`copy_`, and a Python kernel makes that ten times slower. Where all parameters, gradients and
states have one dtype, a step of one of torch's own optimizers copies nothing that would be
counted: the override is lifted. What others wrote, as optimizers or as hooks, may convert at will.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kernels import Override

if TYPE_CHECKING:
    import torch

LOOKED_AT_FIRST: Final = 2
LOOKED_AT_LATER: Final = 64
"""All tensors are looked at in these steps; in the others, only whether a model was cast since."""

BLIND_SPOT: Final = (
    "An optimizer step raised: casts and copies inside torch right after it may be missing."
)


def install_optimizers(context: Context, copying: Override) -> None:
    """Have every optimizer tell before and after its step, through torch's own global hooks."""
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    steps = _Steps(context, copying)
    context.patches.at_end(register_optimizer_step_pre_hook(steps.before).remove)
    context.patches.at_end(register_optimizer_step_post_hook(steps.after).remove)
    context.patches.at_end(steps.end)


class _Steps:
    def __init__(self, context: Context, copying: Override) -> None:
        self._context = context
        self._copying = copying
        self._dtypes: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        """The one dtype of an optimizer's tensors; None where they have several."""
        self._taken: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._lifted = False

    def before(self, optimizer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Lift the override, if nothing can be converted in the step that begins."""
        try:
            self.end()
            taken = self._taken[optimizer] = self._taken.get(optimizer, 0) + 1
            due = taken <= LOOKED_AT_FIRST or not taken % LOOKED_AT_LATER
            if (
                # A closure is the user's own code: the forward and backward pass.
                len(args) == 1
                and not kwargs
                and taken > 1
                and _is_torchs_own(optimizer)
                # Other threads may convert meanwhile, and must not go unseen.
                and threading.active_count() == 1
                and self._is_uniform(optimizer, due=due)
            ):
                self._copying.stop()
                self._lifted = True
        except Exception as error:
            self._context.recorder.fault("torch optimizer step", error)

    def _is_uniform(self, optimizer: Any, *, due: bool) -> bool:
        """Say whether all that a step works with is of one dtype and on the CPU."""
        first = next(_tensors(optimizer), None)
        if first is None:
            return False
        if due or first.dtype is not self._dtypes.get(optimizer):
            self._dtypes[optimizer] = first.dtype if _is_uniform(optimizer) else None
        return self._dtypes[optimizer] is first.dtype

    def after(self, *_: Any) -> None:
        """Put the override back."""
        if self._lifted:
            self._lifted = False
            self._copying.start()

    def end(self) -> None:
        """Put the override back after a step that raised, which is not told of."""
        if self._lifted:
            self.after()
            self._context.recorder.blind_spot(BLIND_SPOT)


def _is_torchs_own(optimizer: Any) -> bool:
    """Say whether nothing but torch's own code runs in a step, hooks included."""
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    return type(optimizer).__module__.startswith("torch.optim.") and not any(hooks)


def _is_uniform(optimizer: Any) -> bool:
    """Say whether all tensors that a step works with are of one dtype and on the CPU."""
    tensors = _tensors(optimizer)
    first = next(tensors, None)
    if first is None or first.device.type != "cpu":
        return False
    dtype, device = first.dtype, first.device
    return all(one.dtype is dtype and one.device == device for one in tensors)


def _tensors(optimizer: Any) -> Iterator[torch.Tensor]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield parameter
            if parameter.grad is not None:
                yield parameter.grad
            yield from _of_state(optimizer.state.get(parameter, {}))


def _of_state(state: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    for value in state.values():
        # The number of steps is kept in a tensor without axes, of whatever dtype.
        if getattr(value, "ndim", 0):
            yield value
