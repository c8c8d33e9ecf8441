"""Many recordings of one program, read fast: what was looked at once is not looked at again.

Rows of the same place differ in their numbers alone. So a row's text is cut in two, and what is
not numbers is parsed and checked once. It works on the layout that `Recording.save` writes; any
other is left to be read in the ordinary way. In JSON no quotation mark stands in a text without a
backslash before it, so what is searched for here is never part of a user's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tensortoll.document import Item
from tensortoll.format import contents_of, conversion_in
from tensortoll.model import Conversion, Proof, Route, Source, Span, Totals

_BEGIN: Final = '"conversions": ['
_END: Final = '], "lines": ['
_ROW: Final = '{"source": '
_COUNT: Final = ', "count": '
_VIA: Final = ', "via": '
_PROOF: Final = ', "proof": '
_CUT_OUT: Final = '"conversions": "cut out"'
# Nineteen digits are below the 64 bits that a recording's numbers may have.
_NUMBER: Final = "(0|[1-9][0-9]{0,18})"
_NUMBERS: Final = re.compile(
    f'{_NUMBER}, "copies": {_NUMBER}, "bytes_read": {_NUMBER}, "bytes_written": {_NUMBER}, '
    f'"elapsed_ns": {_NUMBER}'
)
_NO_NUMBERS: Final = '0, "copies": 0, "bytes_read": 0, "bytes_written": 0, "elapsed_ns": 0'
_SPANS: Final = re.compile(
    rf'\{{"origin": \[{_NUMBER}, {_NUMBER}\], "target": \[{_NUMBER}, {_NUMBER}\]\}}\}}, '
)


class _OtherLayoutError(Exception):
    """The text is to be read in the ordinary way, which also says what is wrong with it."""


class Tally:
    """The rows of many recordings, added up while they are read."""

    def __init__(self) -> None:
        """Start with none."""
        self._sources: dict[Source, Source] = {}
        self._rows: dict[tuple[Source, ...], dict[tuple[str, str], _Row]] = {}

    def add(self, content: bytes) -> dict[str, Any] | None:
        """Add the rows of a recording, and return what else it is made of.

        None stands for a text of another layout, be it a recording or not: nothing was added.
        """
        try:
            return self._add(content.decode("ascii"))
        except (_OtherLayoutError, ValueError, RecursionError):
            return None

    def conversions(self) -> tuple[Conversion, ...]:
        """Return the sums of all rows that were added."""
        rows = (row for known in self._rows.values() for row in known.values())
        # A row of a file that was refused further on was looked at, and never added.
        return tuple(row.conversion() for row in rows if row.is_added)

    def _add(self, text: str) -> dict[str, Any]:
        start = text.find(_BEGIN)
        stop = text.find(_END, start)
        if start < 0 or stop < 0:
            raise _OtherLayoutError
        document = json.loads(text[:start] + _CUT_OUT + text[stop + 1 :])
        if not isinstance(document, dict) or document.get("conversions") != "cut out":
            raise _OtherLayoutError  # what was cut out was not the recording's own
        document["conversions"] = []
        contents = contents_of(document)
        sources = tuple(self._sources.setdefault(one, one) for one in contents["sources"])
        # All of it, before any of it is added: the last row may be the wrong one.
        for row, numbers, proof in list(self._found(text[start + len(_BEGIN) : stop], sources)):
            row.add(numbers, proof)
        return {**contents, "sources": sources}

    def _found(self, text: str, sources: tuple[Source, ...]) -> Iterator[_Addition]:
        known = self._rows.setdefault(sources, {})
        first, *rows = text.split(_ROW)
        if first or not rows:
            raise _OtherLayoutError
        rows[-1] += ", "
        for text_of_row in rows:
            head, _, tail = text_of_row.partition(_COUNT)
            numbers, _, tail = tail.partition(_VIA)
            rest, has_proof, proof = tail.partition(_PROOF)
            found = _NUMBERS.fullmatch(numbers)
            spans = _SPANS.fullmatch(proof) if has_proof else None
            if found is None or (spans is None and (has_proof or rest[-3:] != "}, ")):
                raise _OtherLayoutError
            if spans is None:
                rest = rest[:-3]
            row = known.get((head, rest))
            if row is None:
                row = known[head, rest] = _Row(*_looked_at(head, rest, sources))
            yield row, found.groups(), None if spans is None else _ends(spans.groups())


class _Row:
    """The sum of one place's rows."""

    __slots__ = ("_numbers", "_proof", "_route", "_shape", "is_added")

    def __init__(self, route: Route, shape: tuple[int, ...] | None) -> None:
        self.is_added = False
        self._route = route
        self._shape = shape
        self._numbers = (0, 0, 0, 0, 0)
        self._proof: _Ends | None = None

    def add(self, numbers: Sequence[str], proof: _Ends | None) -> None:
        """Add one row; of the proofs the least is kept, as in any sum of recordings."""
        self.is_added = True
        a, b, c, d, e = self._numbers
        count, copies, read, written, elapsed_ns = numbers
        self._numbers = (
            a + int(count),
            b + int(copies),
            c + int(read),
            d + int(written),
            e + int(elapsed_ns),
        )
        if proof is not None and (self._proof is None or proof < self._proof):
            self._proof = proof

    def conversion(self) -> Conversion:
        """Return the sum as a value."""
        proof = self._proof
        spans = None if proof is None else Proof(Span(*proof[:2]), Span(*proof[2:]))
        return Conversion(self._route, Totals(*self._numbers), self._shape, spans)


_Ends = tuple[int, int, int, int]
_Addition = tuple[_Row, Sequence[str], _Ends | None]


def _looked_at(
    head: str, rest: str, sources: tuple[Source, ...]
) -> tuple[Route, tuple[int, ...] | None]:
    """Return what a row says beside its numbers.

    Raises:
        RecordingFormatError: If it says what no row may say.
    """
    item = Item(json.loads(f"{_ROW}{head}{_COUNT}{_NO_NUMBERS}{_VIA}{rest}}}"))
    one = conversion_in(item, sources)
    if any(one.totals):  # a number that stands twice, of which the last one counts
        raise _OtherLayoutError
    return one.route, one.shape


def _ends(groups: Sequence[str]) -> _Ends:
    a, b, c, d = map(int, groups)
    if a > b or c > d:
        raise _OtherLayoutError
    return a, b, c, d
