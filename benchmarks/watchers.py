"""The tools that watch a workload, each as one uses it: our own beside the others.

`watch` runs the workload once under the tool, from start to stop, and returns what `report` needs
to produce the text or the numbers that a user of the tool looks at.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads import Workload


class Tool:
    """What both kinds of watchers have in common."""

    package: str | None
    library: str | None  # it only makes sense on workloads that use this library

    def fits(self, workload: Workload) -> bool:
        """A library's own profiler is tried on that library's workloads and on the plain one."""
        plain = workload.libraries == ("numpy",)
        return plain or self.library is None or self.library in workload.libraries


@dataclass(frozen=True)
class Watcher(Tool):
    """A tool that watches from inside the process."""

    name: str
    package: str | None
    watch: Callable[[Workload, tuple, Path], Any]
    report: Callable[[Any], Any] = lambda _: None
    library: str | None = None


@dataclass(frozen=True)
class ProcessWatcher(Tool):
    """A tool that wants to start the program itself: `python -m MODULE ... workloads.py`."""

    name: str
    package: str
    command: Callable[[Path], list[str]]
    arguments_after: str = "---"
    library: str | None = None


def watch_nothing(workload, inputs, scratch):
    workload.function(*inputs)


def watch_torch_profiler(workload, inputs, scratch):
    from torch.profiler import ProfilerActivity, profile

    with profile(
        activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True, with_stack=True
    ) as profiler:
        workload.function(*inputs)
    return profiler


def report_torch_profiler(profiler):
    return profiler.key_averages(group_by_stack_n=3).table(row_limit=20)


def watch_torch_dispatch(workload, inputs, scratch):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        """The least that a tool built on dispatch modes does: count calls by operator."""

        def __init__(self):
            super().__init__()
            self.counts = Counter()

        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            self.counts[operator] += 1
            return operator(*args, **(kwargs or {}))

    with Counting() as mode:
        workload.function(*inputs)
    return mode.counts


def watch_tf_profiler(workload, inputs, scratch):
    import tensorflow as tf

    tf.profiler.experimental.start(str(scratch))
    try:
        workload.function(*inputs)
    finally:
        tf.profiler.experimental.stop()


def watch_memray(workload, inputs, scratch):
    import memray

    recording = scratch / "memray.bin"
    recording.unlink(missing_ok=True)
    with memray.Tracker(recording):
        workload.function(*inputs)
    return recording


def report_memray(recording):
    import memray

    with memray.FileReader(recording) as reader:
        records = reader.get_high_watermark_allocation_records(merge_threads=True)
        return [(record.size, record.stack_trace()) for record in records]


def watch_line_profiler(workload, inputs, scratch):
    from line_profiler import LineProfiler

    profiler = LineProfiler(*workload.functions())
    profiler.runcall(workload.function, *inputs)
    return profiler


def report_line_profiler(profiler):
    profiler.print_stats(stream=io.StringIO())


def watch_cprofile(workload, inputs, scratch):
    import cProfile

    profiler = cProfile.Profile()
    profiler.runcall(workload.function, *inputs)
    return profiler


def report_cprofile(profiler):
    import pstats

    pstats.Stats(profiler, stream=io.StringIO()).sort_stats("cumulative").print_stats(30)


def watch_pyinstrument(workload, inputs, scratch):
    from pyinstrument import Profiler

    with Profiler() as profiler:
        workload.function(*inputs)
    return profiler


def report_pyinstrument(profiler):
    return profiler.output_text()


def watch_tensortoll_hooks(workload, inputs, scratch):
    import tensortoll

    with tensortoll.record() as recorder:
        workload.function(*inputs)
    return recorder.recording


def watch_tensortoll_full(workload, inputs, scratch):
    import tensortoll

    namespace = {"__name__": "__main__", "inputs": inputs}
    return tensortoll.run_source(workload.cell, name="<cell>", namespace=namespace)


def report_tensortoll(recording):
    return json.dumps(recording.to_dict())


def scalene_command(*options: str) -> Callable[[Path], list[str]]:
    return lambda scratch: ["scalene", "run", *options, "-o", str(scratch / "scalene.json")]


WATCHERS = {
    watcher.name: watcher
    for watcher in (
        Watcher("none", None, watch_nothing),
        Watcher("torch.profiler", "torch", watch_torch_profiler, report_torch_profiler, "torch"),
        Watcher("TorchDispatchMode", "torch", watch_torch_dispatch, library="torch"),
        Watcher("tf.profiler", "tensorflow", watch_tf_profiler, library="tensorflow"),
        Watcher("memray", "memray", watch_memray, report_memray),
        Watcher("line_profiler", "line_profiler", watch_line_profiler, report_line_profiler),
        Watcher("cProfile", None, watch_cprofile, report_cprofile),
        Watcher("pyinstrument", "pyinstrument", watch_pyinstrument, report_pyinstrument),
        ProcessWatcher("scalene-cpu", "scalene", scalene_command("--cpu-only")),
        ProcessWatcher("scalene-memory", "scalene", scalene_command("--memory")),
        Watcher("tensortoll-hooks", "tensortoll", watch_tensortoll_hooks, report_tensortoll),
        Watcher("tensortoll", "tensortoll", watch_tensortoll_full, report_tensortoll),
    )
}
AnyWatcher = Watcher | ProcessWatcher
