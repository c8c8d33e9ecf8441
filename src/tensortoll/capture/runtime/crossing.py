"""A library's own Python function whose result was made of its first argument.

For functions that convert by way of a third library, whose hooks would count the inner steps: as
NumPy's array that polars makes a tensor of. The call is counted as a whole, and once.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes import Context
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.runtime.judging import judge

Look = Callable[[Any], Seen | None]


def counted(
    context: Context,
    original: Callable[..., Any],
    *,
    keyword: str = "self",
    look: Look = RUNNING.describe,
    only_changed: bool = False,
) -> Callable[..., Any]:
    """Return a function that calls ``original`` and counts what it made of its first argument.

    Args:
        context: Of the watch.
        original: Called with whatever comes.
        keyword: Name of its first argument.
        look: Describes what comes out.
        only_changed: Whether copies of the same library and dtype are left out, because
            they are the callee's own temporaries.
    """
    local, places = context.recorder.local, context.places

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        table = local.table
        seen = None
        if not table.quiet:
            try:
                seen = RUNNING.describe(args[0] if args else kwargs.get(keyword))
            except Exception as error:
                context.recorder.fault(original.__qualname__, error)
        if seen is None:
            return original(*args, **kwargs)
        table.quiet = 1
        try:
            started = time.perf_counter_ns()
            result = original(*args, **kwargs)
            elapsed = time.perf_counter_ns() - started
        finally:
            table.quiet = 0
        try:
            out = look(result)
            temporary = only_changed and out is not None and out.kind == seen.kind
            site = None if temporary else places.site(table, sys._getframe(1))
            if site is not None:
                judge(site, seen, out, result, elapsed, "convert")
        except Exception as error:
            context.recorder.fault(original.__qualname__, error)
        return result

    return call
