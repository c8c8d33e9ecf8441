"""xarray: an array with names for its axes is a view of the array."""

from __future__ import annotations

from typing import Any

START = """
import numpy as np, pandas as pd, xarray as xr
x = np.arange(3600.0).reshape(60, 60); a = xr.DataArray(x, dims=("x", "y"))
df = pd.DataFrame({"p": np.arange(1000.0)})
d = xr.Dataset({"a": (("x", "y"), x), "b": (("x", "y"), x.copy())})
line = xr.DataArray(np.arange(1000.0), dims="t")
lists = [1.0] * 1000
"""
TABLE = """
xr.DataArray(x) | x | view | 0 0 | numpy:float64 xarray:float64
xr.DataArray(data=x, dims=("x", "y")) | x | view | 0 0 | numpy:float64 xarray:float64
xr.Dataset({"a": (("x", "y"), x)}) | x | view | 0 0 | numpy:float64 xarray:float64
xr.Variable(("x", "y"), x) | x | view | 0 0 | numpy:float64 xarray:float64
xr.DataArray(lists) | lists | copy parse | 0 8000 | python:object xarray:float64
xr.DataArray(df["p"]) | df | view | 0 0 | pandas:float64 xarray:float64
df.to_xarray() | df | view | 0 0 | pandas:float64 xarray:float64
a.values | a | view | 0 0 | xarray:float64 numpy:float64
a.to_numpy() | a | view | 0 0 | xarray:float64 numpy:float64
np.asarray(a) | a | view | 0 0 | xarray:float64 numpy:float64
np.array(a) | a | copy | 28800 28800 | xarray:float64 numpy:float64
d["a"].values | d | view | 0 0 | xarray:float64 numpy:float64
a.to_pandas() | a | copy layout | 28800 28800 | xarray:float64 pandas:float64
line.to_series() | line | copy | 8000 8000 | xarray:float64 pandas:float64
a.astype("float32") | a | copy cast | 28800 14400 | xarray:float64 xarray:float32
d.astype("float32") | d | copy cast | 57600 28800 | xarray:float64 xarray:float32
a.copy() | a | copy | 28800 28800 | xarray:float64 xarray:float64
line.to_dict() | line | copy unbox | 8000 0 | xarray:float64 python:float64
"""
SILENT = """
a.mean(); a.isel(x=0); a.sel(x=slice(0, 5)); a + 1; a.T; a.transpose("y", "x"); d.mean()
a.rolling(x=3).mean(); a.where(a > 0)
xr.concat([a, a], "z"); a.groupby("x").mean(); np.sqrt(a); a.copy(deep=False); d.copy()
xr.Dataset({"a": a}); d["a"]; d.map(abs)
repr(a); a.dims; a.coords; a.attrs; d.sel(x=3); xr.merge([d, d]); a.rename("q")
a.expand_dims("z"); a.stack(z=("x", "y"))
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []


def test_what_was_not_computed_yet_is_left_so(loud: Any) -> None:
    """An index is no array in memory; nothing is said of it."""
    assert loud("line.assign_coords(t=np.arange(1000)).coords['t'].values") == []
