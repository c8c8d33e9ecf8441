"""What a run of many tests has to say, also from several processes and beside other plugins."""

from __future__ import annotations

import json

import pytest

import tensortoll

TESTS = """
import numpy as np, pytest, torch
SIZES = [1000, 2000]

@pytest.mark.parametrize("n", SIZES)
def test_load(n):
    torch.tensor(np.ones(n), dtype=torch.float32)

def test_nothing():
    pass
"""
KEPT = """
def test_kept(tensorcost):
    with tensorcost:
        torch.tensor(np.ones(3))
    tensorcost.matches("kept")
"""


def test_a_run_is_reported_on_and_added_up_in_a_file(pytester, run):
    """
    The costliest tests first, with their lines; the file holds the sum of all.
    """
    pytester.makepyfile(test_it=TESTS)

    done = run("--tensorcost-report", "--tensorcost-json=sum.json")

    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(
        [
            "*= tensor conversions =*",
            " test_it.py::test_load[[]2000[]]*1 conversion*8.00 kB copied*",
            "*6  8.00 kB*f64→f32*torch.tensor(np.ones(n), dtype=torch.float32)",
            " test_it.py::test_load[[]1000[]]*4.00 kB copied.",
            "3 tests watched, 2 conversions, 12.0 kB written",
        ]
    )
    recording = tensortoll.load(pytester.path / "sum.json")
    assert (2, 12_000, 2) == (recording.copies, recording.bytes_written, recording.casts)


def test_without_an_option_nothing_is_said_written_or_imported(pytester, run_apart):
    """
    The plugin costs the import of one small module, and nothing of a library is loaded for it.
    """
    pytester.makepyfile(
        test_it="""
import sys

def test_it():
    ours = {one for one in sys.modules if one.partition(".")[0] == "tensortoll"}
    assert ours <= {"tensortoll", "tensortoll.pytest_plugin"}
    heavy = "numpy torch tensorflow jax pandas memray line_profiler IPython rich".split()
    assert [one for one in heavy if one in sys.modules] == []
"""
    )

    # Others' plugins may import what they like: they are left out here.
    done = run_apart("-p", "no:memray", "-p", "no:hypothesispytest", "-p", "no:cov")

    done.assert_outcomes(passed=1)
    assert "tensor conversions" not in done.stdout.str()


def test_the_plugin_can_be_left_out(pytester, run_apart):
    """
    With pytest's own `-p no:`.
    """
    pytester.makepyfile(test_it="def test_it(tensorcost):\n    pass\n")

    done = pytester.runpytest_subprocess("-p", "no:tensortoll")

    done.assert_outcomes(errors=1)
    assert "fixture 'tensorcost' not found" in done.stdout.str()


def test_a_test_that_converts_more_than_when_it_last_passed_fails(pytester, plugin):
    """
    Less is the new measure, and what a failing test converts is none.
    """

    def outcome(size: int, *more: str) -> pytest.RunResult:
        pytester.makepyfile(
            test_it=f"import torch\nN = {size}\ndef test_it():\n    torch.ones(N).half()\n"
        )
        options = ("--tensorcost-fail-on-increase", *more)
        return pytester.runpytest_inprocess(*plugin, *options)

    outcome(1000).assert_outcomes(passed=1)
    outcome(1000).assert_outcomes(passed=1)
    outcome(900).assert_outcomes(passed=1)
    done = outcome(1000)
    outcome(901).assert_outcomes(failed=1)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "the test converts more than when it last passed*",
            "*--cache-clear*",
            "*4  1.80 kB*2.00 kB*",
        ]
    )
    outcome(1000, "--cache-clear").assert_outcomes(passed=1)
    outcome(1000).assert_outcomes(passed=1)
    assert outcome(1, "-p", "no:cacheprovider").ret == pytest.ExitCode.USAGE_ERROR


