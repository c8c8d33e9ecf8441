"""CuPy: what crosses to the device and back.

On a machine without a GPU, a stand-in plays the part: arrays in host memory that say that they are
on a device, with the attributes and functions that CuPy's documentation names. The rows that need
the real library run where it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

STAND_IN = """
import numpy as _np

class _Device:
    id = 0

class _Pointer:
    def __init__(self, ptr): self.ptr = ptr

class ndarray:
    def __init__(self, held):
        self._held = held
        self.dtype, self.shape, self.strides = held.dtype, held.shape, held.strides
        self.nbytes, self.itemsize, self.device = held.nbytes, held.itemsize, _Device()
        self.data = _Pointer(held.ctypes.data)
    def get(self): return self._held.copy()
    def set(self, array): self._held[...] = array
    def astype(self, dtype): return ndarray(self._held.astype(dtype))
    def copy(self): return ndarray(self._held.copy())
    def tolist(self): return self._held.tolist()
    def __getitem__(self, index): return ndarray(self._held[index])
    def __array__(self, *_, **__): raise TypeError("Implicit conversion; use `.get()`.")

def asarray(a): return a if isinstance(a, ndarray) else ndarray(_np.array(a))
def array(a): return ndarray(_np.array(a._held if isinstance(a, ndarray) else a))
def asnumpy(a): return a.get()
"""
ROWS = {
    "cp.asarray(x)": "copy h2d numpy:float64@cpu cupy:float64@cuda:0 8000",
    "cp.array(x)": "copy h2d numpy:float64@cpu cupy:float64@cuda:0 8000",
    "cp.asarray(lists)": "copy h2d parse python:object@cpu cupy:float64@cuda:0 8000",
    "cp.asnumpy(d)": "copy d2h cupy:float64@cuda:0 numpy:float64@cpu 8000",
    "d.get()": "copy d2h cupy:float64@cuda:0 numpy:float64@cpu 8000",
    "d.astype('float32')": "copy cast cupy:float64@cuda:0 cupy:float32@cuda:0 4000",
    "d.copy()": "copy cupy:float64@cuda:0 cupy:float64@cuda:0 8000",
    "d.tolist()": "copy d2h unbox cupy:float64@cuda:0 python:float64@cpu 0",
    "d.set(x)": "copy h2d numpy:float64@cpu cupy:float64@cuda:0 8000",
    "cp.asarray(d)": "",
    "d[10:]": "",
    "{'a': 1}.get('a')": "",
}
CODE = """
import numpy as np
import cupy as cp
import tensortoll
names = {{"np": np, "cp": cp, "x": np.arange(1000.0), "lists": [1.0] * 1000}}
names["d"] = cp.asarray(names["x"])
recording = tensortoll.run_source({text!r}, "case.py", names)
assert recording.faults == (), recording.faults
for one in recording.conversions:
    route = one.route
    kinds = (f"{{k.library}}:{{k.dtype}}@{{k.device}}" for k in (route.origin, route.target))
    print(route.outcome, *route.effects, *kinds, one.totals.bytes_written)
"""


def told(text: str, *folders: Path) -> str:
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    code = CODE.format(text=text)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


@pytest.mark.parametrize("text", ROWS)
def test_the_documented_ways_in_and_out_are_counted(text: str, tmp_path: Path) -> None:
    """A transfer has a direction; what stays where it is is silent."""
    (tmp_path / "cupy.py").write_text(STAND_IN, encoding="utf-8")
    assert told(text, tmp_path) == ROWS[text]


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed: it needs a GPU")
@pytest.mark.parametrize("text", ROWS)
def test_the_real_library_is_counted_alike(text: str) -> None:
    """What the stand-in plays is true of CuPy."""
    assert told(text) == ROWS[text]
