"""Code that would not do the same under an observer is run without it, and that is said."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tensortoll

TRACED = pytest.mark.skipif(sys.version_info >= (3, 12), reason="only 3.11 has one tracer")


@TRACED
@pytest.mark.parametrize(
    "text", ["a.resize(6)", "x = 1; a.resize(6)", "try: a.resize(6)\nfinally: pass"]
)
def test_an_array_can_be_resized_in_place(text):
    """Under a tracer Python 3.11 holds one more reference to it than NumPy allows."""
    namespace = {"a": np.arange(3).copy()}
    recording = tensortoll.run_source(text, "x.py", namespace)

    assert (6,) == namespace["a"].shape
    assert ["Memory was not watched", "Time by line was not watched"] == [
        one.partition(":")[0] for one in recording.blind_spots
    ]


@TRACED
def test_reference_counts_are_those_of_the_code():
    """Under a tracer an object has one more while a method of its runs."""
    text = (
        "import sys\nclass R(list):\n    def count(self): return sys.getrefcount(self)\n"
        "n = R().count(), sys.getrefcount([])\n"
    )
    watched, plain = {}, {}
    tensortoll.run_source(text, "x.py", watched)
    exec(text, plain)

    assert plain["n"] == watched["n"]


def test_a_resize_that_returns_a_picture_is_observed():
    """Pillow's method has the same name, and nothing against being watched."""
    text = "class P:\n    def resize(self): return bytearray(99_999)\nx = P().resize()\n"
    recording = tensortoll.run_source(text, "x.py")

    assert () == recording.blind_spots
    assert recording.peak.total >= 99_999


@TRACED
@pytest.mark.parametrize("text", ["import sys; t = sys.gettrace()", "def f(): breakpoint()"])
def test_code_that_traces_is_not_timed(text):
    """It finds what it would find without us, and memory is watched all the same."""
    namespace = {}
    recording = tensortoll.run_source(text, "x.py", namespace)

    assert namespace.get("t") is None
    assert recording.peak is not None
    assert "Time by line was not watched: the code itself" in recording.blind_spots[0]


def test_code_that_reads_bytecode_finds_its_own():
    """Only what is in no function is timed then."""
    text = "def f():\n    return 1\nn = len(f.__code__.co_code)\nf()\n"
    namespace = {}
    recording = tensortoll.run_source(text, "x.py", namespace)
    lines = {one.line: one for one in recording.lines}

    assert len(namespace["f"].__code__.co_code) == namespace["n"]
    assert lines[3].elapsed_ns
    assert 2 not in lines or not lines[2].hits


def test_functions_that_a_compiler_may_read_are_left_as_they_are():
    """torch.compile would compile them once for the run and once more afterwards."""
    torch = pytest.importorskip("torch")
    text = (
        "count = 0\n"
        "def backend(graph, inputs):\n"
        "    global count\n"
        "    count += 1\n"
        "    return graph.forward\n"
        "@torch.compile(backend=backend)\n"
        "def f(x): return (x + 1).sum()\n"
        "f(x)\n"
    )
    namespace = {"torch": torch, "x": torch.ones(3)}
    tensortoll.run_source(text, "x.py", namespace)
    tensortoll.run_source("f(x)", "y.py", namespace)

    assert 1 == namespace["count"]
