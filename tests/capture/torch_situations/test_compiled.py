"""`torch.compile`: the same graphs, breaks and compilations as without a watch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from torch._dynamo.utils import counters

import tensortoll
from tensortoll.capture.text import suspicion

BODIES = {
    "casts": "return x.double().t().contiguous() + 1",
    "a read of a number": "return x * x.sum().item()",
    "a list": "return torch.tensor(x.tolist()) + 1",
    "an ndarray": "return torch.from_numpy(x.numpy() * 2)",
    "an array of NumPy's": "return x + torch.from_numpy(np.ones((8, 8), np.float32))",
    "a branch on data": "return x.double() if x.sum() > 0 else x.clone()",
    "a break": "y = x.half()\n    torch._dynamo.graph_break()\n    return y.float() + 1",
    "capsules": "return torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x)) + 1",
    "a buffer": "return torch.frombuffer(bytearray(256), dtype=torch.float32).reshape(8, 8) + x",
    "sparse": "return x.to_sparse().to_dense() + 1",
    "a store": "y = torch.zeros(8, 8)\n    y[x > 0] = x[x > 0]\n    return y",
    "vmap": "return torch.vmap(lambda row: row.double())(x)",
}
TEXT = """
import numpy as np
import torch

def step(x):
    {body}

def count(graph, inputs):
    graphs.append(graph)
    return graph.forward

compiled = torch.compile(step, backend=count)
results = [compiled(torch.ones(8, 8)) for _ in range(3)]
results.append(compiled(torch.ones(8, 8)))
"""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def outcome(namespace: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the compiler did so far."""
    breaks = sum(counters["graph_break"].values())
    return len(namespace["graphs"]), breaks


@pytest.mark.parametrize("name", BODIES)
def test_the_compiler_does_what_it_does_without_us(name: str) -> None:
    """Graphs, graph breaks and recompilations are as many, and the results the same."""
    text = TEXT.format(body=BODIES[name])
    plain: dict[str, Any] = {"graphs": [], "__name__": "__main__"}
    torch._dynamo.reset()
    counters.clear()
    exec(compile(text, "<cell>", "exec"), plain)
    expected = outcome(plain)

    watched: dict[str, Any] = {"graphs": [], "__name__": "__main__"}
    torch._dynamo.reset()
    counters.clear()
    recording = tensortoll.run_source(text, "<cell>", watched)

    assert expected == outcome(watched)
    assert recording.faults == ()
    for one, other in zip(plain["results"], watched["results"], strict=True):
        assert torch.equal(one, other)
    assert suspicion.COMPILED in recording.blind_spots


def test_what_was_compiled_before_is_not_compiled_again() -> None:
    """A watch that begins, and one that ends, leave compiled functions as they are."""
    text = TEXT.format(body=BODIES["casts"])
    namespace: dict[str, Any] = {"graphs": [], "__name__": "__main__"}
    torch._dynamo.reset()
    exec(compile(text, "<cell>", "exec"), namespace)
    assert len(namespace["graphs"]) == 1

    tensortoll.run_source("compiled(torch.ones(8, 8))", "<cell>", namespace)
    namespace["compiled"](torch.ones(8, 8))

    assert len(namespace["graphs"]) == 1


def test_what_runs_between_two_graphs_is_counted() -> None:
    """Code that could not be compiled runs as written, at its own line."""
    text = TEXT.format(
        body="y = x + 1\n    torch._dynamo.graph_break()\n    keep(y)\n    return y + 1"
    )
    text = text.replace(
        "def step",
        "@torch._dynamo.disable\ndef keep(y):\n    y.numpy()\n    y.double()\n\ndef step",
    )
    namespace: dict[str, Any] = {"graphs": [], "__name__": "__main__"}
    torch._dynamo.reset()

    recording = tensortoll.run_source(text, "<cell>", namespace)

    found = {one.route.place.expression: one.totals.count for one in recording.conversions}
    assert found == {"y.numpy()": 4, "y.double()": 4}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("x = np.ones(3)\ny = torch.tensor(x)", ()),
        ("f = torch.compile(lambda x: x)", (suspicion.COMPILED,)),
        ("model.compile()", (suspicion.COMPILED,)),
        ("model.compile(optimizer='sgd', loss='mse')", ()),
        ("model.compile('sgd', 'mse')", ()),
        ("y = known(torch.ones(3))", (suspicion.COMPILED,)),
        ("print(t.data_ptr() == x.ctypes.data)", ()),
        ("import ctypes\nprint(t.data_ptr())", ()),
        ("import ctypes\nlibrary.scale(t.data_ptr(), 3)", (suspicion.ADDRESSES,)),
        (
            "import ctypes\nlibrary.scale(ctypes.c_void_p(x.ctypes.data), 3)",
            (suspicion.ADDRESSES,),
        ),
        ("library.scale(x.ctypes.data_as(kind), 3)", ()),
    ],
)
def test_blind_spots_are_suspected_for_a_reason(text: str, sentences: tuple[str, ...]) -> None:
    """A compiled function in the text, or an address that goes to code in C; and nothing else."""
    import ast

    known = torch.compile(lambda x: x + 1, backend="eager")
    namespace = {"torch": torch, "np": np, "known": known, "unused": known}

    assert tuple(suspicion.suspicions(ast.parse(text), namespace)) == sentences
