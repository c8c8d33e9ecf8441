"""Sparse, quantised and nested tensors, stores at masks, subclasses and lazy conjugates.

What was written is proven by the memory of operands and results, looked at without our code.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import pytest
import torch

from tensortoll.capture import running
from tensortoll.model import Conversion
from tensortoll.recording import Recording

N = 4096
START = f"""
import numpy as np
import torch
torch.manual_seed(0)
N = {N}
t = torch.arange(float(N)) + 1; m = t.reshape(64, 64); out = torch.zeros(N); mask = t > 1000
d = torch.rand(64, 64) * (torch.rand(64, 64) > 0.7) + torch.eye(64)
pairs = d.to_sparse(); csr = d.to_sparse_csr(); quantised = torch.quantize_per_tensor(t, 0.1, 0, torch.quint8)
nested = torch.nested.nested_tensor([m[0], m[1, :32]]); z = torch.complex(m, m)

class Plain(torch.Tensor):
    pass

named = t.as_subclass(Plain)
"""  # noqa: E501


def ran(text: str, namespace: dict[str, Any]) -> Recording:
    """Run a text watched, without a look at memory and lines."""
    outcome = running.run(text, "case.py", namespace)
    if outcome.error is not None:
        raise outcome.error
    return outcome.recording


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def memory(tensor: torch.Tensor) -> dict[int, int]:
    """Return the address and size of each block of memory that a tensor's elements lie in."""
    if tensor.layout is torch.strided:
        return {tensor.data_ptr(): tensor.nbytes}
    if tensor.layout is torch.sparse_coo:
        parts = [tensor._indices(), tensor._values()]
    elif tensor.layout is torch.sparse_csr:
        parts = [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    else:
        parts = [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return {one.data_ptr(): one.nbytes for one in parts}


class Case(NamedTuple):
    expression: str
    source: str
    effects: str
    origin: str
    target: str


CASES = [
    Case("d.to_sparse()", "d", "layout", "float32", "float32"),
    Case("d.to_sparse(1)", "d", "layout", "float32", "float32"),
    Case("pairs.to_dense()", "pairs", "layout", "float32", "float32"),
    Case("d.to_sparse_csr()", "d", "layout", "float32", "float32"),
    Case("d.to_sparse_csc()", "d", "layout", "float32", "float32"),
    Case("csr.to_dense()", "csr", "layout", "float32", "float32"),
    Case("pairs.to_sparse_csr()", "pairs", "layout", "float32", "float32"),
    Case("csr.to_sparse()", "csr", "layout", "float32", "float32"),
    Case("pairs.double()", "pairs", "cast", "float32", "float64"),
    Case("pairs.to(torch.float16)", "pairs", "cast", "float32", "float16"),
    Case("pairs.clone()", "pairs", "", "float32", "float32"),
    Case("csr.clone()", "csr", "", "float32", "float32"),
    Case("torch.quantize_per_tensor(t, 0.1, 0, torch.quint8)", "t", "cast", "float32", "quint8"),
    Case("quantised.dequantize()", "quantised", "cast", "quint8", "float32"),
    Case("quantised.int_repr()", "quantised", "cast", "quint8", "uint8"),
    Case("quantised.clone()", "quantised", "", "quint8", "quint8"),
    Case("nested.double()", "nested", "cast", "float32", "float64"),
    Case("nested.clone()", "nested", "", "float32", "float32"),
    Case("z.conj().resolve_conj()", "z", "", "complex64", "complex64"),
    Case("z.conj().clone()", "z", "", "complex64", "complex64"),
    Case("z.conj().to(torch.complex128)", "z", "cast", "complex64", "complex128"),
    Case("named.double()", "named", "cast", "float32", "float64"),
    Case("named.clone()", "named", "", "float32", "float32"),
]


def last_line(text: str) -> list[Conversion]:
    recording = ran(START + text, {})
    assert recording.faults == ()
    line = len((START + text).rstrip().splitlines())
    return [one for one in recording.conversions if one.route.place.line == line]


@pytest.mark.parametrize("case", CASES, ids=[one.expression for one in CASES])
def test_a_change_of_form_writes_all_that_the_result_consists_of(case: Case) -> None:
    """One conversion, with the bytes of those values and indices that are not shared."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    source, result = namespace[case.source], eval(case.expression, namespace)
    before, after = memory(source), memory(result)
    shared = set(before) & set(after)
    assert set(before) != shared != set(after)

    [one] = last_line(case.expression)

    route = one.route
    assert (route.outcome, "+".join(route.effects)) == ("copy", case.effects)
    assert (route.origin.dtype, route.target.dtype) == (case.origin, case.target)
    moved = [sum(size for at, size in one.items() if at not in shared) for one in (before, after)]
    assert one.totals[:4] == (1, 1, *moved)
    assert route.implicit is False


STORES = {
    "out[mask] = t[1000:]": 3096 * 4,
    "out[torch.arange(100)] = t[:100]": 400,
    "m[[0, 3]] = torch.ones(2, 64)": None,
    "m[torch.tensor([0, 3])] = d[5:7]": 512,
    "m[:, torch.tensor([0, 3])] = d[:, 5:7]": 512,
    "out[mask] = t[mask]": None,
    "out[mask] = t[mask] * 2": None,
    "out[mask] = 5.0": None,
    "out[mask] += t[mask]": None,
}


@pytest.mark.parametrize("text", STORES)
def test_a_store_at_an_index_counts_where_its_value_stood_before(text: str) -> None:
    """What was gathered or computed for the store is put where it belongs: no conversion."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    target = namespace[text.partition("[")[0]]
    version = target._version
    exec(text, namespace)
    assert target._version > version  # it was written in place, whatever is said of it

    found = [one for one in last_line(text) if "parse" not in one.route.effects]

    assert [one.totals[:2] for one in found] == ([] if STORES[text] is None else [(1, 1)])
    assert [one.totals.bytes_written for one in found] == [STORES[text]] * len(found)


OWN = """
class Own(torch.Tensor):
    calls = 0
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})

own = t.as_subclass(Own)
a = own.double(); b = own.numpy(); c = own.clone(); d = own.tolist(); e = float(own[3])
calls = Own.calls
"""


def test_a_subclass_is_asked_as_often_as_without_us() -> None:
    """`__torch_function__` runs as before, and each conversion counts once."""
    plain: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(START + OWN, plain)
    watched: dict[str, Any] = {}

    recording = ran(START + OWN, watched)

    assert plain["calls"] == watched["calls"]
    line = len(START.splitlines())
    rows = [one for one in recording.conversions if one.route.place.line > line]
    assert sorted((one.route.outcome, one.route.effects) for one in rows) == [
        ("copy", ()),
        ("copy", ("cast",)),
        ("copy", ("unbox",)),
        ("copy", ("unbox",)),
        ("view", ()),
    ]
    assert [one.totals.count for one in rows] == [1] * 5


def test_a_lazily_cloned_storage_is_not_made_real_by_looking() -> None:
    """Copies, casts and reads of a copy-on-write tensor leave its memory where it was."""
    text = """
lazy = torch._lazy_clone(t)
a = lazy.double(); b = lazy.clone(); c = lazy.tolist(); d = lazy.reshape(64, 64).t().contiguous()
e = lazy.to("meta"); f = t.double()
still = torch._C._is_cow_tensor(lazy) and torch._C._is_cow_tensor(t)
lazy += 1
"""
    watched: dict[str, Any] = {}

    recording = ran(START + text, watched)

    assert watched["still"]
    assert torch.equal(watched["t"] + 1, watched["lazy"])
    line = len(START.splitlines())
    assert (
        sum(one.totals.count for one in recording.conversions if one.route.place.line > line) == 6
    )


SILENT = """
pairs.coalesce(); torch.sparse.mm(pairs, m); pairs + pairs; repr(pairs); str(quantised)
torch.sparse_coo_tensor(pairs.indices(), pairs.values(), pairs.shape, is_coalesced=True); pairs.t()
nested.to_padded_tensor(0.0); repr(nested); z.conj(); z.conj() * z; z.imag; z.conj().imag
torch.nested.nested_tensor([m[0], m[1, :32]], layout=torch.jagged).sum()
a, b = torch.utils.data.random_split(torch.utils.data.TensorDataset(t), [4000, 96])
order = list(torch.utils.data.RandomSampler(a)); some = torch.randperm(N)[mask]
"""


def test_what_a_library_does_for_itself_is_silent() -> None:
    """Arithmetic on sparse tensors, printing, views and samplers' own indices convert nothing."""
    recording = ran(START + SILENT, {})

    line = len(START.splitlines())
    rows = [one for one in recording.conversions if one.route.place.line > line]
    assert [
        (one.route.place.expression, one.totals)
        for one in rows
        if one.totals.bytes_written + one.totals.bytes_read > 64 or one.route.outcome == "view"
    ] == []
