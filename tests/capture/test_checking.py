"""The verdict on one expression: what it did, proven, and the expression's own value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tensortoll
from tensortoll.capture import watch
from tensortoll.capture.checking import check_source


def names() -> dict[str, Any]:
    x = np.arange(5000.0)
    return {
        "np": np,
        "torch": torch,
        "x": x,
        "t": torch.ones(5000),
        "v": torch.from_numpy(x),
        "l": [],
    }


@pytest.mark.parametrize(
    ("text", "outcome", "written"),
    [
        ("torch.from_numpy(x)", "view", 0),
        ("torch.tensor(x)", "copy", 40_000),
        ("torch.tensor(x, dtype=torch.float32)", "copy", 20_000),
        ("x.astype('f4')", "copy", 20_000),
        ("t.numpy()", "view", 0),
        ("t.double()", "copy", 40_000),
        ("np.asarray(t)", "view", 0),
    ],
)
def test_an_expression_is_judged_by_memory(text: str, outcome: str, written: int) -> None:
    """Outcome and bytes are those of one evaluation, however often it was timed."""
    checked = check_source(text, names())
    assert (checked.verdict.outcome, checked.verdict.recording.bytes_written) == (outcome, written)
    assert checked.verdict.recording.count == 1
    assert checked.verdict.once_because is None
    assert len(checked.verdict.times_ns) > 1


def test_the_value_is_the_expressions_own() -> None:
    """It is handed on, and not kept."""
    space = names()
    checked = check_source("torch.from_numpy(x)", space)
    assert checked.value.data_ptr() == space["x"].__array_interface__["data"][0]
    assert check_source("1 + 1", space).value == 2


@pytest.mark.parametrize(
    "text", ["t.copy_(v)", "l.append(t.double())", "(w := t.double())", "t.share_memory_()"]
)
def test_what_could_change_something_runs_once(text: str) -> None:
    """Its verdict says why it was not repeated."""
    space = names()
    verdict = check_source(text, space).verdict
    assert verdict.once_because
    assert len(verdict.times_ns) <= 1
    assert len(space["l"]) == (1 if "append" in text else 0)


@pytest.mark.parametrize(
    ("text", "shared"),
    [("x, v", True), ("x, t", False), ("x[:10], x[5:]", True), ("x[::2], x[1::2]", False)],
)
def test_two_arrays_are_compared(text: str, shared: bool) -> None:
    """They share memory where an element of the one is one of the other; the ranges prove it."""
    [pair] = check_source(text, names()).verdict.sharing
    assert pair.shared is shared
    one, other = pair.spans
    assert (one.start < other.stop and other.start < one.stop) or not shared


def test_the_result_is_compared_with_what_it_was_made_of() -> None:
    """A view of a slice lies where the slice lies."""
    space = names()
    [pair] = check_source("torch.from_numpy(x)", space).verdict.sharing
    start = space["x"].__array_interface__["data"][0]
    assert (pair.one, pair.other, pair.shared) == ("the result", "x", True)
    assert pair.spans == ((start, start + 40_000), (start, start + 40_000))

    base = torch.ones(10, 500)
    [pair] = check_source("base[3].numpy()", {"base": base}).verdict.sharing
    assert pair.spans[0] == (base[3].data_ptr(), base[3].data_ptr() + 2000)
    assert pair.shared is True


def test_a_lambda_is_checked_as_its_source() -> None:
    """`check` reads the lambda's body, and sees the names that it sees."""
    x = np.arange(5000.0)
    verdict = tensortoll.check(lambda: torch.tensor(x))
    assert (verdict.outcome, verdict.once_because) == ("copy", None)
    assert verdict.recording.bytes_written == 40_000


def test_a_function_runs_once() -> None:
    """What it does can not be told before, so it is not repeated."""
    calls = []

    def convert() -> torch.Tensor:
        calls.append(1)
        return torch.ones(5000).double()

    verdict = tensortoll.check(convert)
    assert (len(calls), verdict.outcome) == (1, "copy")
    assert verdict.once_because


@pytest.mark.parametrize("text", ["1 / 0", "nobody", "torch.tensor('x')"])
def test_an_error_is_the_users_own(text: str) -> None:
    """It is raised as it is, once the watch has ended."""
    with pytest.raises((ZeroDivisionError, NameError, TypeError)):
        check_source(text, names())
    assert watch.current() is None


def test_what_is_no_expression_is_refused() -> None:
    """A statement is a syntax error, and is not run."""
    space = names()
    with pytest.raises(SyntaxError):
        check_source("y = 1", space)
    assert "y" not in space


def test_interleaved_arrays_of_two_libraries_share_nothing():
    """Ranges that overlap are no proof: a tensor of even and an array of odd elements are apart."""
    array = np.arange(10_000.0)
    names = {"array": array, "tensor": torch.from_numpy(array)}

    apart = check_source("tensor[::2], array[1::2]", names).verdict.sharing
    flipped = check_source("tensor[1:4], array[::-1]", names).verdict.sharing

    assert [False] == [one.shared for one in apart]
    assert [True] == [one.shared for one in flipped]
