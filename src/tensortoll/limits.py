"""How much may be converted: `copies="16 MB"`, `casts=0`, `transfers="8 MB"` of one direction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from tensortoll.model import TRANSFERS, Conversion, Effect, Outcome
from tensortoll.sizes import format_bytes, format_count, parse_bytes

Subject = Literal["copies", "casts", "transfers"]
Field = Literal["count", "copies", "bytes_written"]

SUBJECTS: Final[tuple[Subject, ...]] = ("copies", "casts", "transfers")
DIRECTIONS: Final = tuple(sorted(TRANSFERS))


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that conversions of one sort may come to, altogether."""

    subject: Subject
    most: int
    field: Field
    """What is added up: a field of `model.Totals`."""
    direction: Effect | None = None
    """Of transfers; None for all."""

    def covers(self, outcome: Outcome, effects: Collection[Effect]) -> bool:
        """Say whether a conversion of this outcome, with these effects, counts towards it."""
        if self.subject == "copies":
            return outcome == "copy"
        if self.subject == "casts":
            return "cast" in effects
        return not TRANSFERS.isdisjoint(effects) and self.direction in {None, *effects}

    def counted(self, conversions: Iterable[Conversion]) -> list[Conversion]:
        """Return those of ``conversions`` that count towards it."""
        return [one for one in conversions if self.covers(one.route.outcome, one.route.effects)]

    def broken_by(self, amount: int) -> str:
        """Return in words that an amount is more than allowed."""
        of = {"h2d": "to a device", "d2h": "to the host", "d2d": "between devices"}
        what = self.subject
        where = f" {of[self.direction]}" if self.direction else ""
        return f"{what}{where}: {self._shown(amount)}, and the limit is {self._shown(self.most)}"

    def _shown(self, amount: int) -> str:
        return format_bytes(amount) if self.field == "bytes_written" else format_count(amount)


def limit(subject: Subject, most: object, direction: object = None) -> Limit:
    """Return a limit.

    Args:
        subject: What it limits.
        most: A size, `"16 MB"`: bytes written. A number: bytes too where copies are limited, and
            else how many casts or transfers there may be.
        direction: `h2d`, `d2h` or `d2d`, for transfers; None for all.

    Raises:
        ValueError: If it is no size and no number, or there is no such direction.
    """
    if direction is not None and (subject != "transfers" or direction not in TRANSFERS):
        message = f"direction is one of {', '.join(DIRECTIONS)}, of transfers; not {direction!r}"
        raise ValueError(message)
    if not isinstance(most, str | int):
        message = f"{most!r} is no size and no number; {subject} are limited by '16 MB' or 0, say"
        raise ValueError(message)  # noqa: TRY004 - wrong like any other value
    counts = subject != "copies" and str(most).strip().replace("_", "").isdecimal()
    known = next((one for one in TRANSFERS if one == direction), None)
    return Limit(subject, parse_bytes(most), "count" if counts else "bytes_written", known)


def count_limit(most: int) -> Limit:
    """Return a limit on how many times data may be written in full."""
    return Limit("copies", most, "copies")
