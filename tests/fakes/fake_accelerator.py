"""An accelerator that is none: a device `fakegpu` whose memory is the host's, in Python.

Import it before the first operation of the process; what it registers can't be taken back. Each
device tensor holds a tensor on the host, and every operation is run on that one: data goes to the
device and back through `copy_`, as on a real device, and a backward pass runs on a thread of the
device's own. Pinned memory is a copy that is known to be one, and there are no events.

Crossing takes no time, unless `waits` says how long: a test double of a device that is far away.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "fakegpu"
KEY = "PrivateUse1"
threads: set[int] = set()
"""The threads that operations ran on."""
waits = {"read": 0.0, "pageable": 0.0, "pinned": 0.0, "pin": 0.0}
"""Seconds that it takes to cross to the host, from pageable memory, from pinned; and to pin."""
pinned: dict[int, torch.Tensor] = {}
"""What was pinned, by its address; kept, so that no other tensor gets it."""

_setup_privateuseone_for_python_backend(NAME)
if torch.version.cuda is not None:
    # Such a build names its own kind of accelerator, also where there is none.
    torch.accelerator.current_accelerator = lambda check_available=False: torch.device(NAME)


class OnDevice(torch.Tensor):
    """A tensor on the device: its form, with the elements in a tensor on the host."""

    host: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> Self:
        host = host.detach().contiguous()
        made = torch._C._acc.create_empty_tensor(tuple(host.shape), host.dtype)
        made.__class__ = cls
        made.host = host
        return made

    def __init__(self, host: torch.Tensor) -> None:
        """Stay as made."""


def up(value: Any) -> Any:
    """Return what came out of an operation on the host as it is on the device."""
    if isinstance(value, torch.Tensor):
        return OnDevice(value)
    return type(value)(map(up, value)) if isinstance(value, list | tuple) else value


def down(value: Any) -> Any:
    """Return what an operation on the device is given as it is on the host."""
    if isinstance(value, torch.Tensor):
        return value.host if isinstance(value, OnDevice) else value
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return type(value)(map(down, value)) if isinstance(value, list | tuple) else value


def on_host(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """Run any operation; what it writes in place is returned as it was given."""
    threads.add(threading.get_ident())
    result = operator(*map(down, args), **{name: down(value) for name, value in kwargs.items()})
    for given, declared in zip(args, operator._schema.arguments, strict=False):
        if declared.alias_info is not None and declared.alias_info.is_write:
            return given
    return up(result)


def empty(size: Any, *_: Any, dtype: Any = None, **__: Any) -> OnDevice:
    """Make a tensor; whatever its strides were to be, it is contiguous."""
    return OnDevice(torch.empty(size, dtype=dtype))


def pin(one: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Copy into memory that is known to be pinned from then on."""
    time.sleep(waits["pin"])
    copied = torch.empty_like(one)
    pinned[copied.untyped_storage().data_ptr()] = copied
    return copied.copy_(one)


def is_pinned(one: torch.Tensor, *_: Any, **__: Any) -> bool:
    """Say whether a tensor lies in pinned memory."""
    return one.untyped_storage().data_ptr() in pinned


def read(one: OnDevice) -> Any:
    """Return the element of a tensor that has one."""
    time.sleep(waits["read"])
    return down(one).item()


def copy_from(source: Any, target: Any, *_: Any, **__: Any) -> Any:
    """Copy, in whichever direction."""
    if not isinstance(target, OnDevice):
        time.sleep(waits["read"])
    elif not isinstance(source, OnDevice):
        time.sleep(waits["pinned" if is_pinned(source) else "pageable"])
    down(target).copy_(down(source))
    return target


libraries = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
libraries[0].fallback(on_host, KEY)
for name, kernel in {
    "empty.memory_format": empty,
    "empty_strided": empty,
    "_copy_from": copy_from,
    "_copy_from_and_resize": copy_from,
    "detach": lambda one: OnDevice(down(one)),
    "abs": lambda one: OnDevice(down(one).abs()),  # torch's own resizes its result
    "_local_scalar_dense": read,
}.items():
    libraries[1].impl(name, kernel, KEY)
libraries[1].impl("detach", lambda one: OnDevice(down(one)), f"Autograd{KEY}")
for name, kernel in {"_pin_memory": pin, "is_pinned": is_pinned}.items():
    libraries[1].impl(name, kernel, "CPU")
