"""The notebooks in examples/ run, and their recordings hold on every machine, all but the times."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tensortoll.comparison import compare
from tensortoll.luck import depends_on_luck
from tensortoll.pytest_plugin.notebooks import watched_cells
from tensortoll.recording import Recording

FOLDER = Path(__file__).resolve().parent.parent / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
NUMBERS = ("count", "copies", "bytes_read", "bytes_written")
OF_THIS_MACHINE = re.compile(r"/(?:home|root|work|tmp|Users|mnt|opt|usr|var)/|[A-Z]:\\\\?Users")


def recording_path(notebook: Path) -> Path:
    return notebook.with_name(f"{notebook.stem}.recording.json")


def held(plugin: tuple[str, ...], path: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook as a test, as its readers would."""
    command = (sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-rA", "-q")
    return subprocess.run(
        [*command, "--tensorcost-notebooks", path.name],
        cwd=path.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip


def altered(document: dict[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the recording again and again, each time with one other number."""
    for number, item in enumerate(document["conversions"]):
        for name in NUMBERS:
            for by in (1, -1, 4_096):
                if item[name] + by >= 0:
                    other = copy.deepcopy(document)
                    other["conversions"][number][name] += by
                    yield number, f"{name} of {item['expression']} by {by}", other


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_costs_what_its_recording_says(path, plugin):
    """
    In a real kernel every cell runs, and outcomes, effects, kinds, counts and bytes are as kept.
    """
    done = held(plugin, path)

    assert done.returncode == 0, f"{done.stdout}\nmend: python examples/refresh.py {path.name}"
    assert f"{len([*watched_cells(path)]) + 1} passed" in done.stdout


def test_a_recording_altered_in_one_number_makes_its_cell_fail(tmp_path, plugin):
    """
    That cell, and no other.
    """
    for path in (FOLDER / "quickstart.ipynb", recording_path(FOLDER / "quickstart.ipynb")):
        shutil.copy(path, tmp_path)
    kept = tmp_path / "quickstart.recording.json"
    document = json.loads(kept.read_text(encoding="utf-8"))
    names = [one["name"] for one in document["sources"]]
    row = next(c for c in document["conversions"] if names[c["source"]] == "cell [3]")
    row["bytes_read"] += 1
    kept.write_text(json.dumps(document), encoding="utf-8")

    done = held(plugin, tmp_path / "quickstart.ipynb")

    assert done.returncode == 1
    assert "FAILED quickstart.ipynb::cell [3] - the test converts otherwise" in done.stdout
    assert "1 failed" in done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_one_other_number_makes_the_comparison_fail(path):
    """
    The comparison is no formality: every count and every byte of every conversion is held, but
    for those that an allocator decides, and of these the count.
    """
    document = json.loads(recording_path(path).read_text(encoding="utf-8"))
    kept = Recording.from_dict(document)

    assert not compare(kept, kept)
    for number, what, other in altered(document):
        row = Recording.from_dict(document | {"conversions": [document["conversions"][number]]})
        if what.startswith("count ") or not depends_on_luck(row.conversions[0].route):
            assert compare(Recording.from_dict(other), kept), what


def test_tensorflow_may_copy_once_or_twice_and_no_more():
    """
    Both are true of the same line; a third copy, or copies of another size, are not.
    """
    path = recording_path(FOLDER / "how-to-convert-numpy-to-tensorflow.ipynb")
    document = json.loads(path.read_text(encoding="utf-8"))
    (item,) = [
        one for one in document["conversions"] if one["expression"] == "tf.constant(features)"
    ]

    def with_copies(copies: int, nbytes: int) -> Recording:
        item.update(copies=copies, bytes_read=copies * nbytes, bytes_written=copies * nbytes)
        return Recording.from_dict(document)

    once = with_copies(1, 240_000)

    assert not compare(once, with_copies(2, 240_000))
    assert compare(once, with_copies(3, 240_000))
    assert compare(once, with_copies(2, 120_000))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_kept_with_its_outputs(path):
    """
    A reader sees every report without running anything, and nothing of the machine it was run on.
    """
    cells = [one for one in nbformat.read(path, as_version=4).cells if one.cell_type == "code"]
    watched = [one for one in cells if one.source.startswith("%%tensorcost")]
    reports = [[out.data for out in one.outputs if "data" in out][-1] for one in watched]

    assert watched
    assert [number + 1 for number in range(len(cells))] == [one.execution_count for one in cells]
    assert all({"text/plain", "text/html"} <= set(report) for report in reports)
    assert not [out for one in cells for out in one.outputs if out.output_type == "error"]
    for kept in (path, recording_path(path)):
        assert not OF_THIS_MACHINE.search(kept.read_text(encoding="utf-8")), kept.name
    process = json.loads(recording_path(path).read_text(encoding="utf-8"))["environment"]["process"]
    assert {"pid": None, "rank": None, "host": None} == process


def test_the_questions_are_there():
    """
    Four questions that users ask at length, twenty in short, and the quickstart.
    """
    assert [
        "gallery",
        "how-to-convert-for-model-input",
        "how-to-convert-numpy-to-tensorflow",
        "quickstart",
        "what-does-it-cost",
        "why-cant-it-be-converted",
    ] == NAMES


def test_the_gallery_answers_twenty_questions():
    """
    Each has a cell that pays, the cell after the advice, and what the difference was.
    """
    notebook = nbformat.read(FOLDER / "gallery.ipynb", as_version=4)
    titles = [
        line.split(". ", 1)[0]
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    watched = [cell.source for cell in notebook.cells if cell.source.startswith("%%tensorcost")]

    assert [f"## {number}" for number in range(1, 21)] == titles
    assert ["before", "after"] * 20 == [one.split()[2] for one in watched]
