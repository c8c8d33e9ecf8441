"""
`tensortoll explain`, and the examples that it shows.
"""

from __future__ import annotations

import pytest

from tensortoll.advice.rules import RULES
from tensortoll.cli import main


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_example_of_a_rule_runs(rule):
    """
    What a reader copies out of an explanation works, and both forms give the same.
    """
    exec(compile(rule.example, rule.code, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_is_explained_with_cause_cure_and_example(rule, capsys):
    """
    By its code, in whatever case.
    """
    assert main(["explain", rule.code.lower()]) == 0

    told = capsys.readouterr().out
    assert told.startswith(f"{rule.code}: {rule.title}")
    for text in (rule.cause, rule.cure):
        assert text.split()[0] in told
    assert "better" in told


def test_an_unknown_rule_is_refused_with_those_that_are_known(capsys):
    """
    The message names them.
    """
    assert main(["explain", "TT999"]) == 2

    assert "TT101" in capsys.readouterr().err


def test_codes_are_unique_and_listed(capsys):
    """
    One code, one rule.
    """
    assert main(["explain"]) == 0

    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted({rule.code for rule in RULES}) == listed
