"""scikit-learn: what its estimators make of arrays, frames and tensors on the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils import validation

import tensortoll

START = """
import numpy as np, pandas as pd, polars as pl, scipy.sparse as sp, torch
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
x = np.arange(6000.0).reshape(1000, 6); y = x[:, 0].copy(); x32 = x.astype("f4")
df = pd.DataFrame(x); s = pd.Series(y); polars = pl.DataFrame(x)
mixed = pd.DataFrame({"a": np.arange(1000), "b": y}); lists = x.tolist()
tensor = torch.rand(1000, 6, dtype=torch.float64); sparse = sp.csc_array(x)
tree = DecisionTreeRegressor(max_depth=2); line = LinearRegression().fit(x, y)
"""
CASES = {
    "tree.fit(x, y)": ["numpy:float64 numpy:float32 copy cast 24000"],
    "tree.fit(df, y)": ["pandas:float64 numpy:float32 copy cast 24000"],
    "line.fit(df, y)": ["pandas:float64 numpy:float64 view  0"],
    "line.fit(x, s)": ["pandas:float64 numpy:float64 view  0"],
    "line.fit(mixed, y)": ["pandas:mixed numpy:float64 copy cast 16000"],
    "line.fit(lists, y)": ["python:object numpy:float64 copy parse 48000"],
    "line.fit(polars, y)": ["polars:float64 numpy:float64 copy  48000"],
    "line.predict(tensor)": ["torch:float64 numpy:float64 view  0"],
    "line.predict(df)": ["pandas:float64 numpy:float64 view  0"],
}
SILENT = """
line.fit(x, y); line.predict(x); tree.fit(x32, y); StandardScaler().fit_transform(x)
line.get_params(); line.coef_ * 2; line.score(x, y); repr(line)
"""


@pytest.mark.parametrize("text", CASES)
def test_what_an_estimator_makes_of_its_input_is_implicit(text: str) -> None:
    """The line asks for a fit, not for a conversion; the library's file says who did it."""
    recording = tensortoll.run_source(START + text, "case.py", memory=False, time=False)

    found = [one for one in recording.conversions if one.route.place.expression == text]
    assert recording.faults == ()
    assert all(one.route.implicit and one.route.via.startswith("sklearn/") for one in found)
    assert CASES[text] == [
        f"{one.route.origin.library}:{one.route.origin.dtype} "
        f"{one.route.target.library}:{one.route.target.dtype} "
        f"{one.route.outcome} {' '.join(one.route.effects)} {one.totals.bytes_written}"
        for one in found
    ]


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """An array of the dtype that an estimator wants is taken as it is."""
    assert loud(statement) == []


def test_the_view_is_one() -> None:
    """What is said of a frame is true of memory: the estimator sees the frame's own elements."""
    import pandas as pd

    frame = pd.DataFrame(np.arange(6000.0).reshape(1000, 6))
    assert np.shares_memory(validation.check_array(frame), frame.to_numpy())
    assert not np.shares_memory(validation.check_array(frame, dtype="f4"), frame.to_numpy())


def test_functions_are_the_library_s_own_again() -> None:
    """What was replaced is put back, and nobody took it by name meanwhile."""
    before = validation._asarray_with_order
    tensortoll.run_source(START + "line.fit(df, y)", "case.py", memory=False, time=False)
    assert validation._asarray_with_order is before
