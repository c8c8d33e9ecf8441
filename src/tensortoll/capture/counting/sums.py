"""The sums of one group of conversions: integers that grow, and what they are the sums of."""

from __future__ import annotations

from tensortoll.model import Effect, Kind, Outcome, Proof, Totals


class Sums:
    """What is added up for one group. One is made per group, never per event."""

    __slots__ = (
        "copies",
        "count",
        "due",
        "effects",
        "elapsed_ns",
        "implicit",
        "launch_only",
        "operation",
        "origin",
        "outcome",
        "proof",
        "read",
        "shape",
        "target",
        "written",
    )

    def __init__(
        self,
        outcome: Outcome,
        origin: Kind,
        target: Kind,
        effects: tuple[Effect, ...] = (),
        *,
        operation: str | None = None,
        implicit: bool | None = None,
        shape: tuple[int, ...] | None = None,
        proof: Proof | None = None,
    ) -> None:
        """Start a group.

        Args:
            outcome: Proven by memory.
            origin: What was converted.
            target: What it became.
            effects: Sorted by name.
            operation: Where it is not what runs at the place.
            implicit: Where it is not what the place says.
            shape: Of the first array.
            proof: Where the first pair of arrays lay.
        """
        self.outcome: Outcome = outcome
        self.origin = origin
        self.target = target
        self.effects = effects
        self.operation = operation
        self.implicit = implicit
        self.shape = shape
        self.proof = proof
        self.due = 0
        """From which count on the next conversion is to be looked at closely."""
        self.count = self.copies = self.read = self.written = self.elapsed_ns = 0
        self.launch_only = False

    def include(self, other: Sums) -> None:
        """Add what another group of the same kinds counted."""
        self.count += other.count
        self.copies += other.copies
        self.read += other.read
        self.written += other.written
        self.elapsed_ns += other.elapsed_ns
        self.launch_only |= other.launch_only

    def totals(self) -> Totals:
        """Return the sums as a value."""
        return Totals(self.count, self.copies, self.read, self.written, self.elapsed_ns)
