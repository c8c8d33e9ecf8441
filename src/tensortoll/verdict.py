"""What is to be known of one expression."""

from __future__ import annotations

from dataclasses import dataclass

from tensortoll.model import Kind, Sharing
from tensortoll.recording import Recording


@dataclass(frozen=True, slots=True)
class Way:
    """One expression that gives the same result, and what it costs here and now."""

    expression: str
    shares: bool
    """Whether its result shares memory with the array that it was made of."""
    bytes_written: int
    median_ns: int
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be known of one expression, or of arrays that stand already."""

    expression: str
    recording: Recording
    """The conversions of evaluating it once."""
    result: Kind | None = None
    """What it gave; None where that is no array of a known library."""
    shape: tuple[int, ...] | None = None
    contiguous: bool | None = None
    """Whether the result's elements lie in C order without gaps."""
    sharing: tuple[Sharing, ...] = ()
    """The result beside each array that the expression names; or the arrays, in pairs."""
    times_ns: tuple[int, ...] = ()
    """Of each evaluation without a watch, in order; of the watched one where that is the only."""
    once_because: str | None = None
    """Why it was evaluated only once; None where it was repeated."""
    machine_bytes_per_s: float | None = None
    """How fast this machine copies as many bytes, warm; None where nothing worth it was copied."""

    @property
    def outcome(self) -> str:
        """`view`, `copy`, or `nothing` where no conversion was seen."""
        kinds = {one.route.outcome for one in self.recording.conversions}
        return "copy" if "copy" in kinds else "view" if "view" in kinds else "nothing"

    @property
    def copies(self) -> int:
        """How many times data was written in full."""
        return self.recording.copies

    @property
    def median_ns(self) -> int:
        """The middle one of the times; 0 where there is none."""
        return sorted(self.times_ns)[len(self.times_ns) // 2] if self.times_ns else 0
