"""The notebooks in examples/ run, and their recordings hold on every machine, all but the times."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import tensortoll
from tensortoll.notebook import run_notebook
from tensortoll.recording import Conversion, Recording, Totals

FOLDER = Path(__file__).resolve().parent.parent / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
NUMBERS = ("count", "copies", "bytes_read", "bytes_written")
OF_THIS_MACHINE = re.compile(r"/(?:home|root|work|tmp|Users|mnt|opt|usr|var)/|[A-Z]:\\\\?Users")

Key = tuple[object, ...]
Costs = dict[Key, Totals]


def recording_path(notebook: Path) -> Path:
    return notebook.with_name(f"{notebook.stem}.recording.json")


def costs(recording: Recording) -> Costs:
    """Return what a recording says that has to hold elsewhere too."""
    found: Costs = {}
    for one in recording.conversions:
        key = _key(one)
        found[key] = found.get(key, Totals()).plus(one.totals)
    return found


def _key(one: Conversion) -> Key:
    place, route = one.route.place, one.route
    where = (place.source.name, place.line, place.expression)
    return (*where, route.outcome, route.effects, route.implicit, route.origin, route.target)


def is_allocators_luck(key: Key) -> bool:
    """Say whether TensorFlow copied arrays as they are: twice, or once if the first fell well."""
    outcome, effects, _, origin, target = key[-5:]
    libraries = origin.library, target.library  # type: ignore[attr-defined]
    return (outcome, effects, libraries) == ("copy", (), ("numpy", "tensorflow"))


def differences(expected: Recording, seen: Recording) -> list[str]:
    """Return in words what two recordings do not agree on."""
    before, after = costs(expected), costs(seen)
    found = [f"missing: {key}" for key in before.keys() - after.keys()]
    found += [f"new: {key}" for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        if is_allocators_luck(key):
            same = _payload(before[key]) == _payload(after[key]) is not None
        else:
            same = before[key]._replace(elapsed_ns=0) == after[key]._replace(elapsed_ns=0)
        if not same:
            found.append(f"{key}: {before[key]} became {after[key]}")
    return sorted(found)


def _payload(totals: Totals) -> tuple[int, int] | None:
    """Return number and bytes of arrays that were copied once or twice each, else None."""
    if not totals.count <= totals.copies <= 2 * totals.count:
        return None
    payload, rest = divmod(totals.bytes_written, totals.copies)
    return None if rest or totals.bytes_read != totals.bytes_written else (totals.count, payload)


def altered(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the recording again and again, each time with one other number."""
    for number, item in enumerate(document["conversions"]):
        for name in NUMBERS:
            for by in (1, -1, 4_096):
                if item[name] + by >= 0:
                    other = copy.deepcopy(document)
                    other["conversions"][number][name] += by
                    yield f"{name} of {item['expression']} by {by}", other


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_costs_what_its_recording_says(path):
    """
    In a real kernel every cell runs, and outcomes, effects, kinds, counts and bytes are as kept.
    """
    ran = run_notebook(path)

    assert ran.error is None
    assert () == ran.recording.faults
    mend = f"python examples/refresh.py examples/{path.name}"
    assert [] == differences(tensortoll.load(recording_path(path)), ran.recording), mend


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_one_other_number_makes_the_comparison_fail(path):
    """
    The comparison is no formality: every count and every byte of every conversion is held.
    """
    document = json.loads(recording_path(path).read_text(encoding="utf-8"))
    kept = Recording.from_dict(document)

    assert [] == differences(kept, kept)
    for what, other in altered(document):
        assert [] != differences(Recording.from_dict(other), kept), what


def test_tensorflow_may_copy_once_or_twice_and_no_more():
    """
    Both are true of the same line; a third copy, none, or copies of another size are not.
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

    assert [] == differences(once, with_copies(2, 240_000))
    assert [] != differences(once, with_copies(3, 240_000))
    assert [] != differences(once, with_copies(0, 240_000))
    assert [] != differences(once, with_copies(2, 120_000))


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


def test_the_five_questions_are_there():
    """
    Four questions that users ask, and the quickstart.
    """
    assert [
        "how-to-convert-for-model-input",
        "how-to-convert-numpy-to-tensorflow",
        "quickstart",
        "what-does-it-cost",
        "why-cant-it-be-converted",
    ] == NAMES
