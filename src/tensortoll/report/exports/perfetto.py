"""A trace in the Trace Event Format, which https://ui.perfetto.dev and Chrome's tracing open.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Times
are in microseconds, with the nanoseconds behind the point.
"""

from __future__ import annotations

from typing import Final

from tensortoll.report.printable import printable
from tensortoll.report.words import NAME_LIMIT, flow_text
from tensortoll.trace import Event, Trace

_PROCESS: Final = 1


def timeline(trace: Trace) -> dict[str, object]:
    """Return a trace as Perfetto's document: a row for each thread, a slice for each conversion."""
    events: list[dict[str, object]] = [_name("process_name", 0, "tensortoll")]
    for number, name in enumerate(trace.threads):
        # Threads are numbered from 1: 0 stands for a whole process there.
        events.append(_name("thread_name", number + 1, f"{printable(name, NAME_LIMIT)} {number}"))
    # The viewer wants slices that begin together in the order in which they lie in each other.
    ordered = sorted(trace.events, key=lambda one: (one.start_ns, -one.elapsed_ns))
    events += map(_slice, ordered)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"producer": "tensortoll", "dropped_before": trace.dropped},
        "traceEvents": events,
    }


def _name(what: str, thread: int, name: str) -> dict[str, object]:
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _slice(event: Event) -> dict[str, object]:
    route, place = event.route, event.route.place
    return {
        "ph": "X",
        "name": printable(place.expression, NAME_LIMIT) or "(no place)",
        "cat": ",".join((route.outcome, *route.effects)),
        "pid": _PROCESS,
        "tid": event.thread + 1,
        "ts": event.start_ns / 1000,
        "dur": event.elapsed_ns / 1000,
        "args": {
            "place": f"{printable(place.source.name, NAME_LIMIT)}:{place.line}",
            "conversion": flow_text(route.origin, route.target),
            "operation": printable(route.operation, NAME_LIMIT),
            "count": event.conversions,
            "bytes_written": event.bytes_written,
        },
    }
