"""Run a notebook in a real kernel, every cell watched: `tensortoll run NOTEBOOK.ipynb`."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tensortoll.errors import MissingLibraryError, NotebookError
from tensortoll.recording import Recording, merged
from tensortoll.store import read_document

if TYPE_CHECKING:
    from nbclient import NotebookClient

OnCell = Callable[[Recording, str], None]

FAILED_STATUS: Final = 1
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """What came of running a notebook."""

    recording: Recording
    """Of all cells that were run."""
    error: str | None
    """The traceback of the cell that failed, if one did; the cells after it were not run."""

    @property
    def status(self) -> int:
        """The exit status: 0 where every cell ran."""
        return 0 if self.error is None else FAILED_STATUS


def run_notebook(
    path: Path,
    on_cell: OnCell = lambda _recording, _name: None,
    *,
    memory: bool = True,
    time: bool = True,
) -> NotebookRun:
    """Run the code cells of the notebook at ``path``, one after the other.

    The notebook itself is not changed. The kernel starts in the notebook's folder.

    Args:
        path: An `.ipynb` file.
        on_cell: Told what was seen of each cell, and its name, as soon as it has ended.
        memory: Whether to watch what each line allocates.
        time: Whether to time each line.

    Raises:
        MissingLibraryError: If nbclient, nbformat or ipykernel is not installed.
        NotebookError: If the file is no notebook, or asks for a kernel that does not exist.
    """
    nbclient, notebook = _read(path)
    recordings: list[Recording] = []
    error = None
    with tempfile.TemporaryDirectory(prefix="tensortoll-") as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=None,
            resources={"metadata": {"path": str(path.resolve().parent)}},
            config=_through_files(folder),
        )
        try:
            with client.setup_kernel():
                # Running a cell puts it into the notebook, also the one that is only ours.
                cells = list(notebook.cells)
                _prepare(client, (folder, memory, time))
                for number, cell in enumerate(cells):
                    if cell.cell_type != "code":
                        continue
                    try:
                        client.execute_cell(cell, number)
                    finally:
                        for recording, name in _taken(Path(folder)):
                            recordings.append(recording)
                            on_cell(recording, name)
        except nbclient.exceptions.CellExecutionError as failure:
            error = _ESCAPES.sub("", str(failure))
        except nbclient.exceptions.DeadKernelError as failure:
            error = f"the kernel died: {failure}"
        except _no_such_kernel() as failure:
            msg = f"{path} asks for a kernel that is not installed: {failure}"
            raise NotebookError(msg) from failure
    return NotebookRun(merged(recordings), error)


def _read(path: Path) -> tuple[Any, Any]:
    """Return the module that runs notebooks, and the notebook."""
    try:
        import ipykernel  # noqa: F401 - only to know whether it is there
        import nbclient
        import nbformat
    except ImportError as error:
        msg = (
            f"running a notebook needs {error.name}, which is not installed. "
            'Install it with: pip install "tensortoll[notebook]"'
        )
        raise MissingLibraryError(msg) from error
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        msg = f"{path} is no notebook that can be run: {reason}"
        raise NotebookError(msg) from error
    return nbclient, notebook


def _through_files(folder: str) -> Any:
    """Have the kernel talk through files in ``folder``, where the system can: no open ports."""
    from traitlets.config import Config

    if sys.platform == "win32":
        return Config()
    # An absolute path: the kernel runs in the notebook's folder, we in whichever.
    return Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder) / "kernel")}})


def _no_such_kernel() -> type[Exception]:
    from jupyter_client.kernelspec import NoSuchKernel

    error: type[Exception] = NoSuchKernel
    return error


def _prepare(client: NotebookClient, wanted: tuple[str, bool, bool]) -> None:
    """Have the kernel record every cell from now on, without using up a cell's number."""
    import nbformat

    text = f"from tensortoll.magics.kernel import record_into as _t; _t{wanted!r}; del _t"
    cell = nbformat.v4.new_code_cell(text)
    client.execute_cell(cell, 0, store_history=False)


def _taken(folder: Path) -> Iterator[tuple[Recording, str]]:
    """Yield the recordings that the kernel has written, in order, and remove them."""
    for path in sorted(folder.glob("*.json")):
        document: Any = read_document(path)
        yield Recording.from_dict(document["recording"]), str(document["ran"])
        path.unlink()
