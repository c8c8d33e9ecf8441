"""Where a conversion is charged: the innermost line of the user's, or the line that waits for it.

The truth of each text is known by construction: the expression that is to be named stands in it
once, or the line that waits does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tensortoll.capture import running
from tensortoll.model import Conversion
from tensortoll.recording import Recording


def ran(text: str, namespace: dict[str, Any]) -> Recording:
    """Run a text watched, without a look at memory and lines."""
    outcome = running.run(text, "case.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    return outcome.recording


PREPARE = "import asyncio, functools, threading\nimport numpy as np\nimport torch\n"
MAIN, THREAD, WAITED = "main", "thread", "thread, while this line waited"
PLACES: dict[str, tuple[str, str, int, str]] = {
    # what: (text, the expression to be named, how often, where)
    "a function": ("def f(v): return v.double()\nf(t)\nf(t)", "v.double()", 2, MAIN),
    "a lambda": ("f = lambda v: v.double()\nlist(map(f, [t, t]))", "v.double()", 2, MAIN),
    "a method": (
        "class A:\n    def f(self): return t.double()\nA().f()",
        "t.double()",
        1,
        MAIN,
    ),
    "a property": (
        "class A:\n    @property\n    def f(self): return x.astype('f4')\nA().f",
        "x.astype('f4')",
        1,
        MAIN,
    ),
    "a generator": (
        "def g():\n    for _ in range(3):\n        yield t.double()\nlist(g())",
        "t.double()",
        3,
        MAIN,
    ),
    "an iterator of a class": (
        "class A:\n    def __iter__(self):\n        yield x.astype('f4')\nfor _ in A(): pass",
        "x.astype('f4')",
        1,
        MAIN,
    ),
    "a list comprehension": ("y = [torch.tensor(v) for v in (x, x)]", "torch.tensor(v)", 2, MAIN),
    "a nested comprehension": (
        "y = {k: [v.double() for v in (t, t)] for k in range(3)}",
        "v.double()",
        6,
        MAIN,
    ),
    "a generator expression": ("sum(v.double()[0] for v in [t, t])", "v.double()", 2, MAIN),
    "a built-in that calls torch": (
        "y = list(map(torch.tensor, [x, x]))",
        "list(map(torch.tensor, [x, x]))",
        2,
        MAIN,
    ),
    "a partial": ("f = functools.partial(torch.tensor, x)\nf()", "f()", 1, MAIN),
    "a decorated function": (
        "@functools.lru_cache\ndef f(): return t.double()\nf()\nf()",
        "t.double()",
        1,
        MAIN,
    ),
    "code run by exec": ('exec("y = t.double()")', 'exec("y = t.double()")', 1, MAIN),
    "code run by eval": ('y = eval("t.double()")', 'eval("t.double()")', 1, MAIN),
    "a coroutine": (
        (
            "async def f():\n    await asyncio.sleep(0)\n    return t.double()\n"
            "async def main(): await asyncio.gather(f(), f())\nasyncio.run(main())"
        ),
        "t.double()",
        2,
        MAIN,
    ),
    "an asynchronous generator": (
        (
            "async def g():\n    yield x.astype('f4')\n"
            "async def main(): return [one async for one in g()]\nasyncio.run(main())"
        ),
        "x.astype('f4')",
        1,
        MAIN,
    ),
    "a hook of autograd": (
        (
            "w = torch.ones(4096, requires_grad=True)\n"
            "w.register_hook(lambda g: g.double().float())\n(w * 2).sum().backward()"
        ),
        "g.double()",
        1,
        MAIN,
    ),
    "a thread": (
        "def f(): t.double()\none = threading.Thread(target=f)\none.start(); one.join()",
        "t.double()",
        1,
        THREAD,
    ),
    "a thread of a timer": (
        "def f(): t.double()\none = threading.Timer(0.01, f)\none.start(); one.join()",
        "t.double()",
        1,
        THREAD,
    ),
    "an executor": (
        (
            "from concurrent.futures import ThreadPoolExecutor\ndef f(v): return v.double()\n"
            "with ThreadPoolExecutor(2) as pool: y = list(pool.map(f, [t] * 4))"
        ),
        "v.double()",
        4,
        THREAD,
    ),
    "asyncio's executor": (
        (
            "def f(): return x.astype('f4')\n"
            "async def main(): await asyncio.to_thread(f)\nasyncio.run(main())"
        ),
        "x.astype('f4')",
        1,
        THREAD,
    ),
}
ELSEWHERE = {
    # text: what stands on the one line that starts the work and waits for it
    "one = threading.Thread(target=t.double); one.start(); one.join()": (4096 * 8, "copy"),
    "one = threading.Thread(target=torch.tensor, args=(x,)); one.start(); one.join()": (
        4096 * 8,
        "copy",
    ),
    "y = [pool.submit(torch.tensor, x).result() for _ in range(3)]": (3 * 4096 * 8, "copy"),
    "y = list(pool.map(torch.from_numpy, [x] * 3))": (0, "view"),
}


def on_lines(text: str, namespace: dict[str, Any] | None = None) -> list[Conversion]:
    """Return what was counted in ``text``, with some arrays at hand."""
    known = {"x": np.ones(4096), "t": torch.ones(4096), "__name__": "__main__"}
    recording = ran(PREPARE + text, {**known, **(namespace or {})})
    assert recording.faults == ()
    return list(recording.conversions)


@pytest.mark.parametrize("what", PLACES)
def test_a_conversion_is_charged_to_the_innermost_line(what: str) -> None:
    """The smallest expression of the user's source, on its line, however it came to run."""
    text, expression, count, where = PLACES[what]
    line = next(
        number for number, one in enumerate((PREPARE + text).splitlines(), 1) if expression in one
    )
    found = [one for one in on_lines(text) if one.route.place.expression == expression]

    assert [(one.route.place.line, one.totals.count, one.route.where) for one in found] == [
        (line, count, where)
    ]
    [one] = found
    place, full = one.route.place, (PREPARE + text).splitlines()[line - 1]
    assert full[place.column : place.end_column] == expression


