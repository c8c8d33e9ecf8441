"""A probe of another package is found by its entry point, and works like our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tensortoll

PACKAGE = Path(__file__).parents[1] / "packages" / "boxes"
SCRIPT = """
import numpy as np
x = np.arange(1000.0)
import boxes
packed = boxes.pack(x)
shared = boxes.wrap(x)
back = packed.unpack()
packed.repeat(3)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder that the package is installed in, as an installer would lay it out."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        shutil.copy(PACKAGE / name, tmp_path)
    name, version = project["project"]["name"], project["project"]["version"]
    information = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [
        line
        for group, points in project["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def watched(script: Path, *folders: Path) -> dict[str, object]:
    out = script.with_suffix(".json")
    command = [sys.executable, "-m", "tensortoll", "run", "--quiet", "--no-memory", "--no-time"]
    ours = str(Path(tensortoll.__file__).parents[1])
    path = os.pathsep.join((*map(str, folders), ours))
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([*command, "--json", str(out), str(script)], check=True, env=environment)
    found: dict[str, object] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_a_probe_of_another_package_is_found_and_used(site: Path) -> None:
    """Its library, imported by the script itself, is watched as ours are."""
    script = site / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")

    recording = watched(script, site)

    assert recording["faults"] == []
    assert "boxes" in recording["environment"]["libraries"]
    assert [
        (
            one["line"],
            one["outcome"],
            one["effects"],
            f"{one['from']['library']}:{one['from']['dtype']}",
            f"{one['to']['library']}:{one['to']['dtype']}",
            one["bytes_written"],
            one["implicit"],
        )
        for one in recording["conversions"]
    ] == [
        (5, "copy", ["cast"], "numpy:float64", "boxes:float32", 4000, False),
        (6, "view", [], "numpy:float64", "boxes:float64", 0, False),
        (7, "view", [], "boxes:float32", "numpy:float32", 0, False),
    ]


def test_a_probe_that_breaks_keeps_nobody_from_work(site: Path) -> None:
    """What another package gets wrong is told, and the rest is watched."""
    (site / "tensortoll_boxes.py").write_text("raise RuntimeError('not today')", encoding="utf-8")
    script = site / "script.py"
    script.write_text("import numpy as np\nnp.arange(1000.0).astype('f4')\n", encoding="utf-8")

    recording = watched(script, site)

    assert any("not today" in fault for fault in recording["faults"])
    assert [one["operation"] for one in recording["conversions"]] == [".astype"]
