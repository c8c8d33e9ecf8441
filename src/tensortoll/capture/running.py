"""Run a text as a watched whole: a script, or a cell without a notebook."""

from __future__ import annotations

import ast
import builtins
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

from tensortoll.capture.counting.tracing import Ring
from tensortoll.capture.observers import Observing
from tensortoll.capture.rewriting.functions import Originals, as_rewritten
from tensortoll.capture.rewriting.placeholders import baked
from tensortoll.capture.rewriting.rewriter import Rewritten, rewrite
from tensortoll.capture.runtime.evidence import Evidence
from tensortoll.capture.text.compilers import BLIND_SPOT, handed_to_compilers, in_play
from tensortoll.capture.text.sources import only
from tensortoll.capture.text.suspicion import suspicions
from tensortoll.capture.unseen import without_own_frames
from tensortoll.capture.watch import NOTHING, Watch, notice
from tensortoll.model import Source
from tensortoll.recording import Recording


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of running a text."""

    recording: Recording
    error: BaseException | None
    """What the text raised; its traceback begins in the text."""
    evidence: Evidence
    """What the conversions were handed, in numbers."""


def run(
    text: str,
    name: str,
    namespace: dict[str, Any],
    *,
    filename: str | None = None,
    before_end: Callable[[], None] = lambda: None,
    observing: Observing = NOTHING,
    ring: Ring | None = None,
) -> Outcome:
    """Run ``text`` watched, and return what was seen and what it raised.

    Args:
        text: Python source.
        name: Stands in the recording.
        namespace: The globals to run in.
        filename: Stands in tracebacks; ``name`` where None.
        before_end: Called when the text has ended, while the watch is still on.
        observing: What is observed beside the conversions.
        ring: Keeps single events too.

    Raises:
        SyntaxError: If ``text`` is no Python; nothing was run.
        AlreadyWatchingError: If a watch is on; nothing was run.
    """
    filename = filename or name
    source = Source(name, text)
    tree = ast.parse(text, filename)
    watch = Watch(only(filename, source), observing=observing, ring=ring)
    _show_in_tracebacks(text, filename)
    namespace.setdefault("__builtins__", builtins)
    error: BaseException | None = None
    watch.start(text)
    try:
        code = watch.observers.timed(prepare(watch, tree, source, filename, namespace))
        try:
            with watch.observers.running(code):
                try:
                    exec(code, namespace)
                finally:
                    before_end()
        except BaseException as raised:
            notice(raised)
            without_own_frames(raised)
            error = raised.with_traceback(_from_text(raised.__traceback__, filename))
    finally:
        watch.stop()
    watch.restore_names(namespace)
    return Outcome(watch.recording((source,)), error, watch.evidence)


def prepare(
    watch: Watch, tree: ast.Module, source: Source, filename: str, namespace: Mapping[str, Any]
) -> CodeType:
    """Return the code of a text with our expressions in it, ready to run under ``watch``."""
    rewritten = rewritten_for(watch, tree, source, namespace)
    watch.texts.add(filename, Originals(rewritten.original, filename))
    code = compile(rewritten.tree, filename, "exec", dont_inherit=True)
    return baked(code, rewritten.expressions)


def rewritten_for(
    watch: Watch, tree: ast.Module, source: Source, namespace: Mapping[str, Any]
) -> Rewritten:
    """Return ``tree`` rewritten by what the probes of ``watch`` know. It is changed.

    Functions of earlier texts are rewritten again too, but for those that this text has compiled.
    """
    handed = handed_to_compilers(tree)
    compiling = in_play(tree, namespace)
    for sentence in suspicions(tree, namespace):
        watch.recorder.blind_spot(sentence)
    if not compiling:
        as_rewritten({name: namespace[name] for name in handed if name in namespace})
    rewritten = rewrite(
        tree, source, watch.rewrites, watch.explicit, namespace, functions=not compiling
    )
    if rewritten.error is not None:
        watch.recorder.fault("rewriting the source", rewritten.error)
    if compiling:
        watch.observers.leave_functions()
    if rewritten.left:
        watch.recorder.blind_spot(BLIND_SPOT)
    return rewritten


def _show_in_tracebacks(text: str, filename: str) -> None:
    lines = text.splitlines(keepends=True)
    linecache.cache[filename] = (len(text), None, lines, filename)


def _from_text(traceback: TracebackType | None, filename: str) -> TracebackType | None:
    """Return a traceback without the frames that stand above the text: ours."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename != filename:
        traceback = traceback.tb_next
    return traceback
