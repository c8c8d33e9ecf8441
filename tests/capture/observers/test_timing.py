"""How often each line ran and how long it took."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import types

import pytest

import tensortoll
from tensortoll.model import NO_LINE

MS = 1_000_000
TEXT = """\
import time
def f(n):
    time.sleep(0.02)
    return [i * i for i in range(n)]
x = [f(3) for _ in range(2)]
class A:
    def g(self):
        time.sleep(0.01); return (lambda: 1)()
for _ in range(3):
    A().g()
time.sleep(0.03)
y = (f(1) +
     f(1))
"""


def lines(recording):
    return {one.line: one for one in recording.lines}


@pytest.fixture(scope="module")
def timed():
    return tensortoll.run_source(TEXT, "timed.py", memory=False)


def test_hits_are_exact(timed):
    """Of the module's lines, of functions, methods and loops."""
    hits = {line: one.hits for line, one in lines(timed).items()}

    assert {3: 4, 4: 4, 8: 3, 10: 3, 11: 1} == {line: hits[line] for line in (3, 4, 8, 10, 11)}
    assert () == timed.faults
    assert () == timed.blind_spots


def test_times_are_inclusive(timed):
    """A line has the time of what it calls; a comprehension's is not counted twice."""
    spent = {line: one.elapsed_ns for line, one in lines(timed).items()}

    for line, least in {3: 80, 5: 40, 8: 30, 10: 30, 11: 30, 12: 20, 13: 20}.items():
        assert least * MS <= spent[line] < (least + 60) * MS, line


def test_the_whole_is_the_sum_of_the_lines_and_the_rest(timed):
    """What is between the lines has a row of its own, so that nothing is missing."""
    spent = {line: one.elapsed_ns for line, one in lines(timed).items()}
    top = sum(spent[line] for line in (1, 2, 5, 6, 9, 10, 11, 12, 13))

    assert timed.elapsed_ns == top + spent[NO_LINE]
    assert 0 <= spent[NO_LINE] < timed.elapsed_ns // 2


def test_the_line_that_raises_has_its_time_and_the_traceback_is_that_of_the_text():
    """Lines up to the error are told."""
    with pytest.raises(ZeroDivisionError) as caught:
        tensortoll.run_source("a = 1\nb = a / 0\n", "raises.py")
    frames = [one.tb_lineno for one in _entries(caught.value.__traceback__)]

    assert 2 == frames[-1]


def _entries(entry):
    while entry is not None:
        yield entry
        entry = entry.tb_next


def test_functions_have_the_code_that_they_were_given_afterwards():
    """line_profiler lengthens code to tell it apart: nothing of that is left."""
    text = (
        "def f(a):\n    def g(): return a\n    return g\nh = f(1)\nclass A:\n    def m(self): 1\n"
    )
    watched, plain = {}, {}
    tensortoll.run_source(text, "f.py", watched, memory=False)
    exec(compile(text, "f.py", "exec", dont_inherit=True), plain)

    for find in (lambda n: n["f"], lambda n: n["h"], lambda n: n["A"].m):
        assert find(plain).__code__ == find(watched).__code__
        assert find(plain).__code__.co_code == find(watched).__code__.co_code
    assert 1 == watched["h"]()


@pytest.mark.parametrize(
    "text",
    [
        "kept = [lambda: 1]\ndef get(): pass\nget = kept[0]\n",
        "def make():\n    def inner(): return 1\n    return inner\nget = make()\ndel make\n",
        "import functools\ndef f(a): return 1\nget = functools.partial(f, 0).func\ndel f\n",
        "class A:\n    @property\n    def p(self): return 1\nget = A.p.fget\n",
        "def gen():\n    yield lambda: 1\nget = next(gen())\n",
        "x = [i for i in range(3)]\nget = (lambda: 1) if x else None\n",
    ],
)
def test_a_function_has_its_own_code_back_wherever_it_is_kept(text):
    """Few are named by the namespace; the others are looked for where any are left."""
    watched, plain = {}, {}
    tensortoll.run_source(text, "f.py", watched, memory=False)
    exec(compile(text, "f.py", "exec", dont_inherit=True), plain)

    assert plain["get"].__code__.co_code == watched["get"].__code__.co_code


