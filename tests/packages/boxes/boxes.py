"""A library of its own: numbers in a box."""

from __future__ import annotations

import numpy as np

__version__ = "1.0"


class Box:
    """Holds numbers, and does not show its memory to NumPy."""

    def __init__(self, held: np.ndarray) -> None:
        self._held = held

    def unpack(self) -> np.ndarray:
        return self._held.view()

    def repeat(self, times: int) -> Box:
        return Box(np.repeat(self._held, times))


def pack(numbers: np.ndarray) -> Box:
    return Box(numbers.astype("float32"))


def wrap(numbers: np.ndarray) -> Box:
    return Box(numbers)
