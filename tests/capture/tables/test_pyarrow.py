"""PyArrow: arrays are shared with NumPy until there are nulls, chunks, bits or text."""

from __future__ import annotations

from typing import Any

START = """
import numpy as np, pandas as pd, pyarrow as pa
n = 1000; c = np.arange(1000.0); i = np.arange(n); lists = [1.0] * n
a = pa.array(c); whole = pa.array(i); one = pa.chunked_array([a])
two = pa.chunked_array([a, pa.array(c.copy())])
holes = pa.array([1.0, None] * 500); text = pa.array(["abc"] * n); b = pa.array(c > 5)
t = pa.table({"a": a, "b": whole}); df = pd.DataFrame({"a": c, "b": c})
group = text.dictionary_encode()
buffer = a.buffers()[1]
"""
TABLE = """
pa.array(c) | c | view | 0 0 | numpy:float64 pyarrow:float64
pa.array(c[::2]) | c | copy layout | 4000 4000 | numpy:float64 pyarrow:float64
pa.array(c, type=pa.float32()) | c | copy cast | 8000 4000 | numpy:float64 pyarrow:float32
pa.array(c > 5) | c > 5 | copy | 1000 125 | numpy:bool pyarrow:bool
pa.array(lists) | lists | copy parse | 0 8000 | python:object pyarrow:float64
pa.array(df["a"]) | df | view | 0 0 | pandas:float64 pyarrow:float64
pa.chunked_array([c, c]) | c | view | 0 0 | numpy:float64 pyarrow:float64
pa.table({"a": c, "b": i}) | [c, i] | view | 0 0 | numpy:mixed pyarrow:mixed
pa.Table.from_pandas(df) | df | view | 0 0 | pandas:float64 pyarrow:float64
pa.RecordBatch.from_pandas(df) | df | view | 0 0 | pandas:float64 pyarrow:float64
pa.Table.from_arrays([c, i], names=["a", "b"]) | [c, i] | view | 0 0 | numpy:mixed pyarrow:mixed
a.to_numpy() | a | view | 0 0 | pyarrow:float64 numpy:float64
np.asarray(a) | a | view | 0 0 | pyarrow:float64 numpy:float64
np.array(a) | a | copy | 8000 8000 | pyarrow:float64 numpy:float64
a.slice(5, 100).to_numpy() | a | view | 0 0 | pyarrow:float64 numpy:float64
one.to_numpy() | one | view | 0 0 | pyarrow:float64 numpy:float64
two.to_numpy() | two | copy | 16000 16000 | pyarrow:float64 numpy:float64
holes.to_numpy(zero_copy_only=False) | holes | copy | 8000 8000 | pyarrow:float64 numpy:float64
text.to_numpy(zero_copy_only=False) | text | copy cast | 7004 8000 | pyarrow:str numpy:object
b.to_numpy(zero_copy_only=False) | b | copy | 125 1000 | pyarrow:bool numpy:bool
np.from_dlpack(a) | a | view | 0 0 | pyarrow:float64 numpy:float64
np.frombuffer(buffer) | buffer | view | 0 0 | pyarrow:uint8 numpy:float64
a.to_pandas() | a | view | 0 0 | pyarrow:float64 pandas:float64
two.to_pandas() | two | copy | 16000 16000 | pyarrow:float64 pandas:float64
text.to_pandas() | text | copy | 4004 8008 | pyarrow:str pandas:str
group.to_pandas() | group | copy | 4000 1000 | pyarrow:category pandas:category
t.to_pandas() | t | copy | 16000 16000 | pyarrow:mixed pandas:mixed
t.to_pandas(split_blocks=True) | t | view | 0 0 | pyarrow:mixed pandas:mixed
t.to_pandas(types_mapper=pd.ArrowDtype) | t | view | 0 0 | pyarrow:mixed pandas:mixed
t.column("a").to_numpy() | t | view | 0 0 | pyarrow:float64 numpy:float64
a.cast(pa.float32()) | a | copy cast | 8000 4000 | pyarrow:float64 pyarrow:float32
t.to_pydict() | t | copy unbox | 16000 0 | pyarrow:mixed python:mixed
a.to_pylist() | a | copy unbox | 8000 0 | pyarrow:float64 python:float64
whole.tolist() | whole | copy unbox | 8000 0 | pyarrow:int64 python:int64
"""
SILENT = """
a.slice(5, 100); t.slice(1); t.select(["a"]); t.filter(pa.compute.greater(t["a"], 5))
t.sort_by("a"); t.take([1, 2])
t.group_by("a").aggregate([("b", "sum")]); pa.concat_tables([t, t]); t.combine_chunks()
t.append_column("c", a); t.rename_columns(["x", "y"])
pa.table({"a": a}); pa.chunked_array([a, a]); a.cast(pa.float64()); t.column("a").chunk(0)
t.to_batches(); a.view(pa.int64())
pa.compute.sum(a); pa.compute.add(a, a); a[0].as_py(); repr(t); t.schema; a.type; len(a)
a.equals(a); t.nbytes; pa.array([])
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []
