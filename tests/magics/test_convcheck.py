"""
`%convcheck`: other ways to the same result, ways to a target, aliases and limits.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from IPython.core.error import UsageError

import tensortoll
from tensortoll.advice.routes import parsed_target, routes_to
from tensortoll.errors import LimitError, TargetError
from tensortoll.magics.convcheck import answered, asked


def ask(line, namespace):
    request = asked(line)
    answer = answered(request, namespace, lambda _: None, ())
    if answer.recording is not None:
        request.hold(answer.recording)
    return answer


def names():
    x = np.ones((300, 200), dtype=np.float32)
    return {"np": np, "torch": torch, "x": x, "t": torch.from_numpy(x), "other": np.ones(500)}


def ways(answer):
    return [text for label, text in answer.card.rows if label.startswith("way ")]


def test_other_ways_are_ranked_by_what_they_write():
    """
    The view comes first and says what it shares; the expression itself is among them.
    """
    found = ways(ask("torch.tensor(x)", names()))

    assert found[0].startswith("torch.from_numpy(x)")
    assert "0 B written" in found[0]
    assert "shares memory with `x`" in found[0]
    assert any(one.startswith("torch.tensor(x)") and "240 kB written" in one for one in found)


@pytest.mark.parametrize(("name", "told"), [("x", True), ("later", False)])
def test_how_memory_came_to_be_shared_is_told_of_lines_that_name_the_array(name, told):
    """
    The address alone proves nothing: memory that was given back is another array's by now.
    """
    namespace = names()
    recording = tensortoll.run_source("t = torch.from_numpy(x)", "cell [1]", namespace)
    taken_over = {"torch": torch, name: namespace["x"]}

    answer = answered(asked(f"torch.from_numpy({name})"), taken_over, lambda _: None, (recording,))
    came = [text for label, text in answer.card.rows if label == "shared by"]

    assert came == ["cell [1] line 1: `torch.from_numpy(x)` made a view"] * told


def test_only_ways_that_give_the_same_are_shown():
    """
    A cast is no other way to an uncast tensor; every one gives what the expression gave.
    """
    namespace = names()
    answer = ask("torch.tensor(x, dtype=torch.float64)", namespace)

    for text in (one.split("  ")[0] for one in ways(answer)):
        assert torch.equal(eval(text, dict(namespace)), answer.value), text


def test_an_expression_with_side_effects_gets_no_other_ways():
    """
    What can't be repeated is not tried otherwise.
    """
    assert [] == ways(ask("t.add_(0)", names()))


@pytest.mark.parametrize(
    ("target", "best"),
    [
        ("torch.float32@cpu", "torch.from_numpy(x)"),
        ("torch.float32", "torch.from_numpy(x)"),
        ("torch.float64", "torch"),
        ("numpy.float16", "x.astype(np.float16)"),
    ],
)
def test_ways_to_a_target_give_its_library_dtype_and_device(target, best):
    """
    All of them were run here and now.
    """
    namespace = names()
    found = routes_to("x", parsed_target(target), namespace)

    assert any(one.expression.startswith(best) for one in found[:2])
    for one in found:
        made = eval(one.expression, dict(namespace))
        assert str(made.dtype).removeprefix("torch.") == parsed_target(target).dtype


@pytest.mark.parametrize("line", ["x -> torch", "x -> nothing.float32", "y -> torch.float32"])
def test_what_is_no_target_is_refused(line):
    """
    With the reason.
    """
    with pytest.raises(TargetError):
        ask(line, names())


def test_aliases_of_a_namespace_are_listed():
    """
    Pairs that share memory, and none of those that do not.
    """
    card = ask("--aliases", names()).card

    assert [label for label, _ in card.rows] == ["x | t"]
    assert "a write to x shows in t" in card.rows[0][1]
    assert "None of 2" in ask("--aliases x other", names()).card.verdict


def test_aliases_of_one_name_are_looked_for_among_all_others():
    """
    To name one array is to ask who else is in its memory.
    """
    space = names()
    space["same"] = space["x"]

    assert "x shares memory with t, same." == ask("--aliases x", space).card.verdict
    assert "other shares memory with none of the 3" in ask("--aliases other", space).card.verdict


def test_aliases_of_what_is_no_array_are_refused():
    """
    An answer about nothing would be taken for one about what was asked.
    """
    with pytest.raises(TargetError, match="'y' is no name of an array"):
        ask("--aliases x, y", names())


def test_a_way_is_not_told_twice_for_how_it_is_spaced():
    """
    The same expression would stand there with two times.
    """
    rows = ask("torch.tensor( x,dtype=torch.float64 )", names()).card.rows
    ways = [text.partition("  ")[0] for label, text in rows if label.startswith("way")]

    assert 1 == sum("dtype=torch.float64" in one for one in ways)


@pytest.mark.parametrize(
    "line",
    [
        "--max-copies 0 torch.tensor(x)",
        "torch.tensor(x) --max-bytes 100kB",
        "--max-bytes '100 kB' torch.tensor(x)",
        "--no-casts torch.tensor(x, dtype=torch.float64)",
        "--no-transfers t.to('meta') --max-copies 0",
    ],
)
def test_a_broken_limit_raises(line):
    """
    So that a notebook can assert what a line costs.
    """
    with pytest.raises(LimitError):
        ask(line, names())


@pytest.mark.parametrize(
    "line",
    ["--max-copies 1 torch.tensor(x)", "--no-casts --max-bytes 1MB torch.tensor(x)"],
)
def test_a_limit_that_holds_says_nothing(line):
    """
    The value comes back as ever.
    """
    assert torch.equal(ask(line, names()).value, names()["t"])


def test_an_unknown_option_is_refused():
    """
    It is not taken for a part of the expression.
    """
    with pytest.raises(UsageError):
        asked("--nonsense torch.tensor(x)")


def test_a_semicolon_behind_the_expression_is_no_part_of_it():
    """
    As elsewhere in IPython, it only keeps the value from being shown once more.
    """
    assert ask("torch.from_numpy(x);", names()).value.shape == (300, 200)
    assert ask("torch.from_numpy(x); --no-casts", names()).value.shape == (300, 200)
