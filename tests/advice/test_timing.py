"""How the forms of a trial are timed: how often, and in which memory."""

from __future__ import annotations

import ast

import pytest

from tensortoll.advice import timing
from tensortoll.advice.timing import ROUNDS, timed


class Made:
    """A result that counts those of its kind which are alive."""

    alive = 0

    def __init__(self) -> None:
        Made.alive += 1

    def __del__(self) -> None:
        Made.alive -= 1


class Rounds:
    """A clock that counts how often it is asked, which is once a round."""

    asked = 0

    def now(self) -> float:
        self.asked += 1
        return self.asked


class Desk:
    """A bench with two forms: one that takes a turn of the clock, and one that takes ten."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, turn_ns: int) -> None:
        self.now = 0
        self.turn_ns = turn_ns
        self.alive_before: list[int] = []
        self.given_back = 0
        self.namespace = {"quick": lambda: self._run(1), "slow": lambda: self._run(10)}
        monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(timing, "_give_memory_back", self._give_back)

    def _run(self, turns: int) -> Made:
        self.alive_before.append(Made.alive)
        self.now += turns * self.turn_ns
        return Made()

    def _give_back(self) -> None:
        self.given_back += 1

    def wait(self, result: object) -> None:
        assert isinstance(result, Made)

    def timed(self, *names: str, repeated: bool, in_time: float = 1e9) -> tuple[list[float], ...]:
        nodes = tuple(ast.parse(f"{name}()", mode="eval").body for name in names)
        return timed(self, nodes, Rounds(), in_time, repeated=repeated)  # type: ignore[arg-type]


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch, turn_ns=200_000)


def test_a_form_that_wins_at_once_is_run_five_times_all_the_same(desk):
    """
    How much is saved is a median, and two runs have none.
    """
    slow, quick = desk.timed("slow", "quick", repeated=False)

    assert (slow, quick) == ([2e6] * ROUNDS, [2e5] * ROUNDS)


def test_a_long_form_that_wins_at_once_is_run_twice(monkeypatch):
    """
    Beyond a tenth of the time for all trials, two rounds will do.
    """
    desk = Desk(monkeypatch, turn_ns=20_000_000)

    slow, quick = desk.timed("slow", "quick", repeated=False)

    assert (len(slow), len(quick)) == (2, 2)


def test_late_is_no_matter_where_two_rounds_have_decided(desk):
    """
    Nothing is dropped that was seen to win.
    """
    slow, quick = desk.timed("slow", "quick", repeated=False, in_time=1)

    assert (len(slow), len(quick)) == (2, 2)


def test_a_line_that_runs_once_gets_memory_that_nobody_used(desk):
    """
    Free memory is given back before every run, and no earlier result of a form is kept.
    """
    desk.timed("slow", repeated=False)

    assert desk.given_back == ROUNDS
    assert set(desk.alive_before) == {0}


def test_in_a_loop_a_result_lives_until_the_next_one_is_there(desk):
    """
    As with a name that is bound anew in each turn; and memory is taken as it is.
    """
    desk.timed("slow", repeated=True)

    assert desk.given_back == 0
    assert desk.alive_before == [0] + [1] * (ROUNDS - 1)
