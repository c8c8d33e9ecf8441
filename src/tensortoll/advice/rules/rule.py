"""What a rule is: what it looks for, and what `tensortoll explain` says of it."""

from __future__ import annotations

from dataclasses import dataclass

from tensortoll.advice.case import Find


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of advice."""

    code: str
    """`TT101`; see the families in the package."""
    title: str
    find: Find
    cause: str
    """Why it is as it is; one paragraph."""
    cure: str
    """What to write instead, and when not to."""
    example: str
    """A program that runs, with the costly form and the better one, each with its line."""
    caveats: tuple[str, ...] = ()
