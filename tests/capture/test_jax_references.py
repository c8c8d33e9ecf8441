"""Compiled functions of JAX's that a text reaches without naming JAX, or hands on to be called."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

import tensortoll
from tensortoll.capture.text.names import Names
from tensortoll.recording import Recording

MODULE = """
import jax
import numpy as np
predict = jax.jit(lambda a: a * 2)
class Model:
    def __init__(self): self.predict = predict
class Slotted:
    __slots__ = ("name",)
"""


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return a namespace that names nothing of JAX's, beside a module that does."""
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    found: dict[str, Any] = {"__name__": "__main__"}
    exec("import numpy as np\nodd = np.zeros(2001, np.float32)[1:]\nimport mine", found)
    found["mine"].predict(found["odd"])  # compiled before
    return found


def ran(text: str, names: dict[str, Any]) -> Recording:
    return tensortoll.run_source(text, "case.py", names, memory=False, time=False)


REACHED = {
    "mine.predict(odd)": "mine.predict(odd)",
    "import mine as m\nm.predict(odd)": "m.predict(odd)",
    "f = model.predict\nf(odd)": "f(odd)",
    "[f(odd) for f in (model.predict,)]": "f(odd)",
}


@pytest.mark.parametrize("text", REACHED)
def test_a_function_of_the_users_own_objects_is_known(text: str, names: dict[str, Any]) -> None:
    """What holds it is looked at before the text runs; none of its code is."""
    names["model"] = names["mine"].Model()
    names["other"] = names["mine"].Slotted()
    if "mine" not in text:
        del names["mine"]
    [one] = ran(text, names).conversions
    assert (one.route.place.expression, one.route.target.library) == (REACHED[text], "jax")
    assert (one.totals.count, one.totals.bytes_written) == (1, 8000)


def test_nothing_of_jax_leaves_calls_alone(names: dict[str, Any]) -> None:
    """A text that reaches no object that holds some is not rewritten for it."""
    own = {key: value for key, value in names.items() if key != "mine"}
    assert not Names(ast.parse("f(odd)"), own).reaches("jax")
    assert Names(ast.parse("f(odd)"), names).reaches("jax")


def test_what_calls_a_function_for_the_user_does_as_before(names: dict[str, Any]) -> None:
    """Results, errors and types are the same; what is left over ends with the watch."""
    text = """
made = list(map(mine.predict, [odd, odd]))
kind = type(map(mine.predict, [odd]))
try:
    map()
except TypeError as error:
    said = str(error)
try:
    list(map(mine.predict, [object()]))
except TypeError as error:
    raised = error
left = map(mine.predict, [odd])
"""
    recording = ran(text, names)
    assert recording.faults == ()
    assert names["kind"] is map
    assert names["said"] == "map() must have at least two arguments."
    assert "object" in str(names["raised"])
    assert [one.shape for one in names["made"]] == [(2000,), (2000,)]
    [one] = recording.conversions
    assert one.totals.count == 2
    assert next(names["left"]).shape == (2000,)
