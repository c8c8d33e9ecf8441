"""Run the notebooks of this folder in a real kernel, and write their outputs and recordings anew.

usage: python examples/refresh.py [NOTEBOOK.ipynb ...]

Beside each notebook lies what `tensortoll run --json` would record of it. Addresses and times
differ from run to run; what a test compares does not.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tensortoll import notebook as running
from tensortoll.recording import Recording, merged

FOLDER = Path(__file__).resolve().parent
CELL_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py")
"""Where IPython says that a cell lies; another place on every machine."""


def main(names: list[str]) -> None:
    """Refresh the notebooks that are named, or all."""
    for path in [Path(name) for name in names] or sorted(FOLDER.glob("*.ipynb")):
        recording = refresh(path)
        print(f"{path.name}: {recording.count:,} conversions")


def recording_of(path: Path) -> Path:
    """Return the place of a notebook's recording."""
    return path.with_name(f"{path.stem}.recording.json")


def refresh(path: Path) -> Recording:
    """Run a notebook, and write its outputs and its recording."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="tensortoll-") as folder:
        client = NotebookClient(
            # A copy: the cell that we add is run beside the notebook, not as a part of it.
            nbformat.v4.new_notebook(cells=[*notebook.cells], metadata=notebook.metadata),
            timeout=None,
            resources={"metadata": {"path": str(path.resolve().parent)}},
            config=running._through_files(folder),
        )
        with client.setup_kernel():
            recorded = False
            for number, cell in enumerate(notebook.cells):
                if cell.cell_type != "code":
                    continue
                client.execute_cell(cell, number)
                if not recorded:  # the first one imports, and loads the extension as a reader would
                    recorded = True
                    running._prepare(client, (folder, True, True))
        recording = merged(one for one, _name in running._taken(Path(folder)))
    for cell in notebook.cells:
        _clean(cell)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, path)
    # Who ran it, and where, is nobody's business.
    environment = replace(recording.environment, pid=None, host=None)
    replace(recording, environment=environment).save(recording_of(path))
    return recording


def _clean(cell: Any) -> None:
    """Leave out of a cell what belongs to this machine and this minute."""
    cell.metadata = {}
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            output.text = CELL_FILE.sub("<cell>", output.text)


if __name__ == "__main__":
    main(sys.argv[1:])
