"""Numbers as people read them: bytes, times, counts, rates and shares; and sizes read back.

Bytes are decimal, as memory bandwidth and disks are sold: 1 MB is 1,000,000 bytes. Everything is
computed from integers, so that a number never changes its unit by a rounding of floats.
"""

from __future__ import annotations

import re
from typing import Final

_BYTE_UNITS: Final = ("kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_TIME_UNITS: Final = (("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000))
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_WHOLE_SECONDS: Final = 100
_FACTORS: Final = {
    "": 1,
    "b": 1,
    **{prefix + "b": 1000**n for n, prefix in enumerate("kmgtpe", start=1)},
    **{prefix + "ib": 1024**n for n, prefix in enumerate("kmgtpe", start=1)},
}
_SIZE: Final = re.compile(r"([0-9][0-9_,]*)(?:\.([0-9]+))?\s*([a-zA-Z]*)")

TIMES: Final = "\N{MULTIPLICATION SIGN}"
"""The sign before a count."""


def format_bytes(nbytes: int) -> str:
    """Return bytes in three significant digits: `12 B`, `80.0 MB`, `1.21 GB`."""
    if nbytes < 0:
        return "-" + format_bytes(-nbytes)
    if nbytes < 1000:  # noqa: PLR2004 - the first unit
        return f"{nbytes} B"
    unit = 1000
    for name in _BYTE_UNITS:
        digits = _significant(nbytes, unit, 3)
        if digits is not None:
            return f"{digits} {name}"
        unit *= 1000
    return f"more than 999 {_BYTE_UNITS[-1]}"


def format_time(nanoseconds: int) -> str:
    """Return a time in two significant digits below a second, in three above: `31 ms`, `1.84 s`."""
    if nanoseconds < 0:
        return "-" + format_time(-nanoseconds)
    if nanoseconds < 1000:  # noqa: PLR2004 - the first unit
        return f"{nanoseconds} ns"
    for name, unit in _TIME_UNITS:
        digits = _significant(nanoseconds, unit, 3 if name == "s" else 2)
        # From 100 s on, minutes say more.
        if digits is not None and not (name == "s" and nanoseconds >= _WHOLE_SECONDS * unit):
            return f"{digits} {name}"
    seconds = nanoseconds // 1_000_000_000
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S:02} s"
    return f"{seconds // _HOUR_S:,} h {seconds % _HOUR_S // _MINUTE_S:02} min"


def format_count(number: int) -> str:
    """Return a whole number with its thousands apart: `10,000`."""
    return f"{number:,}"


def format_times(number: int) -> str:
    """Return how often something happened, with the multiplication sign before the number."""
    return f"{TIMES}{number:,}"


def format_share(part: int, whole: int) -> str:
    """Return part of whole in per cent: `38 %`, `<1 %` for a little; empty if there is no whole."""
    if whole <= 0:
        return ""
    percent = (200 * part + whole) // (2 * whole)
    if part > 0 and percent == 0:
        return "<1 %"
    return f"{percent:,} %"


def format_rate(nbytes: int, nanoseconds: int) -> str:
    """Return a speed in two significant digits: `2.6 GB/s`; empty if no time went by."""
    if nanoseconds <= 0:
        return ""
    a_second = nbytes * 1_000_000_000 // nanoseconds
    unit = 1000
    for name in _BYTE_UNITS:
        digits = _significant(a_second, unit, 2)
        if digits is not None:
            return f"{digits} {name}/s"
        unit *= 1000
    return ""


def parse_bytes(text: str | int) -> int:
    """Return the bytes that a size names: `16 MB`, `1.5GB`, `4 KiB`, `1_000`.

    `kB`, `MB` … are powers of 1000 and `KiB`, `MiB` … of 1024; case does not matter. A fraction
    of a byte is cut off.

    Raises:
        ValueError: If it is no such size, or negative.
    """
    if isinstance(text, int):
        if isinstance(text, bool) or text < 0:
            message = f"{text!r} is no size; write bytes or a text such as '16 MB'"
            raise ValueError(message)
        return text
    found = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(found[3].lower()) if found else None
    if found is None or factor is None:
        message = f"{text!r} is no size; write one such as '16 MB', '1.5 GB', '4 KiB' or '4096'"
        raise ValueError(message)
    whole = found[1].replace(",", "").replace("_", "")
    decimals = found[2] or ""
    nbytes: int = int(whole + decimals) * factor // 10 ** len(decimals)
    return nbytes


def _significant(number: int, unit: int, digits: int) -> str | None:
    """Return number / unit with so many significant digits; None if it takes 1,000 or more."""
    for decimals in range(digits - 1, -1, -1):
        scaled = (2 * number * 10**decimals + unit) // (2 * unit)
        limit = 1000 if decimals == 0 else 10**digits
        if scaled < limit:
            if decimals == 0:
                return str(scaled)
            whole, rest = divmod(scaled, 10**decimals)
            return f"{whole}.{rest:0{decimals}}"
    return None