@pytest.mark.parametrize(
    "text",
    [
        "def f(a): return [i + 1 for i in a]\nn = sum(i for i in f([1]))\ndel f\n",
        "import torch\nfrom numpy import ones\ndef f(a): return torch.from_numpy(a)\nf(ones(9))\n",
    ],
)
def test_no_object_of_the_process_is_looked_at_where_all_functions_are_known(text, monkeypatch):
    """That look takes longer than most cells. The recorder holds the code of the second one too."""
    looked = []
    monkeypatch.setattr(gc, "get_referrers", lambda *_: looked.append(1) or [])

    tensortoll.run_source(text, "f.py", {}, memory=False)

    assert not looked


def test_a_tracer_of_the_users_is_left_alone():
    """Under a debugger or coverage lines are not timed, and that is said."""

    def trace(*_):
        return None

    sys.settrace(trace)
    try:
        recording = tensortoll.run_source("x = 1", "x.py", memory=False)
        kept = sys.gettrace()
    finally:
        sys.settrace(None)

    assert kept is trace
    assert "Time by line was not watched: a debugger" in recording.blind_spots[0]
    assert () == recording.lines


def test_a_tracer_that_the_text_sets_stays():
    """What the user's code has set is there afterwards."""
    namespace = {}
    tensortoll.run_source("import sys\ndef t(*_): pass\nsys.settrace(t)\n", "x.py", namespace)
    kept = sys.gettrace()
    sys.settrace(None)

    assert kept is namespace["t"]


def test_lines_are_not_timed_where_that_is_not_wanted():
    """And nobody is told of it as of something that was missed."""
    recording = tensortoll.run_source("x = bytearray(99_999)", "x.py", time=False)

    assert [0] == [one.elapsed_ns for one in recording.lines]
    assert () == recording.blind_spots


def test_nothing_is_left_behind():
    """No tracer, no profiler, no thread, and no frame held."""
    threads = threading.active_count()
    text = "import threading\nn = threading.active_count()\nclass A: pass\na = A()\n"
    namespace = {}
    tensortoll.run_source(text, "x.py", namespace)
    kind = namespace.pop("A")
    namespace.clear()
    gc.collect()

    assert sys.gettrace() is None
    assert sys.getprofile() is None
    assert threads == threading.active_count()
    assert not [one for one in gc.get_objects() if type(one) is kind]


def test_the_text_sees_no_thread_of_ours():
    """The thread that looks after the run is none of Python's own list."""
    namespace = {}
    tensortoll.run_source("import threading\nn = threading.active_count()", "x.py", namespace)

    assert threading.active_count() == namespace["n"]


def test_what_watching_cost_is_told_by_its_parts():
    """Each part is measured in the run itself."""
    recording = tensortoll.run_source("for i in range(100_000):\n    pass", "x.py")
    parts = dict(recording.overheads)

    assert {"hooks", "memory", "time"} == set(parts)
    assert all(parts.values())
    assert recording.overhead_ns == sum(parts.values())
    assert parts["time"] > MS  # 100,000 times a line


def test_starting_memray_is_not_part_of_the_time():
    """Its fixed cost comes before the clock starts and after it stops."""
    code = (
        "import torch, time, tensortoll, memray; tensortoll.run_source('1');"
        "t = time.perf_counter(); r = tensortoll.run_source('x = 1', time=False);"
        "print(r.elapsed_ns / 1e9, time.perf_counter() - t, dict(r.overheads)['memory'] / 1e9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    inside, outside, said = map(float, done.stdout.split())

    assert inside < outside / 3
    assert said > (outside - inside) / 2


def test_a_namespace_may_be_any_modules():
    """`run_source` leaves nothing in it."""
    module = types.ModuleType("m")
    tensortoll.run_source("x = 1", "x.py", vars(module))

    assert {"x"} == {name for name in vars(module) if not name.startswith("__")}


def test_time_goes_on_in_a_generator():
    """A function that is left and entered again has each part's time."""
    text = (
        "import time\ndef g():\n    for _ in range(3):\n        yield 1\n"
        "        time.sleep(0.01)\nlist(g())\n"
    )
    recording = tensortoll.run_source(text, "g.py", memory=False)

    assert 3 == lines(recording)[5].hits
    assert 30 * MS <= lines(recording)[5].elapsed_ns < 60 * MS
    assert time.monotonic()
