"""What each line allocates, held against sizes that are known."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import memray
import pytest

import tensortoll
from tensortoll.capture.observers import memory
from tensortoll.capture.observers.replay import replayed
from tensortoll.capture.text.sources import Sources, only
from tensortoll.model import Source

START = "import numpy as np, torch, pandas as pd\n"
TABLE = """\
a = np.zeros(1_000_000)                                 # 8_000_000
b = np.ones((1000, 500), np.float32)                    # 2_000_000
c = a + a                                               # 8_000_000
d = np.concatenate([a, a])                              # 16_000_000
e = a.astype(np.float32)                                # 4_000_000
f = np.arange(300_000)                                  # 2_400_000
g = a[::2].copy()                                       # 4_000_000
h = torch.zeros(1_000_000)                              # 4_000_000
i = torch.tensor(a)                                     # 8_000_000
j = torch.tensor(a, dtype=torch.float32)                # 4_000_000
k = torch.from_numpy(a)                                 # 0
l = k.float()                                           # 4_000_000
m = k.clone()                                           # 8_000_000
n = h + h                                               # 4_000_000
o = l.numpy()                                           # 0
p = pd.Series(f).astype("float64")                      # 4_800_000
q = pd.DataFrame({"x": a}).to_numpy(copy=True)          # 16_000_000
r = [0] * 500_000                                       # 4_000_000
s = np.array(r)                                         # 4_000_000
t = torch.tensor(r)                                     # 4_000_000
u = bytearray(700_000)                                  # 700_000
for _ in range(25): v = np.empty(10_000)                # 2_000_000
w = [a * 2, a * 3]; x = torch.stack([h, h])             # 24_000_000
"""
ONE_MB = 1_000_000


def told(recording: tensortoll.Recording) -> dict[int, int]:
    """Return the allocated bytes by line."""
    return {one.line: one.allocated_bytes for one in recording.lines}


def expected(text: str) -> dict[int, int]:
    """Return what the comments of a text say."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if said := re.search(r"# ([\d_]+)$", line):
            found[number] = int(said[1])
    return found


def assert_right(text: str, recording: tensortoll.Recording) -> None:
    seen = told(recording)
    for line, nbytes in expected(text).items():
        if nbytes >= 65_536:
            assert abs(seen[line] - nbytes) <= nbytes // 100, (line, text.splitlines()[line - 1])
        else:
            assert seen.get(line, 0) < 65_536, (line, text.splitlines()[line - 1])


@pytest.fixture(scope="module")
def table():
    namespace = {}
    tensortoll.run_source(START + TABLE, namespace=namespace, memory=False, time=False)
    return tensortoll.run_source(TABLE, "table.py", namespace)


def test_every_line_has_the_bytes_that_it_allocates(table):
    """Within one per cent above 64 KB, on the line that asked for them; nothing below."""
    assert () == table.faults
    assert len(expected(TABLE)) >= 20
    assert_right(TABLE, table)


def test_copies_and_allocations_agree(table):
    """Where a conversion copied, that much was allocated on its line, and where it shared none."""
    written: dict[int, int] = {}
    for one in table.conversions:
        line = one.route.place.line
        copied = one.totals.bytes_written if one.route.outcome == "copy" else 0
        written[line] = written.get(line, 0) + copied
    seen = told(table)

    assert {line for line, nbytes in written.items() if not nbytes} >= {11, 15}
    for line, nbytes in written.items():
        assert nbytes <= seen.get(line, 0)


def test_unexplained_is_what_no_conversion_has_written(table):
    """A line without conversions has all of its bytes unexplained, one that converts hardly any."""
    by_line = {one.line: one for one in table.lines}

    assert by_line[3].unexplained_bytes == by_line[3].allocated_bytes >= 8_000_000
    assert by_line[9].unexplained_bytes < 65_536 < by_line[9].allocated_bytes


