"""How a conversion is put in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tensortoll.model import Conversion, Effect, Kind, Proof, Span
from tensortoll.report.printable import ELLIPSIS, printable
from tensortoll.report.values import Message, Tone
from tensortoll.sizes import (
    format_bytes,
    format_count,
    format_rate,
    format_time,
    format_times,
)

ARROW: Final = "→"
NAME_LIMIT: Final = 80
WORTH_BYTES: Final = 4096
"""From so many bytes on, what was moved is worth showing."""

EFFECTS: Final[Mapping[Effect, str]] = {
    "layout": "laid out anew",
    "parse": "parsed from Python objects",
    "unbox": "turned into Python objects",
    "h2d": "host to device",
    "d2h": "device to host",
    "d2d": "device to device",
    "pinned": "pinned memory",
    "non_blocking": "non-blocking",
}
_LETTERS: Final = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bfloat": "bf"}
_SIZED_DTYPE: Final = re.compile(r"(float|int|uint|complex|bfloat)(\d+)(?:_(\w+))?")
_RATED_BYTES: Final = 65_536
_RATED_NS: Final = 1_000
_TOLD_NS: Final = 10_000
_DIGITS: Final = 3
_TO: Final = "\N{EN DASH}"


def short_dtype(dtype: str) -> str:
    """Return a dtype's short name: `f64`, `bf16`, `f8_e4m3fn`; as it is if it has none."""
    found = _SIZED_DTYPE.fullmatch(dtype)
    if found is None:
        return {"object": "obj"}.get(dtype, printable(dtype, 12))
    rest = f"_{found[3]}" if found[3] else ""
    return printable(_LETTERS[found[1]] + found[2] + rest, 12)


def cast_text(conversions: Iterable[Conversion]) -> str:
    """Return the casts among conversions in short: `f64→f32`, with `+2` for two more kinds."""
    kinds: dict[str, int] = {}
    for one in conversions:
        if "cast" in one.route.effects:
            origin, target = one.route.origin.dtype, one.route.target.dtype
            text = f"{short_dtype(origin)}{ARROW}{short_dtype(target)}"
            kinds[text] = kinds.get(text, 0) + one.totals.bytes_written
    if not kinds:
        return ""
    heaviest = max(kinds, key=lambda text: kinds[text])
    return heaviest if len(kinds) == 1 else f"{heaviest} +{len(kinds) - 1}"


def message(one: Conversion, end_line: int | None = None) -> Message:
    """Return what is to know about one row of a recording.

    Args:
        one: The row.
        end_line: Where its expression ends, if not on the line where it begins.
    """
    route, totals = one.route, one.totals
    parts = [flow_text(route.origin, route.target)]
    if end_line is not None:
        parts.append(f"to line {end_line}")
    if not _names(route.place.expression, route.operation):
        parts.append(f"by {printable(route.operation, NAME_LIMIT)}")
    parts += _moved(one)
    parts += (EFFECTS[effect] for effect in route.effects if effect in EFFECTS)
    if totals.elapsed_ns >= _TOLD_NS:
        rate = _rate(one)
        took = format_time(totals.elapsed_ns) + (f" at {rate}" if rate else "")
        parts.append(f"{took} to launch alone" if route.launch_only else took)
    if route.via:
        parts.append(f"via {short_path(route.via)}")
    if route.where != "main":
        parts.append(printable(route.where, NAME_LIMIT))
    if one.proof is not None:
        parts.append(_addresses(one.proof))
    manner = "implicit" if route.implicit else "explicit"
    times = f" {format_times(totals.count)}" if totals.count > 1 else ""
    head = f"{manner} {route.outcome}{times}"
    if route.outcome == "failed":
        head = f"failed{times}"
    return Message(tone_of(one), head, tuple(parts))


def tone_of(one: Conversion) -> Tone:
    """Return how much one row asks to be looked at by itself."""
    if one.route.outcome == "failed":
        return "broken"
    return "warm" if moved_bytes(one) >= WORTH_BYTES else "quiet"


def moved_bytes(one: Conversion) -> int:
    """Return the bytes that a row had to move: what it wrote, or read into Python objects."""
    if one.route.outcome != "copy":
        return 0
    return one.totals.bytes_written or one.totals.bytes_read


def flow_text(origin: Kind, target: Kind) -> str:
    """Return from what to what a conversion went."""
    # Where all is on the CPU, saying so twice in every row would only hide the rest.
    named = not origin.device == target.device == "cpu"
    return f"{_kind(origin, named=named)} {ARROW} {_kind(target, named=named)}"


def _kind(kind: Kind, *, named: bool) -> str:
    device = f"@{kind.device}" if named else ""
    return printable(f"{kind.library}:{kind.dtype}{device}", NAME_LIMIT)


def _moved(one: Conversion) -> list[str]:
    totals = one.totals
    if one.route.outcome == "view":
        return ["shares memory"]
    if one.route.outcome == "failed":
        return []
    parts = []
    amounts = [f"{format_bytes(totals.bytes_read)} read"] if totals.bytes_read else []
    if totals.bytes_written or "unbox" not in one.route.effects:
        amounts.append(f"{format_bytes(totals.bytes_written)} written")
    if amounts:
        parts.append(", ".join(amounts))
    if totals.copies > totals.count:
        each, rest = divmod(totals.copies, max(totals.count, 1))
        exact = rest == 0 and totals.count > 0
        parts.append(
            f"{format_count(each)} copies each"
            if exact and totals.count > 1
            else f"{format_count(totals.copies)} copies"
        )
    return parts


def _rate(one: Conversion) -> str:
    """Speed of the payload; only where it is large and slow enough to mean something."""
    moved = max(one.totals.bytes_read, one.totals.bytes_written)
    if one.route.outcome != "copy" or moved < _RATED_BYTES or one.totals.elapsed_ns < _RATED_NS:
        return ""
    if one.route.launch_only:
        return ""
    return format_rate(moved, one.totals.elapsed_ns)


def _names(expression: str, operation: str) -> bool:
    """Whether the expression, which the reader sees, names the operation by itself."""
    return operation.rpartition(".")[2] in expression


def short_path(path: str) -> str:
    """Return a file with its last folder, the part of a path that says which library it is."""
    pieces = path.replace("\\", "/").split("/")
    return printable("/".join(pieces[-2:]), NAME_LIMIT)


def _addresses(proof: Proof) -> str:
    """The two ranges in short: where they begin, and the last digits of where they end."""
    origin, target = proof
    digits = _DIGITS
    # Short forms that look alike must not stand for different addresses.
    while origin.start != target.start and _start(origin, digits) == _start(target, digits):
        digits += 1
    if origin == target:
        return f"both at {_span(origin, digits)}"
    meet = origin.start < target.stop and target.start < origin.stop
    return f"{_span(origin, digits)} {'overlaps' if meet else '│'} {_span(target, digits)}"


def _span(span: Span, digits: int) -> str:
    stop = f"{span.stop:x}"
    return f"{_start(span, digits)}{_TO}{stop[-digits:]}"


def _start(span: Span, digits: int) -> str:
    text = f"{span.start:x}"
    return f"0x{text}" if len(text) <= digits + 2 else f"0x{text[:2]}{ELLIPSIS}{text[-digits:]}"
