"""What torch borrows of other libraries and of Python's own objects, and what it walks through."""

from __future__ import annotations

from typing import Any

START = """
import array
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import tensorflow as tf
import torch
j = jnp.arange(2000.0); c = tf.range(2000.0); p = pa.array(np.arange(2000.0))
s = pd.Series(np.arange(2000.0)); q = pl.Series(np.arange(2000.0))
raw = bytearray(8000); numbers = array.array("d", range(1000)); t = torch.ones(1)
"""
TABLE = """
torch.tensor(j) | j | copy | 8000 8000 | jax:float32 torch:float32
torch.tensor(j, dtype=torch.float64) | j | copy cast | 8000 16000 | jax:float32 torch:float64
torch.as_tensor(j) | j | view | 0 0 | jax:float32 torch:float32
torch.as_tensor(j, dtype=torch.float64) | j | copy cast | 8000 16000 | jax:float32 torch:float64
torch.asarray(j) | j | view | 0 0 | jax:float32 torch:float32
torch.asarray(j, copy=True) | j | copy | 8000 8000 | jax:float32 torch:float32
torch.from_dlpack(j) | j | view | 0 0 | jax:float32 torch:float32
t.new_tensor(j) | j | copy | 8000 8000 | jax:float32 torch:float32
torch.tensor(c) | c | copy | 8000 8000 | tensorflow:float32 torch:float32
torch.asarray(c) | c | view | 0 0 | tensorflow:float32 torch:float32
torch.tensor(p) | p | copy | 16000 16000 | pyarrow:float64 torch:float64
torch.as_tensor(p) | p | view | 0 0 | pyarrow:float64 torch:float64
torch.tensor(s) | s | copy parse | 0 16000 | pandas:float64 torch:float64
torch.as_tensor(s) | s | copy parse | 0 16000 | pandas:float64 torch:float64
torch.tensor(s, dtype=torch.float32) | s | copy cast parse | 0 8000 | pandas:float64 torch:float32
torch.tensor(q) | q | copy cast parse | 0 8000 | polars:float64 torch:float32
torch.asarray(raw) | raw | view | 0 0 | python:float32 torch:float32
torch.asarray(raw, copy=True) | raw | copy | 8000 8000 | python:float32 torch:float32
torch.asarray(memoryview(raw)) | raw | view | 0 0 | python:float32 torch:float32
torch.asarray(numbers, dtype=torch.float64) | numbers | view | 0 0 | python:float64 torch:float64
torch.as_tensor(numbers) | numbers | copy cast parse | 0 4000 | python:float64 torch:float32
torch.frombuffer(numbers, dtype=torch.float64) | numbers | view | 0 0 | python:float64 torch:float64
torch.frombuffer(raw, dtype=torch.int16) | raw | view | 0 0 | python:int16 torch:int16
np.frombuffer(raw) | raw | view | 0 0 | python:uint8 numpy:float64
np.frombuffer(numbers) | numbers | view | 0 0 | python:float64 numpy:float64
np.asarray(numbers) | numbers | view | 0 0 | python:float64 numpy:float64
np.array(numbers) | numbers | copy | 8000 8000 | python:float64 numpy:float64
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """A copy of what was borrowed is one copy, of what was lent; a view is a view of that."""
    holds(row)


def test_one_place_tells_libraries_apart(loud: Any) -> None:
    """The same call may be given a tensor, an array and a capsule in turn."""
    found = loud("for one in (j, torch.ones(2000), j, raw): torch.asarray(one, copy=True)")
    assert {(totals.count, totals.copies, totals.bytes_written) for _, _, totals in found} == {
        (2, 2, 16000),
        (1, 1, 8000),
    }
    assert [outcome for _, outcome, _ in found] == ["copy"] * 3
