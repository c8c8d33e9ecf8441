"""Two independent witnesses agree: what conversions claim to write, and what memray saw allocated.

With the folder of an annotated corpus in `TENSORTOLL_CORPUS`, each of its cases is held too.
"""

from __future__ import annotations

import ast
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import memray
import numpy as np
import pytest

import tensortoll
from tensortoll.model import Conversion

FILE = "<witness>"
LEAST = 1_024
"""Smaller blocks are Python's own, or NumPy's cache."""
RELEASING = {1, 5, 15}
MMAP = 14
Span = tuple[int, int, int, int]
WORTH = 8_192
"""Bytes of one copy, from which on it is held: below, NumPy and Python use memory again."""
WRITES_INTO = re.compile(r"\[\]=|copy_|copyto|\bout=|assign|load_state|_\(|[-+*/]=|\bput|\.set\b")
"""Conversions into memory that is there already."""
POOLS = {"jax", "pyarrow", "polars"}
"""Libraries that take memory from pools of their own, where memray sees no single array."""
CASES = {
    "constructors": (
        "import numpy as np, torch\n"
        "x = np.ones(100_000)\n"
        "a = torch.tensor(x); b = torch.tensor(x, dtype=torch.float32); c = torch.as_tensor(x)\n"
        "d = torch.from_numpy(x).float(); e = torch.tensor(x[::2]); f = torch.tensor(x.tolist())\n"
    ),
    "chains": (
        "import numpy as np, torch\n"
        "x = np.ones((300, 400))\n"
        "t = (torch.tensor(x)\n"
        "     .half()\n"
        "     .t().contiguous())\n"
        "y = t.float().numpy().astype('f8').T.copy()\n"
    ),
    "functions and loops": (
        "import numpy as np, torch\n"
        "def f(a):\n"
        "    return torch.from_numpy(a.astype('f4')).clone()\n"
        "for n in range(5):\n"
        "    f(np.full(50_000, n))\n"
        "rows = [np.ones(20_000, 'f4') for _ in range(4)]\n"
        "t = [torch.tensor(row) for row in rows]\n"
    ),
    "numpy": (
        "import numpy as np\n"
        "x = np.arange(60_000)\n"
        "a = x.astype('f4'); b = np.array(x); c = np.asarray(x, dtype='i4'); d = x.copy()\n"
        "e = np.ascontiguousarray(x.reshape(300, 200).T); f = x.tolist(); g = np.array(f)\n"
        "x[:] = np.ones(60_000, 'f4')\n"
    ),
    "modules": (
        "import torch\n"
        "m = torch.nn.Linear(300, 200)\n"
        "m = m.double(); y = m(torch.ones(50, 300).double()).float()\n"
    ),
}


def allocated(text: str, namespace: dict[str, Any]) -> Counter[Span]:
    """Run ``text``, and return what its expressions have allocated, by where they stand.

    The second witness: no hook of ours is installed. memray tells lines only, so the text is
    compiled with a line number of its own for every expression.
    """
    tree = ast.parse(text)
    spans = _renumbered(tree, text.splitlines())
    code = compile(tree, FILE, "exec", dont_inherit=True)
    handle, path = tempfile.mkstemp()
    os.close(handle)
    found: Counter[Span] = Counter()
    try:
        with memray.Tracker(destination=memray.FileDestination(path, overwrite=True)):
            exec(code, namespace)
        with memray.FileReader(path) as reader:
            for record in reader.get_allocation_records():
                if record.allocator in RELEASING or record.size < LEAST:
                    continue
                if record.allocator == MMAP:
                    continue
                for _, file, line in record.stack_trace(1_000_000):
                    if file == FILE:
                        found[spans[line]] += record.size
                        break
    finally:
        Path(path).unlink()
    return found


def _renumbered(tree: ast.Module, lines: list[str]) -> dict[int, Span]:
    """Give every node that has a place a line of its own; return the places by these lines."""
    spans: dict[int, Span] = {}
    calls: dict[int, int] = {}
    for node in ast.walk(tree):
        if not hasattr(node, "lineno"):
            continue
        start, stop = node.lineno, node.end_lineno
        first = len(lines[start - 1].encode()[: node.col_offset].decode())
        last = len(lines[stop - 1].encode()[: node.end_col_offset].decode())
        number = calls.pop(id(node), 0) or len(spans) + 1
        spans.setdefault(number, (start, first, stop, last))
        node.lineno = node.end_lineno = number
        if isinstance(node, ast.Call):
            calls[id(node.func)] = number  # a method is called on the line of its name
    return spans


