"""`%convcheck`: its options, and what is asked of an expression, a target or a namespace."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from IPython.core.error import UsageError

from tensortoll.advice.routes import parsed_target, routes_of, routes_to
from tensortoll.capture.arrays.facts import Held, fact_of
from tensortoll.capture.checking import check_source
from tensortoll.capture.sharing import sharings
from tensortoll.capture.text.sources import all_but_libraries
from tensortoll.capture.watch import Watch
from tensortoll.errors import LimitError, TargetError
from tensortoll.model import Source
from tensortoll.recording import Recording
from tensortoll.report.card import Card
from tensortoll.report.verdict_card import card_of, card_of_aliases, card_of_ways
from tensortoll.sizes import format_bytes, parse_bytes

MAGIC: Final = "%convcheck"
ARROW: Final = "->"
MOST_NAMES: Final = 200
"""Arrays of a namespace that are compared in pairs; beyond, the first ones are."""
_FLAG: Final = re.compile(r"(?:^|(?<=\s))--(aliases|no-casts|no-transfers)(?=\s|$)")
_VALUE: Final = re.compile(
    r"(?:^|(?<=\s))--(max-copies|max-bytes)[ =]+"
    r"(\"[^\"]*\"|'[^']*'|[\d_.,]+(?:\s?[kKMGT]?i?B\b)?)(?=\s|$)"
)
_ANY_OPTION: Final = re.compile(r"(?:^|(?<=\s))--[a-z][\w-]*")


@dataclass
class Asked:
    """What a magic's line asks for."""

    text: str
    aliases: bool = False
    no_casts: bool = False
    no_transfers: bool = False
    max_copies: int | None = None
    max_bytes: int | None = None

    def hold(self, recording: Recording) -> None:
        """Hold what an expression did against the limits.

        Raises:
            LimitError: If it broke one; the message says which, and by how much.
        """
        written = recording.bytes_written
        broken = []
        if self.max_copies is not None and recording.copies > self.max_copies:
            copies = "copy" if recording.copies == 1 else "copies"
            broken.append(f"{recording.copies} {copies}, where {self.max_copies} are allowed")
        if self.max_bytes is not None and written > self.max_bytes:
            allowed = format_bytes(self.max_bytes)
            broken.append(f"{format_bytes(written)} written, where {allowed} are allowed")
        if self.no_casts and recording.casts:
            casts = "cast" if recording.casts == 1 else "casts"
            broken.append(f"{recording.casts} {casts}, where none is allowed")
        if self.no_transfers and recording.transfers:
            broken.append(f"{recording.transfers} transfers, where none is allowed")
        if broken:
            msg = f"{self.text}: {'; '.join(broken)}"
            raise LimitError(msg)


def asked(line: str) -> Asked:
    """Return what a line asks for.

    Raises:
        UsageError: If an option is unknown, or its value no number or size.
    """
    found = Asked("")
    for name in _FLAG.findall(line):
        setattr(found, name.replace("-", "_"), True)
    line = _FLAG.sub("", line)
    for name, value in _VALUE.findall(line):
        try:
            size = parse_bytes(value.strip("\"'"))
        except ValueError as error:
            msg = f"{MAGIC} --{name}: {error}"
            raise UsageError(msg) from None
        setattr(found, name.replace("-", "_"), size)
    # A semicolon keeps IPython from showing the value again, and is no part of the expression.
    found.text = _VALUE.sub("", line).strip().rstrip("; ")
    wrong = _ANY_OPTION.match(found.text)
    if wrong is not None:
        msg = f"{MAGIC} does not know {wrong[0]!r}, or wants a number or a size behind it"
        raise UsageError(msg)
    return found


@dataclass(frozen=True)
class Answer:
    """What to show, what to return, and what to hold against the limits."""

    card: Card
    value: Any = None
    recording: Recording | None = None


def answered(
    request: Asked,
    namespace: dict[str, Any],
    resolve: Callable[[str], Source | None],
    history: Sequence[Recording],
) -> Answer:
    """Return what is to be known of a request.

    Raises:
        SyntaxError: If its text is no expression.
        TensortollError: If a watch is on, or a target can't be reached.
        BaseException: What the expression raises.
    """
    __tracebackhide__ = True
    if request.aliases:
        return Answer(_aliases(request.text, namespace, history))
    if ARROW in request.text:
        source, _, wanted = request.text.rpartition(ARROW)
        ways = routes_to(source.strip(), parsed_target(wanted), namespace)
        return Answer(card_of_ways(request.text, ways))
    checked = check_source(request.text, namespace, resolve=resolve, history=history)
    ways = routes_of(checked, request.text, namespace)
    return Answer(card_of(checked.verdict, ways), checked.value, checked.verdict.recording)


def _aliases(text: str, namespace: dict[str, Any], history: Sequence[Recording]) -> Card:
    """Return which arrays share memory: of all names, of those in ``text``, or the one there.

    Raises:
        TargetError: If a name is none of an array.
    """
    every = [name for name in namespace if name[:1] != "_" and _is_array(name, namespace)]
    wanted = text.replace(",", " ").split()
    for name in wanted:
        if not _is_array(name, namespace):
            msg = f"{name!r} is no name of an array"
            raise TargetError(msg)
    alone = wanted[0] if len(wanted) == 1 else ""
    names = [one for one in every if one != alone] if alone else wanted or every
    compared = names[:MOST_NAMES]
    arrays = [(one, namespace[one]) for one in compared]
    first = ((alone, namespace[alone]),) if alone else ()
    pairs = itertools.product(first, arrays) if alone else itertools.combinations(arrays, 2)
    with Watch(all_but_libraries()) as watch:
        pass  # so that the libraries' arrays are known
    found = tuple(sharings(watch, pairs, history))
    return card_of_aliases(found, len(compared), len(names) - len(compared), alone)


def _is_array(name: str, namespace: dict[str, Any]) -> bool:
    return isinstance(fact_of(namespace.get(name)), Held)
