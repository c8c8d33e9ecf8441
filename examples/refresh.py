"""Run the notebooks of this folder in a real kernel, and write their outputs and recordings anew.

usage: python examples/refresh.py [NOTEBOOK.ipynb ...]

A recording is written as `pytest --tensorcost-record=create,fix` would write it, and only where it no
longer holds.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
CELL_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py")
"""Where IPython says that a cell lies; another place on every machine."""


def main(names: list[str]) -> int:
    """Refresh the notebooks that are named, or all."""
    paths = [Path(name) for name in names] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        refresh(path)
    return pytest.main(
        ["-q", "--tensorcost-notebooks", "--tensorcost-record=create,fix", *map(str, paths)]
    )


def refresh(path: Path) -> None:
    """Run a notebook, and write its outputs."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.resolve().parent)}}
    NotebookClient(notebook, timeout=None, resources=where).execute()
    for cell in notebook.cells:
        _clean(cell)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, path)


def _clean(cell: Any) -> None:
    """Leave out of a cell what belongs to this machine and this minute."""
    cell.metadata = {}
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            output.text = CELL_FILE.sub("<cell>", output.text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
