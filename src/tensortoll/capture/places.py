"""From a thread's stack to the innermost line of the user's source, and what it asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Set as AbstractSet
from types import CodeType, FrameType
from typing import Final

from tensortoll.capture.counting.recorder import Located, Site, Table
from tensortoll.capture.runtime.evidence import Evidence
from tensortoll.capture.text.calls import Call, call_at
from tensortoll.capture.text.sources import Sources, is_own, short_file
from tensortoll.model import Place, Source

# Looking at an array is not converting it, and what a compiler or tracer does with stand-ins for
# tensors is not done to the user's data. Files by the part of their path below site-packages.
SILENT_FILES: Final = (
    "torch/_tensor_str.py",
    "torch/_dynamo/",
    "torch/_inductor/",
    "torch/_functorch/_aot_autograd/",
    "torch/_functorch/aot_autograd.py",
    "torch/_functorch/partitioners.py",
    "torch/_subclasses/",
    "torch/fx/",
    "torch/export/",
    "torch/jit/_trace.py",
    "torch/_decomp/",
    "torch/_prims/",
    "torch/_refs/",
    "numpy/_core/arrayprint.py",
    "numpy/core/arrayprint.py",
    "IPython/core/displayhook.py",
    "IPython/core/formatters.py",
    "IPython/lib/pretty.py",
    "tensorflow/python/framework/func_graph.py",
)
TRACERS: Final = tuple(file for file in SILENT_FILES if file.startswith(("torch/", "tensorflow/")))
# What a compiled function could not compile runs below this, as the user wrote it.
RUNS_COMPILED: Final = frozenset(("torch/_dynamo/eval_frame.py",))
PRINTERS: Final = frozenset(("torch/_tensor_str.py",))
# A library works through these: the file to name is the one that asked them, if there is one.
PLUMBING: Final = (
    *("keras/src/backend/", "keras/src/utils/", "keras/src/tree/", "keras/src/dtype_policies/"),
    *("optree/", "torch/utils/_pytree.py", "jax/"),
)
SILENT_NAMES: Final = frozenset(
    ("__repr__", "__str__", "__format__", "_repr_html_", "_repr_mimebundle_", "_repr_pretty_")
)

_UNKNOWN: Final = object()

# How a code object counts. Kept by its address, while the table holds the object.
_USER, _LIBRARY, _SILENT = range(3)


class Places:
    """Finds the site to charge for an event, and remembers it by instruction.

    Addresses of code objects serve as keys: an object's bytecode lies inside the object, so
    "address + offset of the instruction" is unique among the living, and all are held.
    """

    def __init__(
        self, sources: Sources, explicit: AbstractSet[str], evidence: Evidence | None = None
    ) -> None:
        """Start knowing no place.

        Args:
            sources: What is the user's.
            explicit: Names of calls that ask for a conversion.
            evidence: Told of each new place, to look up what its expression names.
        """
        self._evidence = evidence
        self._sources = sources
        self._explicit = explicit

    def site(self, table: Table, frame: FrameType | None) -> Site | None:
        """Return the site to charge for what ``frame`` called, or None where it is not counted.

        Args:
            table: The current thread's.
            frame: The innermost frame that is not ours; None on a thread that runs no Python.
        """
        if frame is None:
            return self._waiting(table, None)
        instruction = id(frame.f_code) + frame.f_lasti
        known = table.sites.get(instruction, _UNKNOWN)
        if known is not _UNKNOWN:
            return known  # type: ignore[return-value]
        distance = table.distances.get(instruction)
        if distance is not None and sys._getframe(2) is frame:
            # Looking at each frame on the way takes longer than all else. A pair of instructions
            # that was found before, as far apart as before, is taken to be linked as before.
            try:
                user = sys._getframe(2 + distance)
            except ValueError:  # the stack is not that deep
                return self._through_libraries(table, frame, instruction)
            near = table.deep.get((instruction, id(user.f_code) + user.f_lasti))
            if near is not None:
                return near
        return self._through_libraries(table, frame, instruction)

    def _through_libraries(self, table: Table, inner: FrameType, inner_key: int) -> Site | None:
        classes = table.codes_by_class
        frame: FrameType | None = inner
        distance = 0
        while frame is not None:
            code = frame.f_code
            kind = classes.get(id(code))
            if kind is None:
                kind = self._classify(table, code)
            if kind == _USER:
                break
            if kind == _SILENT:
                return None
            frame = frame.f_back
            distance += 1
        if frame is None:
            return self._waiting(table, inner)
        # Held already, unless all were let go of meanwhile.
        table.codes[id(inner.f_code)] = inner.f_code
        table.codes[id(frame.f_code)] = frame.f_code
        if frame is not inner:
            table.distances[inner_key] = distance
            key = (inner_key, id(frame.f_code) + frame.f_lasti)
            known = table.deep.get(key, _UNKNOWN)
            if known is not _UNKNOWN:
                return known  # type: ignore[return-value]
        if _is_traced(frame.f_back):
            return None  # and not remembered: the same line may run untraced later
        if frame is inner:
            site = table.sites[inner_key] = self._new(table, frame, inner)
        else:
            site = table.deep[key] = self._new(table, frame, inner)
        return site

    def printing(self, table: Table, frame: FrameType | None) -> Site | None:
        """Return the site of a user's line that has a tensor printed; None where none is.

        Looking at a tensor is no conversion, but a device has to be waited for and read.
        """
        inner, printed = frame, False
        while frame is not None and self._sources.of(frame.f_code.co_filename) is None:
            printed = printed or short_file(frame.f_code.co_filename) in PRINTERS
            frame = frame.f_back
        if frame is None or inner is None or not printed:
            return None
        key = (id(inner.f_code) + inner.f_lasti, id(frame.f_code) + frame.f_lasti, 2)
        if key not in table.deep:
            for one in (inner, frame):
                table.hold(one.f_code)
            table.deep[key] = self._new(table, frame, inner)
        return table.deep[key]

    def _classify(self, table: Table, code: CodeType) -> int:
        if self._sources.of(code.co_filename) is not None:
            kind = _USER
        elif code.co_name in SILENT_NAMES or _is_silent(code.co_filename):
            kind = _SILENT
        else:
            kind = _LIBRARY
        table.hold(code)
        table.codes_by_class[id(code)] = kind
        return kind

    def _new(
        self, table: Table, frame: FrameType, inner: FrameType | None, *, waiting: bool = False
    ) -> Site | None:
        source = self._sources.of(frame.f_code.co_filename)
        if source is None:
            return None
        call = self._call(source, frame)
        inner_call = call if inner is frame or inner is None else call_at(inner)
        file = None
        if inner is not None and inner is not frame:
            file = short_file(inner.f_code.co_filename)
        located = Located(
            Place(source, *call.extent, call.text),
            call.operation,
            implicit=waiting or call.name not in self._explicit,
            name=inner_call.name,
            inside=file,
            via=_via(inner, frame),
            waiting=waiting,
        )
        if self._evidence is not None and not waiting:
            self._evidence.note(located.place, frame)
        return Site(located, table)

    @staticmethod
    def _call(source: Source, frame: FrameType) -> Call:
        lines = source.text.splitlines(keepends=True) if source.text else None
        return call_at(frame, lines)

    def _waiting(self, table: Table, inner: FrameType | None) -> Site | None:
        """Charge work of a thread without a line of the user's to the line that waits for it."""
        if table.thread is None:
            return None
        frames = sys._current_frames()
        frame: FrameType | None = frames.get(threading.main_thread().ident or 0)
        del frames
        while frame is not None and self._sources.of(frame.f_code.co_filename) is None:
            frame = frame.f_back
        if frame is None:
            return None
        inner_key = 0 if inner is None else id(inner.f_code) + inner.f_lasti
        key = (inner_key, id(frame.f_code) + frame.f_lasti, 1)
        known = table.deep.get(key, _UNKNOWN)
        if known is not _UNKNOWN:
            return known  # type: ignore[return-value]
        for one in (inner, frame):
            if one is not None and id(one.f_code) not in table.codes:
                table.hold(one.f_code)
        site = table.deep[key] = self._new(table, frame, inner, waiting=True)
        return site


def _via(inner: FrameType | None, user: FrameType) -> str | None:
    """Return the innermost line of a library that did what the user's line did not ask for."""
    plumbing = None
    while inner is not None and inner is not user:
        filename = inner.f_code.co_filename
        file = short_file(filename)
        if not file.startswith("tensorflow/") and not is_own(filename):
            line = f"{file}:{inner.f_lineno}"
            if not file.startswith(PLUMBING):
                return line
            plumbing = plumbing or line
        inner = inner.f_back
    return plumbing


def _is_silent(filename: str) -> bool:
    file = short_file(filename)
    return file.startswith(SILENT_FILES)


def _is_traced(frame: FrameType | None) -> bool:
    """Say whether a tracer stands further out on the stack, beyond the user's line."""
    while frame is not None:
        file = short_file(frame.f_code.co_filename)
        if file.startswith(TRACERS) and file not in RUNS_COMPILED:
            return True
        frame = frame.f_back
    return False