def test_the_peak_is_that_of_the_lines_and_names_the_share_of_conversions():
    """Blocks that are alive together add up; a conversion's result is told from other blocks."""
    text = (
        "a = np.ones(1_000_000)\n"
        "t = torch.tensor(a)\n"
        "b = np.ones(2_000_000)\n"
        "del b\n"
        "c = np.ones(500_000)\n"
    )
    namespace = {}
    tensortoll.run_source(START + text, namespace=namespace, memory=False)
    for name in "atc":
        del namespace[name]
    recording = tensortoll.run_source(text, "peak.py", namespace)
    peak = recording.peak
    levels = {one.line: one.peak_bytes for one in recording.lines}

    assert abs(peak.total - 32_000_000) < ONE_MB // 10
    assert abs(peak.converted_least - 8_000_000) < ONE_MB // 10
    assert abs(peak.converted_most - 8_000_000) < ONE_MB // 10
    assert abs(levels[1] - 8_000_000) < ONE_MB // 10
    assert abs(levels[2] - 16_000_000) < ONE_MB // 10
    assert abs(levels[3] - peak.total) < 65_536
    assert abs(levels[5] - 20_000_000) < ONE_MB // 10
    surviving = {one.line: one.surviving_bytes for one in recording.lines}
    assert surviving[3] < 65_536 < surviving[1]


def test_a_list_that_grows_is_charged_with_its_growth():
    """Moving what is there already to a larger block is no new memory."""
    namespace = {}
    text = "x = bytearray()\nfor _ in range(1000): x.extend(bytes(1000))\n"
    recording = tensortoll.run_source(text, "grows.py", namespace)

    assert ONE_MB <= told(recording)[2] - ONE_MB <= 1.3 * ONE_MB  # the bytes themselves, and x


def test_python_objects_and_mappings_are_set_apart():
    """Arenas for small objects and mapped files are labelled, and no part of what is allocated."""
    # In a process of its own: arenas that other tests left free would be taken first.
    printed = run("""
        import json, mmap, tensortoll
        text = "x = [float(i) for i in range(300_000)]\\nm = mmap.mmap(-1, 50_000_000)"
        recording = tensortoll.run_source(text, "apart.py", {"mmap": mmap})
        print(json.dumps({one.line: [one.allocated_bytes, one.apart] for one in recording.lines}))
    """)
    lines = json.loads(printed)
    listed, objects = lines["1"][0], dict(lines["1"][1])["objects"]

    assert objects >= 6_000_000
    assert listed < 4_000_000
    assert [["mapped", 50_000_000]] == lines["2"][1]
    assert lines["2"][0] < 65_536


def test_functions_of_the_text_have_their_own_lines():
    """An allocation is charged to the innermost line of the user's source."""
    text = "def f():\n    return np.ones(1_000_000)\nfor _ in range(3):\n    f()\n"
    recording = tensortoll.run_source(START + text, "f.py")

    assert abs(told(recording)[3] - 24_000_000) < ONE_MB
    assert told(recording).get(5, 0) < 65_536


HIDDEN = """\
import sys, types
import numpy as np
library = types.ModuleType("keras.hidden")
code = "import numpy as np\\ndef fit(x):\\n    return np.asarray(x, dtype='f4').sum()\\n"
exec(compile(code, "/x/site-packages/keras/hidden.py", "exec"), vars(library))
x = np.ones(4_000_000)
library.fit(x)
np.ones(3_000_000)
"""


def test_arrays_that_a_library_makes_inside_are_named_with_its_line():
    """A cast inside of Keras that no hook sees is still found, and said to be where it is."""
    recording = tensortoll.run_source(HIDDEN, "hidden.py")
    (line,) = [one for one in recording.lines if one.hidden_bytes]

    assert 7 == line.line
    assert "keras/hidden.py:3" == line.hidden_via
    assert abs(line.hidden_bytes - 16_000_000) < ONE_MB // 10


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


TENSORFLOW = """\
import tensorflow as tf, numpy as np, tensortoll
a = np.ones(1_000_000)
text = "t = tf.zeros(1_000_000)\\nu = t + t\\nv = t.numpy().copy()\\nw = tf.constant(a)\\n"
names = {"tf": tf, "a": a}
for _ in range(2):
    tensortoll.run_source(text, "x", dict(names))
recording = tensortoll.run_source(text, "tf.py", names)
print(recording.faults, *[(o.line, o.allocated_bytes, o.apart) for o in recording.lines], sep="\\n")
"""


