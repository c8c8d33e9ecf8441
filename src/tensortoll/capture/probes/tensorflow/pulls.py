"""Which line takes the elements that TensorFlow's threads prepare, while the cell goes on.

A pipeline runs ahead: its Python functions are called while the main thread is lines further, or
in another loop. They belong to the line that takes elements out of the iterator they were seen to
work for, as long as that iterator lives.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

from tensortoll.capture.counting.recorder import Located, Site, Table
from tensortoll.capture.probes import Context


class _Running(threading.local):
    token: object = None
    """The function that runs in the thread that asks, by TensorFlow's name for it."""


class Pulls:
    """What is being taken out of iterators, and what worked for them."""

    def __init__(self, context: Context) -> None:
        """Start with no iterator."""
        self.running = _Running()
        self._context = context
        self._now: tuple[weakref.ref[Any], Located] | None = None
        self._of_token: dict[object, tuple[weakref.ref[Any], Located]] = {}

    def install(self) -> None:
        """Replace the method that hands out elements."""
        from tensorflow.python.data.ops import iterator_ops

        self._context.patches.replace(iterator_ops.OwnedIterator, "__next__", self._watched)

    def site(self, table: Table, frame: FrameType | None) -> Site | None:
        """Return the site to charge for what a function did that TensorFlow has called."""
        site = self._context.places.site(table, frame)
        if site is None or not site.located.waiting:
            return site
        token, now = self.running.token, self._now
        if now is not None:
            self._of_token[token] = now
            return site
        known = self._of_token.get(token)
        if known is None:
            return site
        iterator, pull = known
        if iterator() is None:
            self._of_token.pop(token, None)  # another of TensorFlow's threads may have been first
            return site
        located = replace(site.located, place=pull.place, operation=pull.operation)
        return table.retired.setdefault(located, Site(located, table))

    def _watched(self, original: Callable[..., Any]) -> Any:
        local, site_of = self._context.recorder.local, self._context.places.site

        @functools.wraps(original)
        def __next__(iterator: Any) -> Any:
            table = local.table
            if table.thread is not None or self._now is not None:
                return original(iterator)
            try:
                site = site_of(table, sys._getframe(1))
                if site is not None:
                    self._now = weakref.ref(iterator), site.located
            except Exception as error:
                self._context.recorder.fault("tensorflow iterators", error)
            try:
                return original(iterator)
            finally:
                self._now = None

        return __next__
