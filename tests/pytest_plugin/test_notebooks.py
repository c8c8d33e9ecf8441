"""`--tensorcost-notebooks`: cells in a real kernel, held against the recording beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

CELLS = (
    "%load_ext tensortoll\nimport numpy as np",
    "",
    "def made(n):\n    return np.ones(n)\na = made(1000).copy()",
    "%%tensorcost -q\nb = a.astype(np.float32)",
    "%%tensorcost -q\nc = a.copy(), a.copy()",
)


@pytest.fixture
def notebook(pytester: pytest.Pytester) -> Path:
    """Return a notebook with two cells that are held."""
    path = pytester.path / "study.ipynb"
    cells = [nbformat.v4.new_code_cell(one) for one in CELLS]
    cells.insert(0, nbformat.v4.new_markdown_cell("# Study"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_notebooks_are_left_alone_unless_asked_for(run, notebook):
    """
    Nothing is collected without the option.
    """
    assert run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_each_cell_is_held_against_the_recording_beside_the_notebook(run, notebook):
    """
    A missing recording names the command; one that is altered in one number fails the cell it is
    of, and no other.
    """
    names = ["cell [3]", "cell [4]", "the rest"]

    missing = run("--tensorcost-notebooks", "-v")
    missing.assert_outcomes(failed=3)
    assert 'pytest --tensorcost-notebooks "study.ipynb" --tensorcost-record=create' in (
        missing.stdout.str()
    )
    path = notebook.with_name("study.recording.json")
    assert not path.exists()
    created = run("--tensorcost-notebooks", "-v", "--tensorcost-record=create")
    created.assert_outcomes(passed=3)
    created.stdout.fnmatch_lines([f"study.ipynb::{one} PASSED*" for one in map(_quoted, names)])

    kept = json.loads(path.read_text(encoding="utf-8"))
    rows = {_cell(kept, row): row for row in kept["conversions"]}
    assert ["cell [2]", "cell [3]", "cell [4]"] == sorted(rows)
    for cell, name in (("cell [2]", "the rest"), ("cell [4]", "cell [4]")):
        row = rows[cell]
        row["bytes_written"] += 1
        path.write_text(json.dumps(kept), encoding="utf-8")
        row["bytes_written"] -= 1
        done = run("--tensorcost-notebooks", "-rA")
        done.assert_outcomes(passed=2, failed=1)
        assert f"FAILED study.ipynb::{name} - the test converts otherwise" in done.stdout.str()
    run("--tensorcost-notebooks", "--tensorcost-record=fix").assert_outcomes(passed=3)
    run("--tensorcost-notebooks").assert_outcomes(passed=3)


def _cell(document: dict[str, Any], row: dict[str, Any]) -> str:
    return document["sources"][row["source"]]["name"]


def _quoted(name: str) -> str:
    return name.replace("[", "[[]")


def test_a_cell_that_fails_is_told_with_its_traceback(pytester, run, notebook):
    """
    The cells before it are held; those after it were not run. Nothing is written.
    """
    run("--tensorcost-notebooks", "--tensorcost-record=create")
    before = notebook.with_name("study.recording.json").read_text()
    broken = nbformat.read(notebook, as_version=4)
    broken.cells[-1].source = "%%tensorcost -q\nraise ValueError('no data')"
    nbformat.write(broken, notebook)

    done = run("--tensorcost-notebooks", "--tensorcost-record=create,fix", "-rA")

    assert "PASSED study.ipynb::cell [3]" in done.stdout.str()
    assert "FAILED study.ipynb::the rest" in done.stdout.str()
    assert "ValueError: no data" in done.stdout.str()
    assert before == notebook.with_name("study.recording.json").read_text()


def test_what_is_no_notebook_is_an_error_that_says_so(pytester, run):
    """
    And a notebook without a `%%tensorcost` cell is none of ours.
    """
    (pytester.path / "broken.ipynb").write_text('{"cells": [')
    nbformat.write(nbformat.v4.new_notebook(), pytester.path / "plain.ipynb")

    done = run("--tensorcost-notebooks")

    done.assert_outcomes(errors=1)
    assert "broken.ipynb breaks off in the middle" in done.stdout.str()