def test_tensorflow_is_exact_without_its_arena():
    """With oneDNN off each tensor is a block of its own, and told to the byte or nearly so."""
    printed = run(TENSORFLOW, TF_ENABLE_ONEDNN_OPTS="0")
    sizes = {int(n): int(size) for n, size in re.findall(r"^\((\d), (\d+),", printed, re.MULTILINE)}

    assert "()" == printed.splitlines()[0]
    for line, nbytes in {1: 4_000_000, 2: 4_000_000, 3: 8_000_000}.items():
        # What Python itself takes for the first call is not the tensor's.
        assert abs(sizes[line] - nbytes) <= max(nbytes // 100, 65_536)
    assert min(abs(sizes[4] - 8_000_000), abs(sizes[4] - 16_000_000)) <= 160_000


def test_tensorflows_arena_is_set_apart():
    """With oneDNN on its growth shows on whichever line comes first: it is no line's doing."""
    code = TENSORFLOW.replace("zeros(1_000_000)", "zeros(40_000_000)")
    code = code.replace('tensortoll.run_source(text, "x", dict(names))', "tf.zeros(9) + 1")
    printed = run(code, TF_ENABLE_ONEDNN_OPTS="1")

    assert "'tensorflow'" in printed
    assert "()" == printed.splitlines()[0]
    assert not re.search(r"^\(1, \d{7,},", printed, re.MULTILINE)


def test_a_million_small_allocations_are_reported_soon_and_in_full():
    """All of them are counted, reading takes little memory, and never more than four seconds."""
    printed = run("""
        import numpy as np, resource, time, tensortoll
        from tensortoll.capture.observers import memory
        memory.READING_S = 60  # a busy machine must not decide whether this passes
        text = "for _ in range(1_000_000): np.empty(200)"
        tensortoll.run_source("x = 1", "warm.py")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        recording = tensortoll.run_source(text, "many.py", {"np": np}, time=False)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        (line,) = recording.lines
        print(line.allocations, grown, recording.blind_spots, recording.faults)
    """)
    count, grown, rest = printed.split(" ", 2)

    assert 1_000_000 <= int(count) < 1_001_000
    assert memory.READING_S < 4
    assert int(grown) < 60_000  # kB, of which the file itself is a part while it is mapped
    assert "() ()" == rest.strip()


def test_beyond_the_limit_the_first_part_is_reported_and_that_is_said():
    """The file on disk ends growing, and the report says that memory is told in part only."""
    # In a process of its own: what is written depends on how many places it has run before.
    printed = run("""
        import json, sys, time, numpy as np, tensortoll
        from tensortoll.capture.observers import memory
        memory.FILE_LIMIT = 300_000
        sizes, read = [], memory.MemoryObserver.read
        def reading(self, *args):
            sizes.append(sum(part.nbytes for part in self._parts))
            return read(self, *args)
        memory.MemoryObserver.read = reading
        namespace = {"end": time.monotonic() + 3, "time": time, "np": np}
        text = "while time.monotonic() < end: np.empty(200)\\nx = np.ones(9)\\n"
        recording = tensortoll.run_source(text, "many.py", namespace, time=False)
        print(json.dumps([sizes, recording.blind_spots, sys.getprofile() is None]))
    """)
    (size,), (said,), is_free = json.loads(printed)

    assert said.startswith("Memory is told for the first ")
    assert 300_000 < size < 8_000_000
    assert is_free


def test_reading_ends_when_its_time_is_up():
    """What is read by then is reported."""
    record = type("R", (), {"allocator": 6, "address": 1, "size": 10, "tid": 1, "stack_id": 1})
    record.stack_trace = lambda self, n: [("f", "x.py", 3)]
    endless = iter(record, None)
    sources = only("x.py", Source("x.py", None))
    replay = replayed([endless], sources, main_thread=1, has_arena=False, seconds=0.05)

    assert not replay.whole
    assert 0 < replay.records


def test_another_tracker_is_left_alone_and_the_rest_still_works(tmp_path):
    """One line says why memory was not watched; conversions and times are there."""
    with memray.Tracker(tmp_path / "theirs.bin"):
        recording = tensortoll.run_source(START + "t = torch.tensor(np.ones(9))", "x.py")
    (said,) = [one for one in recording.blind_spots if one.startswith("Memory")]

    assert "Memory was not watched: memray can't start: No more than one Tracker" in said
    assert 1 == recording.copies
    assert any(one.elapsed_ns for one in recording.lines)
    assert recording.peak is None
    assert (tmp_path / "theirs.bin").stat().st_size


def test_an_active_profiler_is_left_alone():
    """Under `sys.setprofile` memray would break on leaving; it is not started."""

    def profile(*_):
        pass

    sys.setprofile(profile)
    try:
        recording = tensortoll.run_source("x = 1", "x.py", time=False)
        kept = sys.getprofile()
    finally:
        sys.setprofile(None)

    assert kept is profile
    assert "Memory was not watched: a profiler is active" in recording.blind_spots[0]


def test_a_profiler_that_the_text_starts_goes_on():
    """What the user's code leaves running is running afterwards."""
    text = "import cProfile\np = cProfile.Profile()\np.enable()\n"
    namespace = {}
    tensortoll.run_source(text, "x.py", namespace, time=False)
    running = _active_profiler()
    namespace["p"].disable()

    assert running
    assert not _active_profiler()


def _active_profiler():
    if sys.version_info >= (3, 12):
        return sys.monitoring.get_tool(sys.monitoring.PROFILER_ID)
    return sys.getprofile()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on both see everything")
def test_memory_is_said_to_have_no_line_while_the_text_profiles_itself():
    """On 3.11 a profiler inside of the code takes memray's eyes off the stack."""
    text = (
        "import cProfile, numpy as np\nwith cProfile.Profile():\n"
        "    for _ in range(2000): np.empty(200)\n"
    )
    recording = tensortoll.run_source(text, "x.py", time=False)

    assert any("while a profiler ran inside" in one for one in recording.blind_spots)


def test_windows_has_no_memory_by_line(monkeypatch):
    """memray does not exist there, which is said."""
    monkeypatch.setattr(memory.platform, "system", lambda: "Windows")
    recording = tensortoll.run_source("x = 1", "x.py", time=False)

    assert "does not run on Windows" in recording.blind_spots[0]
    assert () == recording.lines


@pytest.mark.parametrize("end", ["1 / 0", "raise SystemExit", "import os; os._exit(0)", "x = 1"])
def test_no_file_survives(end, tmp_path):
    """Whatever ends the run, even the process itself, no record file is left."""
    code = f"import tensortoll; tensortoll.run_source({f'x = bytearray(9999){chr(10)}{end}'!r})"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )

    assert [] == list(tmp_path.iterdir())


