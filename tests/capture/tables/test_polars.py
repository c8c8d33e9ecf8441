"""polars: columns are shared, whole frames and columns with nulls are not."""

from __future__ import annotations

from typing import Any

import polars as pl

import tensortoll

START = """
import numpy as np, pandas as pd, polars as pl, pyarrow as pa, torch
n = 1000; c = np.arange(1000.0); i = np.arange(n); x = np.arange(1500.0).reshape(500, 3)
lists = [1.0] * n
f = np.asfortranarray(x); pandas = pd.DataFrame({"a": c, "b": i}); arrow = pa.table({"a": c})
tensor = torch.rand(n)
s = pl.Series("s", c); holes = pl.Series([1.0, None] * 500); text = pl.Series(["abc"] * n)
b = pl.Series(c > 5)
df = pl.DataFrame({"a": c, "b": c.copy()}); mixed = pl.DataFrame({"a": c, "b": i, "s": ["q"] * n})
two = pl.concat([s, pl.Series("s", c.copy())], rechunk=False); group = text.cast(pl.Categorical)
numbers = mixed.select("a", "b")
days = pl.Series(pd.date_range("2020", periods=n))
"""
TABLE = """
pl.Series("price", c) | c | view | 0 0 | numpy:float64 polars:float64
pl.Series(c) | c | view | 0 0 | numpy:float64 polars:float64
pl.Series(name="price", values=c) | c | view | 0 0 | numpy:float64 polars:float64
pl.Series("price", c[::2]) | c | copy layout | 4000 4000 | numpy:float64 polars:float64
pl.Series("price", c, dtype=pl.Float32) | c | copy cast | 8000 4000 | numpy:float64 polars:float32
pl.Series("price", lists) | lists | copy parse | 0 8000 | python:object polars:float64
pl.Series(tensor) | tensor | view | 0 0 | torch:float32 polars:float32
pl.DataFrame({"a": c, "b": i}) | [c, i] | view | 0 0 | numpy:mixed polars:mixed
pl.DataFrame(x) | x | copy | 12000 12000 | numpy:float64 polars:float64
pl.from_numpy(f) | f | view | 0 0 | numpy:float64 polars:float64
pl.from_pandas(pandas) | pandas | view | 0 0 | pandas:mixed polars:mixed
pl.DataFrame(pandas) | pandas | view | 0 0 | pandas:mixed polars:mixed
pl.from_arrow(arrow) | arrow | view | 0 0 | pyarrow:float64 polars:float64
s.to_numpy() | s | view | 0 0 | polars:float64 numpy:float64
np.asarray(s) | s | view | 0 0 | polars:float64 numpy:float64
np.array(s) | s | copy | 8000 8000 | polars:float64 numpy:float64
s.to_numpy(writable=True) | s | copy | 8000 8000 | polars:float64 numpy:float64
holes.to_numpy() | holes | copy | 8000 8000 | polars:float64 numpy:float64
text.to_numpy() | text | copy cast | 16000 8000 | polars:str numpy:object
group.to_numpy() | group | copy cast | 4000 8000 | polars:category numpy:object
b.to_numpy() | b | copy | 125 1000 | polars:bool numpy:bool
two.to_numpy() | two | copy | 16000 16000 | polars:float64 numpy:float64
days.to_numpy() | days | view | 0 0 | polars:datetime64[us] numpy:datetime64[us]
df.to_numpy() | df | copy | 16000 16000 | polars:float64 numpy:float64
df["a"].to_numpy() | df | view | 0 0 | polars:float64 numpy:float64
mixed.to_numpy() | mixed | copy cast | 32000 24000 | polars:mixed numpy:object
s.to_torch() | s | copy | 8000 8000 | polars:float64 torch:float64
df.to_torch() | df | copy | 16000 16000 | polars:float64 torch:float64
numbers.to_torch(dtype=pl.Float32) | numbers | copy cast | 16000 8000 | polars:mixed torch:float32
df.to_torch("dict") | df | copy | 16000 16000 | polars:float64 torch:float64
s.to_pandas() | s | view | 0 0 | polars:float64 pandas:float64
df.to_pandas() | df | copy | 16000 16000 | polars:float64 pandas:float64
s.to_arrow() | s | view | 0 0 | polars:float64 pyarrow:float64
df.to_arrow() | df | view | 0 0 | polars:float64 pyarrow:float64
text.to_arrow() | text | copy | 16000 11008 | polars:str pyarrow:str
s.to_list() | s | copy unbox | 8000 0 | polars:float64 python:float64
df.rows() | df | copy unbox | 16000 0 | polars:float64 python:float64
df.to_dicts() | df | copy unbox | 16000 0 | polars:float64 python:float64
s.cast(pl.Float32) | s | copy cast | 8000 4000 | polars:float64 polars:float32
df.cast({"a": pl.Float32}) | df | copy cast | 8000 4000 | polars:float64 polars:mixed
"""
SILENT = """
df.filter(pl.col("a") > 3); df.select("a"); df.with_columns(pl.col("a").cast(pl.Float32))
df.lazy().filter(pl.col("a") > 1).collect()
df.group_by("a").agg(pl.col("b").sum()); df.join(df, on="a"); df + df; pl.concat([df, df])
df.sort("a"); df.head(); df.unique()
df["a"].sum(); s + 1; s.rename("z"); s.to_frame(); df.to_series(); df.clone()
s.cast(pl.Float64); df.to_dict(); df.get_column("a")
pl.DataFrame({"a": s}); pl.DataFrame(df); pl.Series(s); df.row(3); repr(df)
df.describe(); df.columns; pl.Series("e", [])
for r in df.iter_rows(): r
for k, g in mixed.group_by("s"): g.height
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []


def test_a_list_beside_an_array_is_parsed_and_the_array_shared(loud: Any) -> None:
    """Two things happen in one call, and each is said."""
    found = loud('pl.DataFrame({"a": c, "b": [1] * n})')
    assert [(outcome, totals.bytes_written) for _, outcome, totals in found] == [
        ("copy", 8000),
        ("view", 0),
    ]


def test_objects_and_nested_categories_are_passed_over(loud: Any) -> None:
    """Nothing is said of what polars can't hand out as it lies."""
    assert loud("pl.Series([object()] * 9).to_numpy()") == []
    assert loud("pl.Series([['a']] * n, dtype=pl.List(pl.Categorical)).to_numpy()") == []


def test_methods_are_the_library_s_own_again() -> None:
    """What was replaced to count tensors is put back."""
    before = pl.DataFrame.to_torch, pl.Series.to_jax
    tensortoll.run_source(START + "df.to_torch()", "case.py", memory=False, time=False)
    assert (pl.DataFrame.to_torch, pl.Series.to_jax) == before
