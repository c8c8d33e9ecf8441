"""A test that is watched runs as written: assertions, decorators, coroutines, classes."""

from __future__ import annotations

import pytest

HEAD = "import numpy as np, pytest, torch\nA = np.ones(1000)\n"


def test_numpy_s_methods_count_wherever_the_project_calls_them(pytester, run):
    """
    In the test, in functions inside of it, behind decorators, in methods, in other modules of the
    project; and not in those of others.
    """
    pytester.makepyfile(
        helping="""
import numpy as np

def halved(a):
    return a.astype(np.float32)
""",
        test_it=HEAD
        + """
import functools
from helping import halved

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

class Helper:
    def work(self):
        return A.copy()

@decorated
def test_it(tensorcost):
    def inner():
        return [row.copy() for row in A.reshape(2, 500)]
    with tensorcost:
        A.copy()
        inner()
        (lambda: A.copy())()
        Helper().work()
        halved(A)
    assert tensorcost.recording.copies == 6
    assert tensorcost.recording.casts == 1
    places = {one.route.place.source.name for one in tensorcost.recording.conversions}
    assert places == {"test_it.py", "helping.py"}
""",
    )

    run().assert_outcomes(passed=1)


def test_assertions_are_explained_as_ever(pytester, run):
    """
    The values that pytest shows are those of the test's own expressions, and nothing of ours.
    """
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.limit_casts(5)
def test_it():
    found = A[:3].astype(int)
    assert found.sum() == A[:2].astype(int).sum()
"""
    )

    done = run()

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["*assert np.int64(3) == np.int64(2)", "*array([[]1, 1, 1]).sum", "*array([[]1, 1]).sum"]
    )
    assert "test_assertions_are_explained_as_ever.py:7: AssertionError" in done.stdout.str()
    assert "made(" not in done.stdout.str()
    assert "given(" not in done.stdout.str()


@pytest.mark.parametrize("option", ["--assert=plain", "--import-mode=importlib"])
def test_other_ways_to_import_tests_work_too(pytester, run, option):
    """
    Also with assertions that pytest leaves as they are.
    """
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.limit_casts(0)
def test_it():
    assert A.astype(int).sum() == 1000
"""
    )

    done = run(option)

    done.assert_outcomes(failed=1)
    assert "casts: 1, and the limit is 0" in done.stdout.str()


def test_classes_coroutines_and_unittest(pytester, run):
    """
    Every kind of test that is a function in the end.
    """
    pytester.makepyfile(
        HEAD
        + """
import asyncio, unittest

class TestAll:
    @pytest.mark.limit_casts(0)
    def test_method(self):
        A.astype(int)

class TestOld(unittest.TestCase):
    @pytest.mark.limit_casts(0)
    def test_old(self):
        A.astype(int)

@pytest.mark.limit_casts(0)
def test_coroutine():
    async def cast():
        await asyncio.sleep(0)
        return A.astype(int)
    asyncio.run(cast())
"""
    )

    done = run("-rN")  # no summary: whether it repeats the whole message depends on the terminal

    done.assert_outcomes(failed=3)
    assert done.stdout.str().count("casts: 1, and the limit is 0, by") == 3


def test_functions_are_as_written_once_the_test_has_ended(pytester, run):
    """
    Nothing of ours is left in them for the next test, which does not ask.
    """
    pytester.makepyfile(
        HEAD
        + """
def helper():
    return A.astype(int)

ORIGINAL = helper.__code__

@pytest.mark.limit_casts(1)
def test_watched():
    assert helper.__code__ is not ORIGINAL
    helper()

def test_free():
    assert helper.__code__ is ORIGINAL
"""
    )

    run().assert_outcomes(passed=2)


def test_a_guard_inside_of_a_test_sees_numpy_s_methods(pytester, run):
    """
    Guard, fixture and marker are at home with each other.
    """
    pytester.makepyfile(
        HEAD
        + """
import tensortoll

@pytest.mark.limit_casts(1)
def test_it(tensorcost):
    with tensorcost:
        with pytest.raises(tensortoll.LimitError), tensortoll.guard(casts=0):
            A.astype(int)
    assert tensorcost.recording.casts == 1
"""
    )

    run().assert_outcomes(passed=1)


def test_a_second_watch_inside_of_the_first_is_a_clear_error(pytester, run):
    """
    A process has one watch at a time, and a test one block.
    """
    pytester.makepyfile(
        HEAD
        + """
import tensortoll

def test_record(tensorcost):
    with tensortoll.record():
        pass

def test_block(tensorcost):
    with tensorcost:
        with tensorcost:
            pass
"""
    )

    done = run()

    done.assert_outcomes(failed=2)
    assert "tensortoll is watching already" in done.stdout.str()
    assert "a test records one block at a time" in done.stdout.str()