def test_without_links_to_open_files_the_file_is_removed_after_reading(monkeypatch, tmp_path):
    """As on macOS."""
    monkeypatch.setattr(memory, "_OPEN_FILES", Path("/nowhere"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    recording = tensortoll.run_source("x = bytearray(99_999)", "x.py")

    assert told(recording)[1] >= 99_999
    assert [] == list(tmp_path.iterdir())


def test_memory_is_not_watched_where_that_is_not_wanted():
    """Not watched is not a blind spot: nobody asked."""
    recording = tensortoll.run_source("x = bytearray(99_999)", "x.py", memory=False)

    assert {1: 0} == {line: nbytes for line, nbytes in told(recording).items() if line}
    assert recording.peak is None
    assert () == recording.blind_spots


def test_a_block_of_record_is_hooks_only():
    """`record()` neither starts memray nor times lines."""
    with tensortoll.record() as recorder:
        bytearray(99_999)

    assert () == recorder.recording.lines
    assert recorder.recording.peak is None


def test_native_threads_are_charged_apart():
    """What threads without Python allocate is no line's, and named as most likely this one's."""
    records = [_record(1, [("m", "x.py", 4)], 70_000, tid=1), _record(2, [], 5_000_000, tid=9)]
    sources = Sources(lambda name: Source("x.py", None) if name == "x.py" else None)
    replay = replayed([records], sources, main_thread=1, has_arena=False, seconds=9)
    ((place, line),) = replay.lines.items()

    assert (4, 70_000, {"threads": 5_000_000}) == (place.line, line.bytes, dict(line.apart))


def _record(number, frames, size, *, tid):
    return type(
        "Record",
        (),
        {
            "allocator": 6,
            "address": number,
            "size": size,
            "tid": tid,
            "stack_id": number,
            "stack_trace": lambda self, most: frames,
        },
    )()


def test_memory_of_an_imported_library_is_left_out_and_what_comes_after_is_seen(tmp_path):
    # A library of its own process: in this one all are loaded already.
    code = """
import tensortoll
text = '''import numpy as np
a = np.ones(1_000_000)
import pandas as pd
b = np.ones(2_000_000)
del a
c = np.ones(500_000)
'''
recording = tensortoll.run_source(text, name="x.py", time=False)
lines = {cost.line: cost for cost in recording.lines}
assert abs(lines[2].allocated_bytes - 8_000_000) < 80_000, lines[2]
assert abs(lines[4].allocated_bytes - 16_000_000) < 160_000, lines[4]
assert 3 not in lines or lines[3].allocated_bytes < 100_000, lines[3]
assert any("imports" in spot and "pandas" in spot for spot in recording.blind_spots)
assert abs(recording.peak.total - 24_000_000) < 300_000, recording.peak
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
