"""Markers and settings that limit what a test converts."""

from __future__ import annotations

import pytest

HEAD = "import numpy as np, pytest, torch\nA = np.ones(1000)\n"


@pytest.mark.parametrize(
    ("marker", "line", "told"),
    [
        ('limit_copies("7 kB")', "torch.tensor(A)", "copies: 8.00 kB, and the limit is 7.00 kB"),
        ("limit_copies(7_999)", "A.copy()", "copies: 8.00 kB, and the limit is 8.00 kB"),
        ("limit_casts(0)", "A.astype(np.float32)", "casts: 1, and the limit is 0"),
        ("limit_casts('3 kB')", "A.astype(np.float32)", "casts: 4.00 kB, and the limit is 3.00 kB"),
    ],
)
def test_a_test_that_goes_beyond_a_limit_fails_and_shows_the_lines(
    pytester, run, marker, line, told
):
    """
    Also by NumPy's own methods, which nothing can be hooked into.
    """
    pytester.makepyfile(f"{HEAD}\n@pytest.mark.{marker}\ndef test_it():\n    made = {line}\n")

    done = run()

    done.assert_outcomes(failed=1)
    assert told in done.stdout.str()
    assert "by the marker limit_" in done.stdout.str()
    done.stdout.re_match_lines([rf" 6 .*made = {line.partition('(')[0]}", ".*explicit copy"])


@pytest.mark.parametrize(
    "marker",
    ['limit_copies("8 kB")', "limit_casts(0)", 'limit_transfers(0, direction="h2d")', "no_hazards"],
)
def test_a_test_within_its_limits_passes_without_a_word(pytester, run, marker):
    """
    No option is needed, and nothing is shown or written.
    """
    pytester.makepyfile(f"{HEAD}\n@pytest.mark.{marker}\ndef test_it():\n    torch.tensor(A)\n")

    done = run("-q")

    done.assert_outcomes(passed=1)
    assert "tensor" not in done.stdout.str()
    assert "B copied" not in done.stdout.str()
    assert {"test_a_test_within_its_limits_passes_without_a_word.py"} == {
        one.name for one in pytester.path.iterdir() if one.is_file()
    }


def test_a_limit_may_be_a_function_of_the_parameters(pytester, run):
    """
    It is asked by name; a name that the test does not have is an error that says which there are.
    """
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.limit_copies(lambda n: 8 * n)
@pytest.mark.parametrize(("n", "times"), [(10, 1), (20, 1), (10, 2)])
def test_it(n, times):
    for _ in range(times):
        torch.tensor(np.ones(n))

@pytest.mark.limit_copies(lambda size: size)
@pytest.mark.parametrize("n", [1])
def test_wrong(n):
    pass
"""
    )

    done = run()

    done.assert_outcomes(passed=2, failed=2)
    assert "copies: 160 B, and the limit is 80 B" in done.stdout.str()
    assert "limit_copies asks for size, and the test has no such parameter: there are n" in (
        done.stdout.str()
    )


def test_the_setting_holds_for_all_tests_and_a_marker_for_its_own(pytester, run):
    """
    The innermost marker counts, and None lifts the limit.
    """
    pytester.makeini("[pytest]\ntensorcost_limit_copies = 1 kB\ntensorcost_limit_casts = 0")
    pytester.makepyfile(
        HEAD
        + """
def test_default():
    torch.tensor(A)

def test_cast():
    A[:5].astype(int)

@pytest.mark.limit_copies(None)
def test_lifted():
    torch.tensor(A)

@pytest.mark.limit_copies("1 B")
class TestAll:
    @pytest.mark.limit_copies("8 kB")
    def test_own(self):
        torch.tensor(A)

    def test_of_the_class(self):
        torch.tensor(A)
"""
    )

    done = run("-rA")

    done.assert_outcomes(passed=2, failed=3)
    output = done.stdout.str()
    assert "8.00 kB, and the limit is 1.00 kB, by the setting tensorcost_limit_copies" in output
    assert "casts: 1, and the limit is 0, by the setting tensorcost_limit_casts" in output
    assert "8.00 kB, and the limit is 1 B, by the marker limit_copies" in output


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ('limit_copies("8 XB")', "'8 XB' is no size"),
        ("limit_copies()", r"limit_copies takes one limit: limit_copies('8 MB')"),
        ("limit_casts(0, direction='h2d')", "limit_casts takes one limit"),
        ("limit_transfers(0, direction='up')", "direction is one of d2d, d2h, h2d"),
    ],
)
def test_a_wrong_limit_fails_the_test_and_says_what_is_wrong(pytester, run, marker, told):
    """
    A limit that nobody can read would hold nothing.
    """
    pytester.makepyfile(f"{HEAD}\n@pytest.mark.{marker}\ndef test_it():\n    pass\n")

    done = run()

    done.assert_outcomes(failed=1)
    assert told in done.stdout.str()


def test_only_the_call_counts(pytester, run):
    """
    What fixtures convert, of whatever scope, is nobody's limit; a failing test says its own error.
    """
    pytester.makepyfile(
        HEAD
        + """
@pytest.fixture(scope="module")
def whole():
    return torch.tensor(A)

@pytest.fixture
def each():
    torch.tensor(A)
    yield torch.tensor(A)
    torch.tensor(A)

@pytest.mark.limit_copies(0)
def test_it(whole, each):
    whole + each

@pytest.mark.limit_copies(0)
def test_wrong():
    torch.tensor(A)
    assert 1 == 2, "its own"

@pytest.mark.xfail
@pytest.mark.limit_copies(0)
def test_expected():
    torch.tensor(A)
"""
    )

    done = run()

    done.assert_outcomes(passed=1, failed=1, xfailed=1)
    assert "AssertionError: its own" in done.stdout.str()
    assert "and the limit is" not in done.stdout.str()


def test_what_luck_decides_is_counted_at_its_best(pytester, run):
    """
    TensorFlow copies an array once or twice, as the allocator has it: a limit that one copy keeps
    is kept on every machine.
    """
    import tensorflow as tf  # noqa: F401 - or the inner run would import and drop it

    pytester.makepyfile(
        """
import numpy as np, pytest
import tensorflow as tf
BYTES = np.zeros(16_064, np.uint8)

@pytest.mark.limit_copies(16_000)
@pytest.mark.parametrize("start", range(0, 64, 4))
def test_it(start):
    tf.constant(BYTES[start:start + 16_000].view(np.float32))

@pytest.mark.limit_copies(15_999)
def test_beyond():
    tf.constant(BYTES[:16_000].view(np.float32))
"""
    )

    done = run()

    done.assert_outcomes(passed=16, failed=1)
    assert "copies: 16.0 kB, and the limit is 16.0 kB" in done.stdout.str()


def test_hazards_are_forbidden(pytester, run):
    """
    A test that writes to memory that a conversion shares fails and names the line; its twin that
    copies first passes.
    """
    pytester.makepyfile(
        test_it=f"""
{HEAD}
import torch

@pytest.mark.no_hazards
@pytest.mark.parametrize("made", [torch.from_numpy, torch.tensor])
def test_it(made):
    x = np.ones(1000)
    v = made(x) if made is torch.tensor else torch.from_numpy(x)
    x[0] = 5  # here
    assert v[0] in (1, 5)
"""
    )

    done = run()

    done.assert_outcomes(failed=1, passed=1)
    lines = (pytester.path / "test_it.py").read_text().splitlines()
    written = next(n for n, line in enumerate(lines, start=1) if "# here" in line)
    assert f"memory that a conversion shares is written in test_it.py:{written}" in str(done.stdout)
