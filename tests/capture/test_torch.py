"""PyTorch: every conversion is reported, with what it cost, and nothing else is.

What is true of an expression is told by memory, apart from our own code: where the bytes of the
operands and of the result lie is compared here, by addresses.
"""

from __future__ import annotations

import gc
import sys
import textwrap
import threading
import tracemalloc
import warnings
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import tensortoll
from tensortoll.capture import places
from tensortoll.capture.probes.torch import arrays, exchange, kernels, reads
from tensortoll.model import Conversion
from tensortoll.recording import Recording

N = 4096
START = f"""
import copy
import numpy as np
import torch
N = {N}
a64 = np.arange(float(N)); a32 = a64.astype('f4'); m64 = a64.reshape(64, 64)
t32 = torch.arange(float(N)); t64 = t32.double(); m = t32.reshape(64, 64); i32 = t32.int()
rows = [list(map(float, range(64))) for _ in range(64)]
store = torch.zeros(4, N); net = torch.nn.Linear(64, 64)
"""


class Case(NamedTuple):
    expression: str
    outcome: str
    effects: str
    copies: int
    read: int
    written: int
    origin: str
    target: str


F, D, H, B = 4 * N, 8 * N, 2 * N, N
CASES = [
    # into torch
    Case("torch.from_numpy(a64)", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.from_numpy(m64.T)", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.from_numpy(a64[::2])", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.as_tensor(a64)", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.asarray(a64)", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.Tensor(a32)", "view", "", 0, 0, 0, "numpy:float32", "torch:float32"),
    Case("torch.from_dlpack(a64)", "view", "", 0, 0, 0, "numpy:float64", "torch:float64"),
    Case("torch.tensor(a64)", "copy", "", 1, D, D, "numpy:float64", "torch:float64"),
    Case("torch.asarray(a64, copy=True)", "copy", "", 1, D, D, "numpy:float64", "torch:float64"),
    Case(
        "torch.tensor(a64, dtype=torch.float32)",
        *("copy", "cast", 1, D, F, "numpy:float64", "torch:float32"),
    ),
    Case("torch.Tensor(a64)", "copy", "cast", 1, D, F, "numpy:float64", "torch:float32"),
    Case("torch.tensor(rows)", "copy", "parse", 1, 0, F, "python:float32", "torch:float32"),
    Case("torch.as_tensor(rows)", "copy", "parse", 1, 0, F, "python:float32", "torch:float32"),
    # out of it
    Case("t32.numpy()", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("m[3].numpy()", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("m[1:, 5:].numpy()", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("m.t().numpy()", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("np.asarray(m[1])", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("np.from_dlpack(t32)", "view", "", 0, 0, 0, "torch:float32", "numpy:float32"),
    Case("np.array(t32)", "copy", "", 1, F, F, "torch:float32", "numpy:float32"),
    Case("np.asarray(t32, 'f8')", "copy", "cast", 1, F, D, "torch:float32", "numpy:float64"),
    Case("np.float64(t32)", "copy", "cast", 1, F, D, "torch:float32", "numpy:float64"),
    Case(
        "np.array(t32, dtype='f8')",
        "copy",
        "cast",
        2,
        F + D,
        2 * D,
        "torch:float32",
        "numpy:float64",
    ),
    Case(
        "np.ascontiguousarray(m.t())", "copy", "layout", 1, F, F, "torch:float32", "numpy:float32"
    ),
    Case("np.asarray(list(m))", "copy", "parse", 1, 0, F, "python:object", "numpy:float32"),
    Case("t32.tolist()", "copy", "unbox", 1, F, 0, "torch:float32", "python:float32"),
    Case("t32[5].item()", "copy", "unbox", 1, 4, 0, "torch:float32", "python:float32"),
    Case("float(t64[5])", "copy", "unbox", 1, 8, 0, "torch:float64", "python:float64"),
    # inside it
    Case("t32.double()", "copy", "cast", 1, F, D, "torch:float32", "torch:float64"),
    Case("t32.to(torch.bfloat16)", "copy", "cast", 1, F, H, "torch:float32", "torch:bfloat16"),
    Case(
        "t32.to(torch.float8_e4m3fn)",
        "copy",
        "cast",
        1,
        F,
        B,
        "torch:float32",
        "torch:float8_e4m3fn",
    ),
    Case("t32.to(torch.complex64)", "copy", "cast", 1, F, D, "torch:float32", "torch:complex64"),
    Case(
        "t32.type('torch.DoubleTensor')", "copy", "cast", 1, F, D, "torch:float32", "torch:float64"
    ),
    Case("t32.to(t64)", "copy", "cast", 1, F, D, "torch:float32", "torch:float64"),
    Case("t32.bool()", "copy", "cast", 1, F, B, "torch:float32", "torch:bool"),
    Case("t32.clone()", "copy", "", 1, F, F, "torch:float32", "torch:float32"),
    Case("t32.to(torch.float32, copy=True)", "copy", "", 1, F, F, "torch:float32", "torch:float32"),
    Case("copy.deepcopy(t32)", "copy", "", 1, F, F, "torch:float32", "torch:float32"),
    Case("m.t().contiguous()", "copy", "layout", 1, F, F, "torch:float32", "torch:float32"),
    Case("m.t().reshape(-1)", "copy", "layout", 1, F, F, "torch:float32", "torch:float32"),
    Case(
        "m[0].expand(64, 64).contiguous()",
        "copy",
        "layout",
        1,
        256,
        F,
        "torch:float32",
        "torch:float32",
    ),
    Case("t32 + t64", "copy", "cast", 1, F, D, "torch:float32", "torch:float64"),
    Case("i32 / 2", "copy", "cast", 1, F, F, "torch:int32", "torch:float32"),
    Case("torch.cat([t32, t64])", "copy", "cast", 1, F, D, "torch:float32", "torch:float64"),
    Case("t32.to('meta')", "copy", "", 1, 0, 0, "torch:float32", "torch:float32"),
]

SHARES_OR_COPIES = {"view": True, "copy": False}

STORES = {
    "store[1] = t32": (F, "copy", ""),
    "store[1] = m.reshape(-1)": (F, "copy", ""),
    "store[1], store[2] = t32, t32 * 2": (F, "copy", ""),
    "store[1][:] = t64": (F, "copy", "cast"),
    "store[1] = t64 * 2": (F, "copy", "cast"),
    "if True: store[3] = t32": (F, "copy", ""),
    "store[2].copy_(t32)": (F, "copy", ""),
}

SILENT = """
t32[1:-1] = 0.5 * (t32[2:] + t32[:-2])
store[1] = t32 + 1
store[1] = torch.sin(t32)
store[1, 0] = 1.0; store[1, 0] = N; store[1, 0] = store[2, 3]
store[1] = (
    t32 * 2
)
store[0] += t32
store[0] = 3.0
store[t32[:4] > 2] = 0.0
t32.add_(1).mul_(2)
m[3]; m.t(); m.view(-1); m.reshape(-1); m.expand(2, 64, 64); m.permute(1, 0); m.chunk(2)
t32.float(); t32.cpu(); t32.to(t32); t32.contiguous(); t32.detach(); t32.type_as(t32)
t32 * 2.0 + 1; t32 > 0.5; 2 ** m; m @ m; m.sum(); m.sort(); m.cumsum(0); m.topk(3); m.unique()
torch.stack([m, m]); torch.cat([m, m]); torch.where(m > 1, m, 0.0); m[m > 5]
m.masked_select(m > 5); torch.combinations(torch.arange(40)); m.quantile(0.5)
torch.linalg.solve(m + 5000 * torch.eye(64), m); torch.linalg.svd(m)
torch.linalg.inv(m + 9e3 * torch.eye(64))
torch.nn.functional.pad(m, (1, 1)); m.roll(3); m.flip(0); m.repeat(2, 1); m.repeat_interleave(2)
net(m); net(m).sum().backward(); torch.nn.GRU(64, 32)(m[None]); torch.nn.LayerNorm(64)(m.t())
optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9); optimizer.step(); optimizer.step()
repr(m); str(m); print(m, file=open(__import__('os').devnull, 'w')); f'{m}'
t32.numpy()[:0]; torch.view_as_real(torch.complex(m, m)); m.view(torch.int32)
copy.copy(m); torch.empty(0).numpy(); np.asarray(torch.empty(0, 3))
torch.from_numpy(a64[:0]); torch.tensor(a64[:0]); torch.as_tensor(a64[:0], dtype=torch.float32)
"""


def ran(text: str) -> Recording:
    recording = tensortoll.run_source(START + text, "case.py", memory=False, time=False)
    assert recording.faults == ()
    return recording


def last_line(recording: Recording, text: str) -> list[Conversion]:
    """Return what was counted on the last line of a text."""
    line = len((START + text).rstrip().splitlines())
    return [one for one in recording.conversions if one.route.place.line == line]


def addresses(value: Any) -> set[int]:
    """Return the address of the first byte, as the library itself tells it."""
    if isinstance(value, torch.Tensor):
        return {value.data_ptr()}
    return {value.__array_interface__["data"][0]} if isinstance(value, np.ndarray) else set()


def in_same_memory(value: Any, others: list[Any]) -> bool:
    """Say whether `value` begins inside the memory of one of the arrays."""
    for one in addresses(value):
        for other in others:
            array = other.detach().numpy() if isinstance(other, torch.Tensor) else other
            low, high = np.lib.array_utils.byte_bounds(array)
            if low <= one < high:
                return True
    return False


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=[one.expression for one in CASES])
def test_a_conversion_is_reported_as_memory_tells_it(case: Case) -> None:
    """Outcome, effects, copies, bytes and kinds of each conversion are what they are."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    result = eval(case.expression, namespace)
    if addresses(result) and getattr(result, "is_meta", False) is False:
        arrays = [namespace[name] for name in ("a64", "a32", "m64", "t32", "t64", "m")]
        mine = [one for one in arrays if not np.isscalar(one)]
        assert in_same_memory(result, mine) is (case.outcome == "view")

    recording = ran(case.expression)

    [one] = last_line(recording, case.expression)
    route = one.route
    assert (route.outcome, "+".join(route.effects)) == (case.outcome, case.effects)
    assert one.totals[:4] == (1, case.copies, case.read, case.written)
    assert f"{route.origin.library}:{route.origin.dtype}" == case.origin
    assert f"{route.target.library}:{route.target.dtype}" == case.target
    assert route.where == "main"
    # What a method is called on may be a call of its own: the smallest expression is named.
    assert (
        case.expression.endswith(route.place.expression)
        or route.place.expression in case.expression
    )


@pytest.mark.parametrize("text", STORES)
def test_a_tensor_stored_into_another_is_a_copy(text: str) -> None:
    """A tensor that stood before is duplicated; a cast counts whatever is stored."""
    written, outcome, effects = STORES[text]
    found = last_line(ran(text), text)

    assert [(one.route.outcome, "+".join(one.route.effects)) for one in found] == [
        (outcome, effects)
    ]
    assert found[0].totals.bytes_written == written


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_converts_nothing_is_silent() -> None:
    """Computing, looking, sharing inside torch and returning the argument are not reported."""
    lines = len(START.splitlines())
    recording = ran(SILENT)
    loud = [
        (one.route.place.expression, one.route.outcome, one.totals)
        for one in recording.conversions
        if one.route.place.line > lines
        and (one.totals.bytes_written or one.route.outcome == "view")
        and "t32.numpy()" not in one.route.place.expression
    ]
    assert loud == []


def test_a_view_proves_that_both_lie_in_the_same_memory() -> None:
    """The ranges of a proof overlap for a view, and do not for a copy."""
    recording = ran("v = m[3].numpy()\nc = t32.double()\n")
    [view] = [one for one in recording.conversions if one.route.outcome == "view"]
    [copy] = last_line(recording, "v = m[3].numpy()\nc = t32.double()\n")
    assert view.proof is not None
    assert view.proof.origin == view.proof.target
    assert view.proof.origin.stop - view.proof.origin.start == 256
    assert copy.proof is not None
    assert copy.proof.origin.stop <= copy.proof.target.start or (
        copy.proof.target.stop <= copy.proof.origin.start
    )


def test_the_place_is_the_smallest_expression() -> None:
    """Two conversions on one line have columns of their own, in characters."""
    text = "é = t32.double(); b = [m.t().contiguous(), 1]\n"
    rows = last_line(ran(text), text)
    line = text.rstrip()
    places = {one.route.place[3:] for one in rows}
    assert places == {
        (line.index(cut), line.index(cut) + len(cut), cut)
        for cut in ("t32.double()", "m.t().contiguous()")
    }


def test_via_names_the_line_of_the_library() -> None:
    """What a model's method did inside torch is charged to the user's line, and says how."""
    text = "net.double()"
    [one] = last_line(ran(text), text)
    assert (one.totals.count, one.totals.bytes_written) == (2, 8 * (64 * 64 + 64))
    assert one.route.via is not None
    assert one.route.via.startswith("torch/nn/modules/module.py:")
    assert one.route.implicit is False


def test_what_was_not_asked_for_is_implicit() -> None:
    """An operator casts by itself; a method that is named for it was asked to."""
    [implicit] = last_line(ran("t32 + t64"), "t32 + t64")
    [asked] = last_line(ran("t32.double()"), "t32.double()")
    assert (implicit.route.implicit, implicit.route.operation) == (True, "+")
    assert (asked.route.implicit, asked.route.operation) == (False, ".double")


def test_an_import_taken_before_is_seen() -> None:
    """A function that was bound to another name before the watch is counted too."""
    take = torch.from_numpy
    array = np.ones(N)
    with tensortoll.record() as recorder:
        take(array)
    assert recorder.recording.views == 1


def test_other_threads_are_counted_and_say_so() -> None:
    """A conversion on a thread is charged to the line that made it."""
    text = """
import threading
import tracemalloc
import warnings
def work():
    t32.double()
threads = [threading.Thread(target=work) for _ in range(3)]
for one in threads: one.start()
for one in threads: one.join()
"""
    casts = [one for one in ran(text).conversions if one.route.where == "thread"]
    assert [one.totals.count for one in casts] == [3]
    assert casts[0].route.place.expression == "t32.double()"


class Rows:
    """A data set of rows of float64."""

    def __init__(self) -> None:
        self.data = np.ones((16, N))

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.tensor(self.data[i], dtype=torch.float32)


def test_workers_that_were_forked_bring_their_counts_home() -> None:
    """Each row is counted once, at the line of the data set, with what it wrote."""
    with tensortoll.record() as recorder:
        batches = list(
            DataLoader(Rows(), batch_size=4, num_workers=2, multiprocessing_context="fork")
        )
    assert len(batches) == 4
    [one] = [one for one in recorder.recording.conversions if one.route.where == "a worker process"]
    assert one.totals[:4] == (16, 16, 16 * D, 16 * F)
    assert one.route.effects == ("cast",)
    assert one.route.place.expression == "torch.tensor(self.data[i], dtype=torch.float32)"


class BrokenError(RuntimeError):
    pass


def broken(*_: Any, **__: Any) -> Any:
    raise BrokenError("on purpose")


INTERNALS = [
    (kernels, "group_of", "t32.double()"),
    (kernels, "_count_parse", "torch.tensor(rows)"),
    (kernels, "start_view", "torch.from_numpy(a64)"),
    (arrays, "_count_array", "t32.numpy()"),
    (arrays, "_count_array", "np.asarray(t32)"),
    (reads, "_count_unbox", "t32.tolist()"),
    (exchange, "_count_import", "torch.from_dlpack(a64)"),
    (exchange, "_count_export", "np.from_dlpack(t32)"),
    (places, "call_at", "t32.double()"),
]


@pytest.mark.parametrize(("module", "name", "expression"), INTERNALS)
def test_a_failure_of_ours_never_reaches_the_user(
    module: Any, name: str, expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call returns what it returns; the failure stands in the recording, with its number."""
    namespace: dict[str, Any] = {}
    exec(START, namespace)
    expected = eval(expression, namespace)
    monkeypatch.setattr(module, name, broken)

    recording = tensortoll.run_source(
        f"got = [{expression} for _ in range(2)]", "x", namespace, memory=False, time=False
    )

    for got in namespace["got"]:
        assert type(got) is type(expected)
        assert np.array_equal(np.asarray(got), np.asarray(expected))
    assert [one for one in recording.faults if "on purpose" in one and one.endswith("(x2)")]


def test_an_interrupt_in_the_middle_goes_through() -> None:
    """A KeyboardInterrupt ends the block, and what was counted before stays."""
    x = torch.ones(N)

    def interrupted() -> None:
        x.double()
        raise KeyboardInterrupt

    recorder = tensortoll.record()
    with pytest.raises(KeyboardInterrupt), recorder:
        interrupted()
    assert recorder.recording.casts == 1


@pytest.mark.parametrize(
    "call",
    [
        "t.numpy(True)",
        "t.numpy(1, 2)",
        "t.numpy(None)",
        "t.numpy(other=1)",
        "t.numpy(force=1)",
        "t.numpy(force=None)",
        "t.numpy(force=True, other=1)",
        "t.requires_grad_().numpy(force=False)",
        "t.item(1)",
        "t.item(other=1)",
        "t.tolist(1)",
    ],
)
def test_what_torch_refuses_is_refused_in_the_same_words(call: str) -> None:
    """A wrong argument, or a tensor that can't be lent."""
    told = []
    for _ in range(2):
        with pytest.raises((TypeError, RuntimeError)) as plain:
            eval(call, {"t": torch.ones(3)})
        told.append(str(plain.value))
        with tensortoll.record(), pytest.raises((TypeError, RuntimeError)) as watched:
            eval(call, {"t": torch.ones(3)})
        told.append(str(watched.value))

    assert len(set(told)) == 1


def test_nothing_is_held() -> None:
    """Arrays and tensors die when the user lets go of them, while the watch is on."""
    with tensortoll.record() as recorder:
        array, tensor = np.ones(N), torch.ones(N)
        counts = sys.getrefcount(array), sys.getrefcount(tensor)
        results = [torch.tensor(array), tensor.double(), torch.tensor(array, dtype=torch.float16)]
        tensor.tolist()
        assert (sys.getrefcount(array), sys.getrefcount(tensor)) == counts
        died = [weakref.ref(one) for one in (array, tensor, *results)]
        del array, tensor, results
        gc.collect()
        assert [ref() for ref in died] == [None] * 5
    assert recorder.recording.copies == 4


def test_gradients_are_what_they_are_without_us() -> None:
    """The backward pass casts as before, and is counted at `backward`."""
    text = "leaf = torch.ones(N, requires_grad=True); s = (leaf.double() ** 2).sum()\ns.backward()"
    namespace: dict[str, Any] = {}
    recording = tensortoll.run_source(START + text, "case.py", namespace, memory=False, time=False)
    [one] = last_line(recording, text)
    assert torch.equal(namespace["leaf"].grad, torch.full((N,), 2.0))
    assert (one.route.implicit, one.totals.bytes_written) == (True, F)


def test_a_capsule_of_unknown_origin_is_not_spoken_of() -> None:
    """A tensor that goes out and comes back in by a capsule crosses no border."""
    text = textwrap.dedent(
        """
        from torch.utils.dlpack import from_dlpack, to_dlpack
        back = from_dlpack(to_dlpack(t32))
        """
    )
    assert last_line(ran(text), text) == []


def test_threads_that_wrap_at_the_same_time_are_not_mixed_up() -> None:
    """Two threads that wrap arrays in a tight loop each count their own."""
    array = np.ones(8)

    def work() -> None:
        for _ in range(2000):
            torch.from_numpy(array)
            torch.tensor(array)

    with tensortoll.record() as recorder:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert recorder.recording.views == 4000
    assert recorder.recording.copies == 4000


OWN_OPTIMIZER = """
import torch


class Own(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_((parameter.grad.double() * 0.1).float())


weight = torch.ones(5000, requires_grad=True)
optimizer = Own([weight])
for _ in range(4):
    weight.grad = torch.ones(5000)
    optimizer.step()
"""


def test_an_optimizer_of_the_users_is_seen_into_at_every_step():
    """Only torch's own optimizers are known to convert nothing: others are counted throughout."""
    recording = tensortoll.run_source(OWN_OPTIMIZER, memory=False, time=False)

    casts = [one.totals.count for one in recording.conversions if "cast" in one.route.effects]
    assert casts == [4, 4]


def test_a_hook_on_an_optimizer_is_seen_into_at_every_step():
    """What a step hook of the user's converts is counted, also on one of torch's optimizers."""
    text = """
import torch

weight = torch.ones(5000, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1)
optimizer.register_step_post_hook(lambda *_: weight.detach().double())
for _ in range(4):
    weight.grad = torch.ones(5000)
    optimizer.step()
"""
    recording = tensortoll.run_source(text, memory=False, time=False)

    assert [one.totals.count for one in recording.conversions] == [4]


@pytest.mark.parametrize(
    "text",
    ["np.dot(t, x)", "np.dot(x, t)", "np.inner(t, t)", "np.vdot(t, t)", "np.searchsorted(x, t)"],
)
def test_a_tensor_that_is_asked_for_its_dtype_first_is_not_copied(text: str) -> None:
    """NumPy asks for a copy of it then, gets a view, and makes none: its memory says so."""
    start = "import numpy as np, torch\nt = torch.arange(1e5); x = np.arange(1e5, dtype='f4')\n"
    names: dict[str, Any] = {}
    exec(start, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tracemalloc.start()
        try:
            result = eval(text, names)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        recording = tensortoll.run_source(start + text, "case.py", memory=False, time=False)
    assert peak - result.nbytes < 100_000 < names["x"].nbytes

    found = [one for one in recording.conversions if one.route.place.line == 3]
    assert {one.route.outcome for one in found} == {"view"}
    assert sum(one.totals.bytes_written for one in found) == 0


def test_a_tensor_that_is_copied_again_and_again_counts_each_time() -> None:
    """In the same instruction, with and without a dtype."""
    text = (
        "import numpy as np, torch\nt = torch.arange(1000.0)\n"
        "made = [np.array(*given) for given in [(t,), (t, 'f4'), (t,), (t, 'f4')]]\n"
        "told = list(map(np.array, [t, t, t]))"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = tensortoll.run_source(text, "case.py", memory=False, time=False).conversions
    assert [one.totals.copies for one in found if one.route.outcome == "copy"] == [4, 3]
