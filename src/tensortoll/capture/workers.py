"""Bring home what forked worker processes counted: `DataLoader(num_workers=2)`.

A forked child inherits every hook, and the user's line with the stack. What it counts is written
to a file of its own when it ends, and added up by the parent when the watch ends. A spawned child
inherits nothing, which is said as a blind spot.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.patching import Patches
from tensortoll.merging import fault_text
from tensortoll.recording import Recording, load

SPAWNED: Final = "Processes that were spawned, not forked: what they convert is not counted."
_SPAWNED: Final = frozenset(("SpawnProcess", "ForkServerProcess"))
"""Classes of `multiprocessing.context`."""
PATIENCE_S: Final = 0.5
"""How long to wait at the end for workers that are just ending."""


class Workers:
    """The forked children of one watch."""

    def __init__(self, recorder: Recorder, patches: Patches) -> None:
        """Prepare; nothing is created on disk before a child is forked."""
        self._recorder = recorder
        self._patches = patches
        self._parent = os.getpid()
        # Named before the fork, so that parent and children agree; unguessable, so that nobody
        # else can have made it.
        token = secrets.token_hex(8)
        self._folder = Path(tempfile.gettempdir()) / f"tensortoll-{self._parent}-{token}"
        self._active = False
        self._installed = False

    def install(self) -> None:
        """Have forked children tell, from now on until `collect`."""
        from multiprocessing import process, util

        self._active = True
        if not self._installed:
            self._installed = True
            # Keyed weakly by this object: gone with it.
            util.register_after_fork(self, Workers._begin_in_child)
            self._patches.replace(process.BaseProcess, "start", self._noting_spawned)

    def _begin_in_child(self) -> None:
        if not self._active:
            return
        from multiprocessing import util

        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._file("started").touch()
            self._recorder.restart_in_child("a worker process")
            # After the finalizers of user code, which may convert; before the queues close.
            util.Finalize(None, self._tell, exitpriority=0)

    def _file(self, suffix: str) -> Path:
        return self._folder / f"{os.getpid()}.{suffix}"

    def _tell(self) -> None:
        """Write what this child counted."""
        faults = self._recorder.faults
        conversions = tuple(self._recorder.conversions())
        recording = Recording(
            conversions=conversions,
            sources=tuple({one.route.place.source for one in conversions}),
            blind_spots=self._recorder.blind_spots,
            faults=tuple(fault_text(why, times) for why, times in faults.items()),
        )
        with contextlib.suppress(OSError):  # the parent is done and has cleaned up
            recording.save(self._file("json"))

    def collect(self) -> list[Recording]:
        """Return what the children counted, and remove their files."""
        self._active = False
        if not self._folder.is_dir():
            return []
        deadline = time.monotonic() + PATIENCE_S
        while self._missing() and time.monotonic() < deadline:
            time.sleep(0.01)
        missing = self._missing()
        recordings = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                recordings.append(load(path))
            except (OSError, ValueError) as error:
                self._recorder.fault("reading a worker's counts", error)
        shutil.rmtree(self._folder, ignore_errors=True)
        if missing:
            self._recorder.blind_spot(
                f"{missing} worker {'process was' if missing == 1 else 'processes were'} still "
                "running at the end: what they converted is not counted."
            )
        return recordings

    def _missing(self) -> int:
        started = {path.stem for path in self._folder.glob("*.started")}
        return len(started - {path.stem for path in self._folder.glob("*.json")})

    def _noting_spawned(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return a `Process.start` that takes note of children that inherit nothing of ours."""
        recorder = self._recorder

        def start(self: object) -> None:
            if type(self).__name__ in _SPAWNED:
                recorder.blind_spot(SPAWNED)
            original(self)

        return start
