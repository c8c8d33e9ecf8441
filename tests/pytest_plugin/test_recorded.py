"""Recordings kept beside tests: written on demand only, and held in every number."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensortoll.comparison import compare
from tensortoll.recording import Recording

TEST = """
import numpy as np, torch

def load(n=1000):
    return torch.tensor(np.ones(n), dtype=torch.float32)

def test_load(tensorcost):
    with tensorcost:
        load()
    tensorcost.matches("load")
"""


def kept_in(folder: Path) -> set[str]:
    """Return the recordings that lie in a folder."""
    return {str(one.relative_to(folder)) for one in folder.rglob("*.json")}


def test_a_plain_run_writes_nothing_and_names_the_command_that_does(pytester, run):
    """
    The command, as it stands in the output, makes the test pass.
    """
    pytester.makepyfile(test_it=TEST)

    done = run()

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["no recording 'load' is kept yet*", '  pytest "test_it.py::test_load" *=create']
    )
    done.stdout.re_match_lines([r" 4 .*return torch\.tensor\(np\.ones\(n\)"])
    assert set() == kept_in(pytester.path)
    created = run("test_it.py::test_load", "--tensorcost-record=create")
    created.assert_outcomes(passed=1)
    created.stdout.fnmatch_lines(["tensorcost: wrote test_it.recordings/load.json"])
    assert {"test_it.recordings/load.json"} == kept_in(pytester.path)
    run().assert_outcomes(passed=1)


def test_a_recording_holds_nothing_of_the_machine_or_the_minute(pytester, run):
    """
    Made again it is the same file, byte by byte; moved lines do not matter.
    """
    pytester.makepyfile(test_it=TEST)
    run("--tensorcost-record=create")
    path = pytester.path / "test_it.recordings" / "load.json"
    first = path.read_text(encoding="utf-8")
    path.unlink()
    run("--tensorcost-record=create")

    assert first == path.read_text(encoding="utf-8")
    assert str(pytester.path) not in first
    assert "np.ones(n), dtype" in first
    pytester.makepyfile(test_it="# moved\n\n" + TEST)
    run().assert_outcomes(passed=1)
    assert first == path.read_text(encoding="utf-8")


def altered(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a recording again and again, each time with one other number or fact."""
    for number, item in enumerate(document["conversions"]):
        for name in ("count", "copies", "bytes_read", "bytes_written"):
            other = copy.deepcopy(document)
            other["conversions"][number][name] = item[name] + 1
            yield other
        for name, value in (("outcome", "view"), ("effects", []), ("expression", "other()")):
            other = copy.deepcopy(document)
            other["conversions"][number][name] = value
            yield other


def test_one_other_number_makes_a_recording_stale(pytester, run):
    """
    Each of them is held; the failure shows what it was and what it is, and how to mend it.
    """
    pytester.makepyfile(test_it=TEST)
    run("--tensorcost-record=create")
    path = pytester.path / "test_it.recordings" / "load.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    others = [*altered(kept)]

    assert len(others) == 7
    for other in others:
        assert compare(Recording.from_dict(other), Recording.from_dict(kept))
    path.write_text(json.dumps(others[3]), encoding="utf-8")
    done = run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["the test converts otherwise than its recording 'load'*", "*4,001 B*4,000 B written*"]
    )
    for wrong in ("create", "trim"):
        run(f"--tensorcost-record={wrong}").assert_outcomes(failed=1)
    run("--tensorcost-record=fix").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)


def test_a_damaged_recording_fails_with_the_reason(pytester, run):
    """
    `fix` writes it anew.
    """
    pytester.makepyfile(test_it=TEST)
    run("--tensorcost-record=create")
    (pytester.path / "test_it.recordings" / "load.json").write_text('{"format": ')

    done = run()

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["the recording 'load' can't be read: *breaks off*"])
    run("--tensorcost-record=fix").assert_outcomes(passed=1)


def test_trim_removes_what_no_test_asks_for_and_only_where_all_have_run(pytester, run):
    """
    Never after a part of a module, or after a failure.
    """
    pytester.makepyfile(test_it=TEST + "\ndef test_other(tensorcost):\n    assert True\n")
    run("--tensorcost-record=create")
    unused = pytester.path / "test_it.recordings" / "unused.json"
    unused.write_text("{}")

    for part in (
        ("-k", "other"),
        ("test_it.py::test_other",),
        ("--deselect=test_it.py::test_load",),
    ):
        run(*part, "--tensorcost-record=trim").assert_outcomes(passed=1, deselected=None)
        assert unused.exists()
    run().assert_outcomes(passed=2)
    assert unused.exists()
    done = run("--tensorcost-record=create,trim")

    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["tensorcost: removed test_it.recordings/unused.json"])
    assert {"test_it.recordings/load.json"} == kept_in(pytester.path)


def test_two_tests_cannot_keep_the_same_recording(pytester, run):
    """
    A parametrised test lets the name tell the parameters.
    """
    pytester.makepyfile(
        test_it=TEST
        + """
import pytest

@pytest.mark.parametrize("n", [10, 20])
def test_named(n, tensorcost):
    with tensorcost:
        load(n)
    tensorcost.matches(f"load-{n}")

def test_same(tensorcost):
    with tensorcost:
        load(5)
    tensorcost.matches("load")

def test_outside(tensorcost):
    tensorcost.matches("../load")
"""
    )

    done = run("--tensorcost-record=create")

    done.assert_outcomes(passed=3, failed=2)
    assert "test_it.py::test_load keeps the recording 'load' as well" in done.stdout.str()
    assert "'../load' is no name for a recording" in done.stdout.str()
    assert {f"test_it.recordings/load{one}.json" for one in ("", "-10", "-20")} == kept_in(
        pytester.path
    )


def test_blocks_in_fixtures_and_the_whole_call(pytester, run):
    """
    Without a block it is the test so far; with blocks, the last one. A fixture may have one too.
    """
    pytester.makepyfile(
        """
import numpy as np, pytest, torch
A = np.ones(10)

@pytest.fixture
def loaded(tensorcost):
    with tensorcost:
        torch.tensor(A)
    assert tensorcost.recording.copies == 1
    yield
    with tensorcost:
        A.copy(), torch.tensor(A), torch.tensor(A)
    assert tensorcost.recording.copies >= 2

def test_it(loaded, tensorcost):
    assert tensorcost.recording.copies == 1
    with tensorcost:
        A.copy()
        torch.tensor(A)
    assert tensorcost.recording.copies == 2
    with tensorcost:
        A.copy()
    assert tensorcost.recording.copies == 1

def test_whole(tensorcost):
    A.copy()
    assert tensorcost.recording.copies == 1
    for _ in range(3):
        with tensorcost:
            A.copy()
            A.astype(int)
        assert (tensorcost.recording.copies, tensorcost.recording.casts) == (2, 1)
"""
    )

    run().assert_outcomes(passed=2)


@pytest.mark.parametrize("modes", ["all", "", "create;fix"])
def test_an_unknown_mode_is_refused(run, modes):
    """
    With the modes that there are.
    """
    done = run(f"--tensorcost-record={modes}")

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "is not some of create, fix, trim" in done.stderr.str()
