"""Notebooks as tests: each `%%tensorcost` cell is held against the recording beside the notebook.

The recording of `load.ipynb` is `load.recording.json`, as `tensortoll run --json` writes it. A
notebook is run once, in a real kernel, by the first of its cells that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tensortoll.errors import TensortollError
from tensortoll.model import Source
from tensortoll.notebook import NotebookRun, run_notebook
from tensortoll.pytest_plugin import SESSION, TOLD
from tensortoll.pytest_plugin.kept import against, keep
from tensortoll.recording import Recording
from tensortoll.store import read_document

MAGIC: Final = "%%tensorcost"
REST: Final = "the rest"
"""The name of the test for what stands in no such cell, and for the notebook as a whole."""


def recording_of(notebook: Path) -> Path:
    """Return the place of a notebook's recording."""
    return notebook.with_name(f"{notebook.stem}.recording.json")


class NotebookFailedError(Exception):
    """A notebook does not run, or converts otherwise than its recording says."""


class NotebookFile(pytest.File):
    """A notebook, and what came of running it."""

    _ran: NotebookRun | None = None

    def collect(self) -> Iterator[NotebookCell]:
        """Yield a test for each `%%tensorcost` cell, and one for the rest."""
        try:
            names = [*watched_cells(self.path)]
        except TensortollError as error:
            raise self.CollectError(str(error)) from None
        if names:
            for name in (*names, REST):
                yield NotebookCell.from_parent(self, name=name)

    def ran(self) -> NotebookRun:
        """Run the notebook, if it was not yet."""
        if self._ran is None:
            self._ran = run_notebook(self.path, memory=False, time=False)
        return self._ran


def watched_cells(path: Path) -> Iterator[str]:
    """Yield the names that the `%%tensorcost` cells of a notebook have when it is run.

    Raises:
        TensortollError: If the file is no notebook.
    """
    document: Any = read_document(path)
    number = 0
    for cell in document.get("cells", ()) if isinstance(document, dict) else ():
        text = "".join(cell.get("source", ()))
        if cell.get("cell_type") == "code" and text.strip():
            number += 1
            if text.lstrip().startswith(MAGIC):
                yield f"cell [{number}]"


class NotebookCell(pytest.Item):
    """One cell that is held against the recording; or the rest of the notebook."""

    parent: NotebookFile

    def runtest(self) -> None:
        """Run the notebook, and compare."""
        path = recording_of(self.path)
        try:
            ran = self.parent.ran()
        except TensortollError as error:
            raise NotebookFailedError(str(error)) from None
        written: list[str] = []
        self.stash[TOLD] = lambda: self._told(ran, written)
        names = {one.name for one in ran.recording.sources}
        if ran.error is not None and (self.name == REST or self.name not in names):
            raise NotebookFailedError(f"{self.name} was not run to its end:\n{ran.error}")
        if self.name == REST and ran.recording.faults:
            raise NotebookFailedError(
                "\n".join(("tensortoll failed to look:", *ran.recording.faults))
            )
        problem = against(
            path,
            self._part(ran.recording),
            part=self._part,
            mend=f'pytest --tensorcost-notebooks "{self.nodeid.partition("::")[0]}"',
        )
        if problem is None:
            return
        if ran.error is None and problem.mode in self.config.option.tensorcost_record:
            keep(ran.recording, path, text=True)
            written.append(str(path))
            return
        raise NotebookFailedError(str(problem))

    def _part(self, recording: Recording) -> Recording:
        """Return what belongs to this cell; or to none that has a test of its own."""
        others = set(watched_cells(self.path))

        def is_mine(source: Source) -> bool:
            return source.name not in others if self.name == REST else source.name == self.name

        return replace(
            recording,
            conversions=tuple(c for c in recording.conversions if is_mine(c.route.place.source)),
            failures=tuple(one for one in recording.failures if is_mine(one.source)),
            hazards=tuple(one for one in recording.hazards if is_mine(one.source)),
        )

    def _told(self, ran: NotebookRun, written: list[str]) -> dict[str, Any]:
        """Return what the report carries: the recording once, with the last test."""
        told: dict[str, Any] = {"written": written} if written else {}
        session = self.config.pluginmanager.get_plugin(SESSION)
        if self.name == REST and session is not None and session.all_tests:
            told["recording"] = json.dumps(ran.recording.to_dict())
        return told

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong, and no traceback of ours."""
        if isinstance(excinfo.value, NotebookFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return what pytest's headings show."""
        return self.path, None, f"{self.path.name}: {self.name}"
