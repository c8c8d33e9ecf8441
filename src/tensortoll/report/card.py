"""A verdict on one expression: a few labelled values, as `%convcheck` prints them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """What is to know about one conversion. Renderers make its texts harmless themselves."""

    title: str
    """What was checked, as its author wrote it."""
    verdict: str
    """One sentence."""
    rows: tuple[tuple[str, str], ...] = ()
    """Labels and values."""
    notes: tuple[str, ...] = ()
    """What else to know, one sentence each."""
