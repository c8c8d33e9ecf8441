"""Which guards and allowances are on in the task that runs."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Final, Literal

from tensortoll.errors import LimitError
from tensortoll.limits import Limit, Subject

Failures = Literal["raise", "warn"]
"""What a broken limit gives."""


class Scope:
    """One guard or allowance that was entered. Seen by the tasks that began inside of it."""

    def __init__(
        self, limits: tuple[Limit, ...], allowed: frozenset[Subject], failures: Failures
    ) -> None:
        """Begin, in this thread."""
        self.limits = limits
        self.allowed = allowed
        self.failures = failures
        self.amounts = dict.fromkeys(limits, 0)
        self.thread = threading.get_ident()
        """That entered it; 0 once it has ended, for the tasks that began inside and go on."""
        self.told: set[object] = set()
        """Places that were warned of."""
        self.unraised: LimitError | None = None
        """Of a conversion that no line of the user's made: raised where the block ends."""

    def end(self) -> None:
        """Count nothing more."""
        self.thread = 0

    def is_broken(self, one: Limit) -> bool:
        """Say whether a limit of its own is broken, while it is on."""
        return self.thread != 0 and self.amounts[one] > one.most


SCOPES: Final[ContextVar[tuple[Scope, ...]]] = ContextVar("tensortoll_guards", default=())
"""The outermost first."""
