"""Many recordings of one program, read fast: what was looked at once is not looked at again.

Rows of the same place differ in their numbers alone. So a row's text is cut in two, and what is
not numbers is parsed and checked once. It works on the layout that `Recording.save` writes; any
other is left to be read in the ordinary way. In JSON no quotation mark stands in a text without a
backslash before it, so what is searched for here is never part of a user's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
    rf'\{{"origin": \[{_NUMBER}, {_NUMBER}\], "target": \[{_NUMBER}, {_NUMBER}\]\}}'
)
_Rows = dict[tuple[str, str], tuple[Route, tuple[int, ...] | None]]


class _OtherLayoutError(Exception):
    """The text is to be read in the ordinary way, which also says what is wrong with it."""


class Known:
    """What recordings said that were read before."""

    def __init__(self) -> None:
        """Start knowing nothing."""
        self._sources: dict[Source, Source] = {}
        self._rows: dict[tuple[Source, ...], _Rows] = {}

    def contents(self, content: bytes) -> dict[str, Any] | None:
        """Return what a recording is made of, as `format.contents_of` does.

        None stands for a text of another layout, be it a recording or not.
        """
        try:
            return self._contents(content.decode("ascii"))
        except (_OtherLayoutError, ValueError, RecursionError):
            return None

    def _contents(self, text: str) -> dict[str, Any]:
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
        rows = text[start + len(_BEGIN) : stop]
        return {
            **contents,
            "sources": sources,
            "conversions": tuple(self._conversions(rows, sources)),
        }

    def _conversions(self, text: str, sources: tuple[Source, ...]) -> Iterator[Conversion]:
        known = self._rows.setdefault(sources, {})
        first, *rows = text.split(_ROW)
        if first or not rows:
            raise _OtherLayoutError
        rows[-1] += ", "
        for row in rows:
            head, _, tail = row.partition(_COUNT)
            numbers, _, tail = tail.partition(_VIA)
            rest, has_proof, proof = tail.partition(_PROOF)
            found = _NUMBERS.fullmatch(numbers)
            if found is None or not row.endswith("}, "):
                raise _OtherLayoutError
            if not has_proof:
                rest = rest[:-3]
            kept = known.get((head, rest))
            if kept is None:
                kept = known[head, rest] = _looked_at(head, rest, sources)
            yield Conversion(
                kept[0],
                Totals(*map(int, found.groups())),
                kept[1],
                _proof(proof[:-3]) if has_proof else None,
            )


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


def _proof(text: str) -> Proof:
    found = _SPANS.fullmatch(text)
    if found is None:
        raise _OtherLayoutError
    a, b, c, d = map(int, found.groups())
    if a > b or c > d:
        raise _OtherLayoutError
    return Proof(Span(a, b), Span(c, d))