@pytest.mark.parametrize("text", ELSEWHERE)
def test_work_without_a_line_is_charged_to_the_one_that_waits(text: str) -> None:
    """A thread that runs a library's function alone: its line starts it and waits for it."""
    from concurrent.futures import ThreadPoolExecutor

    written, outcome = ELSEWHERE[text]
    with ThreadPoolExecutor(2) as pool:
        rows = on_lines(text, {"pool": pool})

    counted = [one for one in rows if one.totals.count]
    assert {one.route.place.line for one in counted} == {len(PREPARE.splitlines()) + 1}
    assert {one.route.where for one in counted} == {WAITED}
    assert {one.route.outcome for one in counted} == {outcome}
    assert sum(one.totals.bytes_written for one in counted) == written


def test_functions_and_classes_of_earlier_cells_are_charged_where_they_stand(shell: Any) -> None:
    """At the line of the cell that defined them, under that cell's name."""
    defined = """
def cast(v):
    return v.double()
class Reader:
    def __iter__(self):
        yield x.astype("f4")
""".strip()
    shell.run_cell(
        "import numpy as np, torch\nx = np.ones(4096); t = torch.ones(4096)", store_history=True
    )
    shell.run_cell(defined, store_history=True)
    shell.run_cell("%%tensorcost -q\ncast(t)\nfor one in Reader(): pass", store_history=True)
    recording = shell._tensortoll_session.recordings[-1]

    places = [one.route.place for one in recording.conversions]
    assert {(one.expression, one.line) for one in places} == {
        ("v.double()", 2),
        ('x.astype("f4")', 5),
    }
    assert {one.source.text for one in places} == {defined}
