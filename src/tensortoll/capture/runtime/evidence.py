"""What a conversion was handed: facts on the arrays that its expression names, never the arrays.

A recording says what a conversion cost. To try another way on arrays made for the purpose, one has
to know more: strides, alignment, whether they can be written. It is looked up once for each place,
at its first conversion, so that no later event pays for it; and again, by name, when the text has
ended, so that an array that was written meanwhile is told from one that was not.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Final

from tensortoll.capture.arrays.facts import Fact, fact_of
from tensortoll.capture.text.paths import Variables, paths, value_of
from tensortoll.capture.text.signs import parsed
from tensortoll.model import Place

MOST_PLACES: Final = 500
MOST_NAMES: Final = 12


class Evidence:
    """Facts by place and by how the user wrote it: `x`, `self.rows`, `batch["image"]`."""

    def __init__(self, fault: Callable[[str, BaseException], None]) -> None:
        """Start without any.

        Args:
            fault: Told of a failure to look, which must not reach the user's code.
        """
        self._fault = fault
        self._facts: dict[Place, dict[str, Fact]] = {}

    def of(self, place: Place) -> Mapping[str, Fact]:
        """Return what is known of the arrays that a place names."""
        return self._facts.get(place, {})

    def note(self, place: Place, frame: FrameType) -> None:
        """Look up what the expression of a place names, in the frame that runs it.

        Called once per place. Runs no code of the user's: attributes are looked up where they are
        stored, and nothing is indexed but lists, dicts and plain arrays.
        """
        if len(self._facts) >= MOST_PLACES or place in self._facts:
            return
        self._facts[place] = {}
        try:
            node = parsed(place.expression)
            if node is not None:
                self._facts[place] = dict(_facts(node, frame))
        except Exception as error:
            self._fault("evidence", error)


def _facts(node: ast.expr, frame: FrameType) -> Iterator[tuple[str, Fact]]:
    variables = Variables(frame)
    try:
        for path in itertools.islice(paths(node), MOST_NAMES):
            fact = fact_of(value_of(path, variables.get))
            if fact is not None:
                yield ast.unparse(path), fact
    finally:
        variables.clear()