def cross(text: str) -> list[str]:
    """Return in words where what conversions claim and what memray saw do not fit."""
    names = {"__name__": "__main__"}
    recording = tensortoll.run_source(text, "case.py", names, memory=False, time=False)
    names.clear()
    gc.collect()
    blocks = allocated(text, {"__name__": "__main__"})
    wrong = []
    for (line, span), rows in by_place(recording).items():
        own, inside = seen(blocks, span)
        claimed = sum(one.totals.bytes_written for one in rows if one.route.outcome == "copy")
        # TensorFlow copies an array once or twice, as its first copy falls: each run by itself.
        luck = 2 if any(one.route.target.library == "tensorflow" for one in rows) else 1
        if claimed > luck * 1.01 * (own or inside) + WORTH:
            wrong.append(f"line {line}, {rows[0].route.place.expression}: {claimed} > {inside}")
        views = [one for one in rows if one.route.outcome == "view" and one.shape]
        if views and len(views) == len(rows) and own >= payload(views[0]) >= WORTH:
            wrong.append(f"line {line}, {rows[0].route.place.expression}: a view of {own}")
    return wrong


def by_place(recording: tensortoll.Recording) -> dict[tuple[int, Span], list[Conversion]]:
    """Return the conversions that are worth it, by their place."""
    found: dict[tuple[int, Span], list[Conversion]] = {}
    for one in recording.conversions:
        place, totals = one.route.place, one.totals
        if place.column is None or one.route.where != "main":
            continue
        if WRITES_INTO.search(f"{one.route.operation} {place.expression}"):
            continue
        if POOLS.intersection((one.route.origin.library, one.route.target.library)):
            continue
        if one.route.outcome == "view" and one.route.implicit:
            continue  # the expression computes something else from it
        if one.route.target.device != "cpu" or one.route.outcome == "failed":
            continue
        if one.route.outcome == "copy" and totals.bytes_written < WORTH * max(totals.copies, 1):
            continue
        span = (place.line, place.column, place.end_line, place.end_column)
        found.setdefault((place.line, span), []).append(one)
    return found


def seen(blocks: Counter[Span], span: Span) -> tuple[int, int]:
    """Return what an expression has allocated by itself, and with all that stands in it.

    The place of a method is from its dot on, or from where its object begins: calls that end at
    the same point are the same call.
    """
    same = [one for one in blocks if one[2:] == span[2:] and one[:2] <= span[:2]]
    inside = [one for one in blocks if span[:2] <= one[:2] and one[2:] <= span[2:]]
    return max((blocks[one] for one in same), default=0), sum(blocks[one] for one in inside)


def payload(one: Conversion) -> int:
    try:
        itemsize = np.dtype(one.route.origin.dtype).itemsize
    except TypeError:
        itemsize = 1
    return int(np.prod(one.shape or (0,))) * itemsize


@pytest.mark.parametrize("name", CASES)
def test_what_is_claimed_as_copied_was_allocated(name):
    """No copy without memory for it, expression by expression, and no view with any."""
    cross(CASES[name])  # what libraries do once is done

    assert [] == cross(CASES[name])


def test_the_witness_is_exact():
    """To the byte, but for some hundreds of the library's own."""
    text = CASES["chains"]
    allocated(text, {})
    blocks = allocated(text, {})

    assert 960_000 == pytest.approx(blocks[3, 5, 3, 20], abs=2_048)
    assert 240_000 == pytest.approx(blocks[3, 5, 4, 12], abs=2_048)
    assert 240_000 == pytest.approx(blocks[3, 5, 5, 22], abs=8_192)


def test_a_copy_that_is_none_would_be_found(monkeypatch):
    """The comparison is no formality: bytes that nobody allocated are told."""
    text = "import numpy as np\nx = np.ones(60_000)\ny = x.astype('f4')\n"
    run = tensortoll.run_source

    def claiming_more(*args, **options):
        recording = run(*args, **options)
        (one,) = recording.conversions
        more = one.totals._replace(bytes_written=one.totals.bytes_written + 100_000)
        changed = Conversion(one.route, more, one.shape, one.proof)
        return tensortoll.recording.Recording(conversions=(changed,), sources=recording.sources)

    monkeypatch.setattr(tensortoll, "run_source", claiming_more)

    assert ["line 3, x.astype('f4'): 340000 > 240000"] == cross(text)


CORPUS = sorted(Path(os.environ.get("TENSORTOLL_CORPUS", "/nowhere")).glob("[!c]*_*.py"))


if CORPUS:

    @pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
    def test_the_witnesses_agree_on_a_case_of_the_corpus(path):
        """In a process of its own, as each case sets its own environment."""
        code = (
            "import sys, pathlib; sys.path.insert(0, sys.argv[2]); import test_witnesses as t;"
            "text = pathlib.Path(sys.argv[1]).read_text();"
            "print('\\n'.join(t.cross(text)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(Path(__file__).parent)],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr[-2000:]
        assert "" == done.stdout.strip()
