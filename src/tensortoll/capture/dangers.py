"""Warnings that can't wait for the report: what comes next ends the process."""

from __future__ import annotations

import sys
from typing import Any

from tensortoll.capture.counting.recorder import Site


def warn_of_backward_strides(site: Site | None, value: Any) -> None:
    """Say, before it happens, that torch is about to end the process.

    `torch.from_dlpack` of an ndarray with negative strides throws a C++ error that nobody
    catches (torch 2.13).

    Args:
        site: Whose line it is; None where it is nobody's.
        value: What is being taken over.
    """
    strides = getattr(value, "strides", ())
    if type(value).__module__ != "numpy" or min(strides, default=0) >= 0:
        return
    where = "" if site is None else f"line {site.located.place.line}: "
    expression = "" if site is None else f"`{site.located.place.expression}`: "
    _say(
        f"tensortoll TT601: {where}{expression}the array has negative strides, at which torch ends "
        "the process. Copy it first: torch.from_numpy(array.copy())."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