def test_workers_of_xdist_hold_and_their_sums_come_home(pytester, run_apart):
    """
    Failures, written and removed recordings, the sum of all: as in one process.
    """
    pytester.makepyfile(
        test_it=TESTS + KEPT,
        test_other="import torch, pytest\n@pytest.mark.limit_casts(0)\n"
        "def test_cast():\n    torch.ones(3).half()\n",
    )
    unused = pytester.path / "test_it.recordings" / "unused.json"
    unused.parent.mkdir()
    unused.write_text("{}")

    done = run_apart(
        "-n2", "--tensorcost-record=create,trim", "--tensorcost-json=sum.json",
        "--tensorcost-report", "--tensorcost-fail-on-increase",
    )  # fmt: skip

    done.assert_outcomes(passed=4, failed=1)
    output = done.stdout.str()
    assert "casts: 1, and the limit is 0, by the marker limit_casts" in output
    assert "tensorcost: wrote test_it.recordings/kept.json" in output
    assert "tensorcost: removed test_it.recordings/unused.json" in output
    assert "5 tests watched, 4 conversions, 12.0 kB written" in output
    assert not unused.exists()
    assert tensortoll.load(pytester.path / "sum.json").count == 4
    again = run_apart("-n2", "--tensorcost-fail-on-increase", "test_it.py")
    again.assert_outcomes(passed=4)


def test_coverage_is_the_same_with_the_plugin_at_work(pytester, run_apart):
    """
    The code that runs is another, on the same lines of the same file; a guard that raises in the
    middle of the test loses no line either.
    """
    pytester.makepyfile(
        loading="""
import numpy as np, torch, tensortoll

def load(n):
    a = np.ones(n)
    if n > 10:
        a = a.astype(np.float32)
    return torch.tensor(a)

def guarded():
    with tensortoll.guard(copies=0):
        load(3)
        never = 1
    never = 2
""",
        test_it="""
import pytest, tensortoll
from loading import guarded, load

@pytest.mark.limit_casts(1)
def test_it(tensorcost):
    with tensorcost:
        load(20)
    with pytest.raises(tensortoll.LimitError):
        guarded()
    after = 1
    assert after
""",
    )

    done = run_apart("--cov=.", "--cov-branch", "--cov-report=json:cov.json")

    done.assert_outcomes(passed=1)
    files = json.loads((pytester.path / "cov.json").read_text())["files"]
    assert [] == files["test_it.py"]["missing_lines"]
    assert [12, 13] == files["loading.py"]["missing_lines"]


def test_memray_s_plugin_works_beside_ours(pytester, run_apart):
    """
    Both limits hold for the same test.
    """
    pytest.importorskip("pytest_memray")
    pytester.makepyfile(
        test_it="""
import numpy as np, pytest, torch

@pytest.mark.limit_memory("200 MB")
@pytest.mark.limit_copies("1 kB")
def test_it():
    torch.tensor(np.ones(1000))
"""
    )

    done = run_apart("--memray")

    done.assert_outcomes(failed=1)
    assert "copies: 8.00 kB, and the limit is 1.00 kB" in done.stdout.str()
    assert "MEMRAY REPORT" in done.stdout.str()


def test_pull_requests_are_annotated_at_the_line(pytester, run, monkeypatch):
    """
    Where GitHub runs the tests, it is told file and line of what broke a limit.
    """
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    pytester.makepyfile(
        test_it="import torch, pytest\n@pytest.mark.limit_casts(0)\n"
        "def test_cast():\n    torch.ones(3).half()\n"
    )

    done = run()

    where = f"file={pytester.path.name}/test_it.py,line=4,title=Tensor conversions"
    what = "test_it.py::test_cast: casts: 1, and the limit is 0*"
    done.stdout.fnmatch_lines([f"::error {where}::{what}"])
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in run().stdout.str()


def test_a_file_that_cannot_be_written_is_told_before_any_test_runs(run):
    """
    As wrong usage.
    """
    done = run("--tensorcost-json=nowhere/sum.json")

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "there is no folder for 'nowhere/sum.json'" in done.stderr.str()


def test_the_markers_are_registered_and_the_options_explained(run):
    """
    `--strict-markers` knows them, and `--help` teaches.
    """
    markers = run("--markers").stdout.str()
    text = run("--help").stdout.str()

    for name in ("limit_copies", "limit_casts", "limit_transfers", "no_hazards"):
        assert f"@pytest.mark.{name}" in markers
    for name in ("record", "report", "json", "fail-on-increase", "notebooks"):
        assert f"--tensorcost-{name}" in text
    assert "tensorcost_limit_copies" in text
    assert "%%tensorcost cell" in text
