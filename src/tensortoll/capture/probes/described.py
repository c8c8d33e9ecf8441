"""Probes that need no more than to know their library's arrays when they see them.

The conversions are found in the user's own expressions; see `capture.rewriting.rewriter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from tensortoll.capture.arrays.seen import Seen, UnknownLayoutError
from tensortoll.capture.probes import Context
from tensortoll.capture.runtime.expressions import RUNNING, Describe


class DescribedProbe(ABC):
    """A probe that makes types of objects known, and replaces nothing."""

    @abstractmethod
    def describers(self) -> Mapping[type, Describe | None]:
        """Return how objects are described, by their type; None for those without elements."""

    def install(self, context: Context) -> None:  # noqa: ARG002 - nothing is replaced
        """Make the library's objects known to the rewritten expressions."""
        RUNNING.describers.update(self.describers())

    def describe(self, value: Any) -> Seen | None:
        """Return an object of the library in numbers, whether or not a watch is on."""
        known = self.describers()
        describer = next((known[base] for base in type(value).__mro__ if base in known), None)
        try:
            return None if describer is None else describer(value)
        except UnknownLayoutError:
            return None
