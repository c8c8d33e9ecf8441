"""Copies that NumPy is presumed to make of what `__array__` gave it, until it says otherwise.

What knows no `copy` argument is asked for a copy first, refuses, and is asked once more without.
`np.array` then copies what it got. `np.dot` only means the dtype, makes no copy, and asks a third
time, with the dtype. Nothing but that tells the two apart.
"""

from __future__ import annotations

from collections import defaultdict, deque
from types import FrameType
from typing import Final, NamedTuple

from tensortoll.capture.counting.sums import Sums

_MOST: Final = 4
"""Arguments that one function asks for their dtype before it reads them."""


class _Copy(NamedTuple):
    asked: tuple[int, int, int]
    """Whom, in which frame and at which instruction."""
    sums: Sums
    nbytes: int
    whole: bool
    """Whether there was no conversion but for this copy."""


class Presumed:
    """Such copies, by thread."""

    def __init__(self) -> None:
        """Start without any."""
        self._copies: defaultdict[int, deque[_Copy]] = defaultdict(lambda: deque(maxlen=_MOST))

    def add(
        self, thread: int, frame: FrameType, value: object, sums: Sums, nbytes: int, *, whole: bool
    ) -> None:
        """Take note of a copy that was added up.

        Args:
            thread: In which it was made.
            frame: That called NumPy.
            value: What was asked; it is not held.
            sums: Where the copy counts.
            nbytes: Of the copy.
            whole: Whether there was no conversion but for this copy.
        """
        asked = id(value), id(frame), frame.f_lasti
        self._copies[thread].append(_Copy(asked, sums, nbytes, whole))

    def take_back(self, thread: int, frame: FrameType, value: object) -> None:
        """Take back a copy of ``value``, now that the same call asks for it again by dtype."""
        if thread not in self._copies:
            return
        asked = id(value), id(frame), frame.f_lasti
        for one in self._copies[thread]:
            if one.asked == asked:
                one.sums.count -= one.whole
                one.sums.copies -= 1
                one.sums.read -= one.nbytes
                one.sums.written -= one.nbytes
                self._copies[thread].remove(one)
                return
