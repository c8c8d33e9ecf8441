"""Libraries that are imported while a watch is on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class Arrivals(MetaPathFinder):
    """Calls back right after a library was imported for the first time."""

    def __init__(
        self,
        awaited: Iterable[str],
        on_arrival: Callable[[str], None],
        around: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """Wait for ``awaited``; nothing happens before `start`.

        Args:
            awaited: Libraries by import name.
            on_arrival: Called with the name of each, once it is there.
            around: Returns what stands around the import of each.
        """
        self._awaited = set(awaited)
        self._asked: set[tuple[int, str]] = set()
        self._on_arrival = on_arrival
        self._around = around
        self._changed: list[Loader] = []

    def start(self) -> None:
        """Look at every import from now on."""
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Leave the import system as it was found."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for loader in self._changed:
            vars(loader).pop("exec_module", None)
        self._changed.clear()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the finder's interface
        target: ModuleType | None = None,  # noqa: ARG002 - the finder's interface
    ) -> ModuleSpec | None:
        """Find a library that is awaited, and have its loader tell when it is done."""
        asked = threading.get_ident(), fullname
        if fullname not in self._awaited or asked in self._asked:
            return None
        # Awaited still: many a library only asks whether another one could be imported.
        self._asked.add(asked)  # or the next line would come back here
        try:
            spec = find_spec(fullname)
        finally:
            self._asked.discard(asked)
        if spec is not None and spec.loader is not None:
            self._announce_after(spec.loader, fullname)
        return spec

    def _announce_after(self, loader: Loader, fullname: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            with self._around(fullname):
                execute(module)
            if fullname in self._awaited:
                self._awaited.discard(fullname)
                self._on_arrival(fullname)

        # Set on this one loader, not wrapped: resource readers look at the loader's own type.
        try:
            loader.exec_module = exec_module  # type: ignore[method-assign]
        except AttributeError:
            return
        self._changed.append(loader)
