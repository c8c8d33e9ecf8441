"""What is to be looked at, in the format that code hosts show as annotations: SARIF 2.1.0.

https://docs.oasis-open.org/sarif/sarif/v2.1.0 is the standard. Files are named as the recording
names them, so that paths relative to the repository stay so; lines and columns count from 1.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from tensortoll import __version__
from tensortoll.comparison import Change, Comparison
from tensortoll.model import Failure, Finding, Hazard, Place, Source
from tensortoll.recording import Recording
from tensortoll.report.changes import change_text
from tensortoll.report.printable import printable
from tensortoll.sizes import format_bytes, format_time

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_RESULTS: Final = 5_000
"""So many results are written; code hosts refuse files with more."""
_FAILED: Final = "conversion-fails"
_HAZARD: Final = "shared-memory-written"
_INCREASE: Final = "costs-more"
_ABOUT: Final = {
    _FAILED: "A conversion raises.",
    _HAZARD: "Memory that two arrays share is written while both are alive.",
    _INCREASE: "A conversion costs more than it did: more copies, bytes, casts or transfers.",
}
_Level = Literal["error", "warning", "note"]


class _Result(NamedTuple):
    rule: str
    level: _Level
    text: str
    source: Source
    line: int
    place: Place | None
    mark: str
    """What makes it the same result in another version of the code."""


def findings(recording: Recording) -> dict[str, object]:
    """Return the findings, failures and hazards of a recording."""
    return _document(
        [
            *map(_failure, recording.failures),
            *map(_hazard, recording.hazards),
            *map(_finding, recording.findings),
        ],
        {one.rule: one.title for one in reversed(recording.findings)},
    )


def increases(comparison: Comparison) -> dict[str, object]:
    """Return what got worse from one recording to another."""
    return _document(
        [
            *map(_failure, comparison.new_failures),
            *map(_hazard, comparison.new_hazards),
            *map(_increase, comparison.worse),
        ],
        {},
    )


def _failure(one: Failure) -> _Result:
    text = _sentences(one.error, one.explanation, one.remedy)
    mark = f"{one.expression}\n{one.cause}"
    return _Result(_FAILED, "error", text, one.source, one.line, None, mark)


def _hazard(one: Hazard) -> _Result:
    text = _sentences(
        f"{one.written} is written, and {one.aliased} shares its memory since {one.since}",
        one.detail,
    )
    mark = f"{one.written}\n{one.aliased}"
    return _Result(_HAZARD, "error", text, one.source, one.write_line, None, mark)


def _finding(one: Finding) -> _Result:
    saved = [
        format_bytes(one.saved_bytes) if one.saved_bytes > 0 else "",
        format_time(one.saved_ns) if one.saved_ns > 0 else "",
    ]
    worth = " and ".join(part for part in saved if part)
    told = f"Write: {one.suggestion}" if one.suggestion else ""
    tried = "tried out" if one.verified else "not tried out"
    text = _sentences(
        one.title, told, f"Saves {worth}, {tried}" if worth else tried.capitalize(), *one.caveats
    )
    level: _Level = "warning" if one.verified else "note"
    return _Result(
        printable(one.rule, 40) or "finding", level, text, one.source, one.line, None, one.title
    )


def _increase(one: Change) -> _Result:
    place = one.place
    text = _sentences(f"{place.expression}: {change_text(one)}")
    return _Result(_INCREASE, "warning", text, place.source, place.line, place, place.expression)


def _sentences(*texts: str) -> str:
    told = (printable(text).rstrip(". ") for text in texts)
    return " ".join(f"{text}." for text in told if text)


def _document(results: list[_Result], titles: dict[str, str]) -> dict[str, object]:
    shown = results[:MOST_RESULTS]
    rules = sorted({one.rule for one in shown})
    run: dict[str, object] = {
        "tool": {
            "driver": {
                "name": "tensortoll",
                "version": __version__,
                "rules": [_rule(rule, titles) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, rules) for one in shown],
    }
    if len(results) > len(shown):
        told = f"{len(results) - len(shown):,} more results are left out."
        run["invocations"] = [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "note", "message": {"text": told}}],
            }
        ]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: str, titles: dict[str, str]) -> dict[str, object]:
    text = _ABOUT.get(rule) or printable(titles.get(rule, rule)) or rule
    return {"id": rule, "shortDescription": {"text": text}}


def _result(one: _Result, rules: list[str]) -> dict[str, object]:
    mark = f"{one.rule}\n{one.source.name}\n{one.mark}".encode(errors="surrogatepass")
    physical: dict[str, object] = {"artifactLocation": {"uri": _uri(one.source.name)}}
    region = _region(one.line, one.place)
    if region:
        physical["region"] = region
    return {
        "ruleId": one.rule,
        "ruleIndex": rules.index(one.rule),
        "level": one.level,
        "message": {"text": one.text or one.rule},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"tensortoll/v1": hashlib.sha256(mark).hexdigest()[:32]},
    }


def _uri(name: str) -> str:
    return quote(name.replace("\\", "/"), safe="/", errors="replace") or "unknown"


def _region(line: int, place: Place | None) -> dict[str, int]:
    if line < 1:
        return {}
    region = {"startLine": line}
    if place is not None and place.column is not None and place.end_column is not None:
        end = max(place.end_line, line)
        if end > line or place.end_column > place.column:
            region.update(startColumn=place.column + 1, endLine=end, endColumn=place.end_column + 1)
    return region
