"""A recording as a flame graph, in the file format of speedscope.

https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources describes it. Three
profiles: bytes written, bytes read and time; in each, sources stand over their lines, lines over
expressions, expressions over the kinds of conversion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tensortoll.model import Conversion, Totals
from tensortoll.recording import Recording
from tensortoll.report.annotation import lines_of
from tensortoll.report.printable import printable
from tensortoll.report.words import NAME_LIMIT, flow_text

SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
_PROFILES: Final[tuple[tuple[str, str, Callable[[Totals], int]], ...]] = (
    ("bytes written", "bytes", lambda totals: totals.bytes_written),
    ("bytes read", "bytes", lambda totals: totals.bytes_read),
    ("time in conversions", "nanoseconds", lambda totals: totals.elapsed_ns),
)


def flame_graph(recording: Recording) -> dict[str, object]:
    """Return a recording as speedscope's document."""
    frames = _Frames()
    stacks = [(frames.of(one), one.totals) for one in recording.conversions]
    # The viewer adds equal stacks up where they stand side by side.
    stacks.sort(key=lambda one: one[0])
    profiles = []
    for name, unit, amount in _PROFILES:
        told = [(stack, amount(totals)) for stack, totals in stacks if amount(totals)]
        profiles.append(
            {
                "type": "sampled",
                "name": name,
                "unit": unit,
                "startValue": 0,
                "endValue": sum(weight for _, weight in told),
                "samples": [stack for stack, _ in told],
                "weights": [weight for _, weight in told],
            }
        )
    return {
        "$schema": SCHEMA,
        "name": "tensortoll",
        "exporter": "tensortoll",
        "activeProfileIndex": 0,
        "shared": {"frames": frames.listed},
        "profiles": profiles,
    }


class _Frames:
    """Frames by number, each once."""

    def __init__(self) -> None:
        self.listed: list[dict[str, object]] = []
        self._numbers: dict[tuple[object, ...], int] = {}
        self._texts: dict[str, list[str]] = {}

    def of(self, one: Conversion) -> list[int]:
        """Return the stack of a conversion, from the source inwards."""
        route, place = one.route, one.route.place
        file = printable(place.source.name, NAME_LIMIT)
        line = f"line {place.line}: {printable(self._line(one).strip(), NAME_LIMIT)}"
        effects = "".join(f", {effect}" for effect in route.effects)
        told = f"{route.outcome}{effects}: {flow_text(route.origin, route.target)}"
        return [
            self._number(file, file, None),
            self._number(line, file, place.line),
            self._number(printable(place.expression, NAME_LIMIT) or "?", file, place.line),
            self._number(told, file, place.line),
        ]

    def _number(self, name: str, file: str, line: int | None) -> int:
        key = (name, file, line)
        if key not in self._numbers:
            self._numbers[key] = len(self.listed)
            frame: dict[str, object] = {"name": name, "file": file}
            if line is not None:
                frame["line"] = line
            self.listed.append(frame)
        return self._numbers[key]

    def _line(self, one: Conversion) -> str:
        place = one.route.place
        text = place.source.text or ""
        if text not in self._texts:
            self._texts[text] = lines_of(text)
        lines = self._texts[text]
        return lines[place.line - 1] if 0 < place.line <= len(lines) else place.expression
