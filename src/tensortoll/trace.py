"""When each conversion happened: single events in order of time, as far as they were kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tensortoll.model import Route


class Event(NamedTuple):
    """One conversion, or several that were counted as one."""

    route: Route
    start_ns: int
    """Since the watch began."""
    elapsed_ns: int
    """0 where it was not timed: most views are not."""
    conversions: int
    """How many were counted as one: more than 1 for a batch."""
    bytes_written: int
    thread: int
    """Its number: 0 is the thread that was seen first."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The last events of a run."""

    events: tuple[Event, ...] = ()
    """In the order in which they ended."""
    dropped: int = 0
    """How many there were before, that no room was left for."""
    threads: tuple[str, ...] = ()
    """What each thread is called, by number."""
