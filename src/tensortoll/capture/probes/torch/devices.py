"""Copies to, from and on an accelerator, and how long they took there.

A copy between the host and a device waits unless it is asked not to, and then the host's clock
tells. One that does not wait is timed by the device itself: an event before it and one after it
on its stream, which are read once the watch ends. Where the device offers no such events, the
time is that of the launch, and marked so.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.counting.sums import Sums
from tensortoll.capture.patching import silenced
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.copies import group_of
from tensortoll.capture.probes.torch.kernels import Override, kernel_of

if TYPE_CHECKING:
    import torch

_KEYS: Final = {"cuda": "CUDA", "mps": "MPS", "xpu": "XPU"}
"""The dispatch key by the type of an accelerator; all others are `PrivateUse1`."""
MOST_PENDING: Final = 1024
"""Pairs of events that wait to be read. When there are more, those that are done are read."""
_TIMED: Final = ("cuda", "mps", "xpu")
"""Types of accelerators that have events. Others may offer them and fail when they are read."""
_HOSTS: Final = ("cpu", "meta")


def install_devices(context: Context) -> None:
    """Override `copy_` on the accelerator.

    A backend in Python (`PrivateUse1`) may be set up by the very code that is watched, so it is
    watched where there is no other.
    """
    import torch

    accelerator = torch.accelerator.current_accelerator()
    key = "PrivateUse1" if accelerator is None else _KEYS.get(accelerator.type, "PrivateUse1")
    timing = Timing()
    try:
        override = Override("copy_", key, _copy(context, key, timing))
    except RuntimeError:  # this torch has no kernel for it
        return
    context.patches.at_end(timing.read)
    with silenced():  # that a kernel is overridden is what this is for
        context.patches.at_end(override.stop)
        override.start()


class Timing:
    """Times what a device does, by its own events."""

    def __init__(self) -> None:
        """Start without any event."""
        self._lock = threading.Lock()
        self._pending: deque[tuple[Any, Any, Sums]] = deque()
        self._offered = True
        self._tried = False

    def begin(self, device: torch.device) -> Any | None:
        """Return an event that marks now on the current stream; None where none can be had."""
        if not self._offered:
            return None
        import torch

        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return None  # it would become a part of the graph
        try:
            begun = _marked(device)
            if not (self._tried or device.type in _TIMED):
                begun.synchronize()
            self._tried = True
        except (RuntimeError, NotImplementedError, TypeError):
            self._offered = False
            return None
        return begun

    def end(self, begun: Any, device: torch.device, sums: Sums) -> None:
        """Mark the end of what ``begun`` is the beginning of; its time goes to ``sums``."""
        with self._lock:
            self._pending.append((begun, _marked(device), sums))
            if len(self._pending) > MOST_PENDING:
                self._read(wait=False)

    def read(self) -> None:
        """Wait for the device, and add up what it took."""
        with self._lock:
            self._read(wait=True)

    def _read(self, *, wait: bool) -> None:
        while self._pending:
            begun, ended, sums = self._pending[0]
            if wait:
                ended.synchronize()
            elif not ended.query():
                break
            self._pending.popleft()
            sums.elapsed_ns += round(begun.elapsed_time(ended) * 1e6)


def _marked(device: torch.device) -> Any:
    import torch

    event = torch.Event(device=device, enable_timing=True)
    event.record()
    return event


def _copy(context: Context, key: str, timing: Timing) -> Callable[..., Any]:
    """Return a kernel for an accelerator that copies as before and counts what was converted.

    Raises:
        RuntimeError: If the backend has no kernel of its own.
    """
    import torch

    plain = torch.Tensor
    local, places = context.recorder.local, context.places
    call, keys = kernel_of("copy_", key)

    def copy_(target: Any, source: Any, non_blocking: bool = False) -> Any:
        if not isinstance(source, plain):
            # A number that was wrapped for the purpose comes back as a plain one.
            return target.fill_(source)
        table = local.table
        if table.quiet:
            return call(keys, target, source, non_blocking)
        table.quiet = 1
        try:
            device = (target if source.device.type in _HOSTS else source).device
            waits = not non_blocking and _leaves(source, target)
            begun = None if waits else timing.begin(device)
            started = time.perf_counter_ns()
            result = call(keys, target, source, non_blocking)
            elapsed = time.perf_counter_ns() - started
            try:
                frame = sys._getframe(0).f_back  # None on a thread of autograd's
                site = places.site(table, frame)
                if site is None and frame is not None and _leaves(source, target):
                    site = places.printing(table, frame)
                if site is not None and torch._C._get_tracing_state() is None:
                    with torch._C.DisableTorchFunctionSubclass():
                        sums = group_of(table, site, target, source, non_blocking)
                    if sums is not None:
                        sums.count += 1
                        sums.copies += 1
                        sums.read += source.nbytes
                        sums.written += target.nbytes
                        if begun is not None:
                            timing.end(begun, device, sums)
                        else:
                            sums.elapsed_ns += elapsed
                            sums.launch_only = sums.launch_only or not waits
            except Exception as error:
                context.recorder.fault("torch copy_", error)
        finally:
            table.quiet = 0
        return result

    return copy_


def _leaves(source: torch.Tensor, target: torch.Tensor) -> bool:
    """Say whether a copy goes from the host to a device, or back."""
    return (source.device.type in _HOSTS) != (target.device.type in _HOSTS)
