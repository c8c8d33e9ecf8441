"""A cell does the same with and without `%%tensorcost`: the cells of battery.txt, on both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent.parent
PATIENCE_S = 300

BATTERY = FOLDER / "battery.py"
NAMES = [
    line.removeprefix("### ").rstrip("\n")
    for line in (FOLDER / "battery.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith("### ")
]
OURS = ("leftovers", "recorded", "faults")
NOT_RUN = {"a syntax error", "a syntax error of the compiler", "an indentation error"}
NOT_RUN |= {"nothing but comments", "nothing at all", "syntax warnings as errors"}
"""Snippets with a cell that ends before it begins, so that there is nothing to record."""
OUT_OF_STACK = {"deep recursion", "a very long expression"}
"""Snippets that leave no room for what we would do, which the report says."""
KNOWN: dict[str, str] = {}
"""What is still different, and why. A snippet that comes right must be taken out of here."""


def ipython_8() -> Path:
    """Return the folder that IPython 8 was installed into."""
    folder = Path(os.environ.get("TENSORTOLL_IPYTHON8", PROJECT / ".venv-ipython8"))
    if not (folder / "IPython").is_dir():
        pytest.fail(
            f"IPython 8 is not in {folder}: `make test` installs it there and sets "
            "TENSORTOLL_IPYTHON8."
        )
    return folder


def both_sides(ipython: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the battery plain and watched, in two processes at once."""
    environment = dict(os.environ, PYTHONHASHSEED="0", COLUMNS="100")
    if ipython is not None:
        path = os.environ.get("PYTHONPATH", "")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ipython), path)))
    sides = [
        subprocess.Popen(
            [sys.executable, str(BATTERY), side],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        for side in ("plain", "watched")
    ]
    found = []
    try:
        for side in sides:
            out, err = side.communicate(timeout=PATIENCE_S)
            assert side.returncode == 0, err.decode(errors="replace")[-3000:]
            found.append(json.loads(out))
    finally:
        for side in sides:
            side.kill()
    return found[0], found[1]


@pytest.fixture(scope="module", params=["9", "8"])
def sides(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was seen plain and watched, on one version of IPython."""
    found = both_sides(ipython_8() if request.param == "8" else None)

    assert [request.param] * 2 == [side[""].partition(".")[0] for side in found]
    return found


def _named() -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=KNOWN[name], strict=True))
        if name in KNOWN
        else name
        for name in NAMES
    ]


@pytest.mark.parametrize("name", _named())
def test_a_watched_cell_behaves_as_a_plain_one(name: str, sides: Any) -> None:
    """
    Output, value, error, traceback and names are those of the cell without the magic.
    """
    plain, watched = sides

    assert len(plain[name]) == len(watched[name])
    for before, after in zip(plain[name], watched[name], strict=True):
        seen = {part: after[part] for part in before}

        assert before == seen


@pytest.mark.parametrize("name", NAMES)
def test_a_watched_cell_leaves_nothing_behind(name: str, sides: Any) -> None:
    """After each cell nothing of ours is left in the shell, and nothing of ours has failed."""
    _, watched = sides

    for cell in watched[name]:
        assert cell["leftovers"] == []
        if name not in OUT_OF_STACK:
            assert cell["faults"] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_RUN])
def test_the_battery_watches_its_cells(name: str, sides: Any) -> None:
    """Every snippet has a cell that was really watched, so that the comparison means something."""
    _, watched = sides

    assert any(cell["recorded"] for cell in watched[name])
