"""
Numbers keep their meaning when they are written for people.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortoll.sizes import (
    format_bytes,
    format_rate,
    format_share,
    format_time,
    format_times,
    parse_bytes,
)


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (80_000_000, "80.0 MB"),
        (1_210_000_000, "1.21 GB"),
        (620_400_000, "620 MB"),
        (-40_000_000, "-40.0 MB"),
    ],
)
def test_bytes_have_three_digits(nbytes, expected):
    """
    Bytes are given in decimal units and three significant digits.
    """
    assert expected == format_bytes(nbytes)


@pytest.mark.parametrize(
    ("nbytes", "expected"), [(999_500, "1.00 MB"), (999_499, "999 kB"), (99_960, "100 kB")]
)
def test_rounding_up_changes_the_unit(nbytes, expected):
    """
    What rounds up to a thousand of a unit is one of the next.
    """
    assert expected == format_bytes(nbytes)


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0 ns"),
        (850, "850 ns"),
        (4_100, "4.1 µs"),
        (31_000_000, "31 ms"),
        (1_840_000_000, "1.84 s"),
        (99_900_000_000, "99.9 s"),
        (200_000_000_000, "3 min 20 s"),
        (11_520_000_000_000, "3 h 12 min"),
    ],
)
def test_times(nanoseconds, expected):
    """
    Times have two significant digits below a second, three above, and minutes from 100 seconds.
    """
    assert expected == format_time(nanoseconds)


def test_shares_never_hide_a_little():
    """
    A little is less than one per cent and not nothing, and no share is taken of nothing.
    """
    assert ["38 %", "<1 %", "0 %", "100 %", ""] == [
        format_share(38, 100),
        format_share(1, 1000),
        format_share(0, 1000),
        format_share(5, 5),
        format_share(5, 0),
    ]


def test_rates_and_counts():
    """
    A rate is bytes by time, without which there is none; a count has its thousands apart.
    """
    assert "2.6 GB/s" == format_rate(80_000_000, 31_000_000)
    assert "" == format_rate(80, 0)
    assert "\N{MULTIPLICATION SIGN}1,000" == format_times(1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16 MB", 16_000_000),
        ("1.5GB", 1_500_000_000),
        ("4 KiB", 4096),
        ("1_000", 1000),
        ("1,000 kb", 1_000_000),
        (" 0 B ", 0),
        ("0.3 B", 0),
        (24, 24),
    ],
)
def test_sizes_are_read(text, expected):
    """
    A size may have a decimal or a binary unit, a fraction, and its thousands apart.
    """
    assert expected == parse_bytes(text)


@pytest.mark.parametrize("text", ["", "MB", "16 XB", "-1 MB", "1e6", "1.5.2 MB", "٣ MB", -1, True])
def test_what_is_no_size_is_refused(text):
    """
    The error for what is no size shows how to write one.
    """
    with pytest.raises(ValueError, match=r"is no size; write .*'16 MB'"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**70))
def test_bytes_read_back_nearly_the_same(nbytes):
    """
    What is written can be read, to the three digits that were written.
    """
    unit = format_bytes(nbytes).rpartition(" ")[2]
    if unit in {"ZB", "YB"}:
        return

    assert abs(parse_bytes(format_bytes(nbytes)) - nbytes) <= nbytes // 190 + 1
