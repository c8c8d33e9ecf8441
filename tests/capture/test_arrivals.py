"""Libraries that the text imports itself, in the middle and by any road, are watched from there."""

from __future__ import annotations

import subprocess
import sys

import pytest

TEXTS = {
    "from pandas import DataFrame as T\nT(x).to_numpy(copy=True)": ["numpy pandas", "pandas numpy"],
    "import pyarrow as pa\npa.array(x[0]).to_pylist()": ["numpy pyarrow", "pyarrow python"],
    "def later():\n    import polars\n    return polars.Series('s', x[0])\nlater().to_list()": [
        "numpy polars",
        "polars python",
    ],
    "from PIL import Image\nImage.fromarray(x.astype('u1')).tobytes()": [
        "PIL python",
        "numpy PIL",
        "numpy numpy",
    ],
    "import scipy.sparse\nscipy.sparse.csr_array(x).toarray()": ["numpy scipy", "scipy numpy"],
    "from scipy import sparse\nsparse.csr_array(x).toarray()": ["numpy scipy", "scipy numpy"],
    "import xarray as xr\nxr.DataArray(x).values": ["numpy xarray", "xarray numpy"],
    "import importlib\npd = importlib.import_module('pandas')\npd.DataFrame(x).copy().values": [
        "pandas numpy",
        "pandas pandas",
    ],
    "import importlib\nimportlib.util.find_spec('pandas')\nimport pandas as pd\n"
    "pd.Series(x[0]).tolist()": [
        "numpy pandas",
        "pandas python",
    ],
    "from sklearn.tree import DecisionTreeRegressor as T\nT(max_depth=1).fit(x, x[:, 0])": [
        "numpy numpy"
    ],
}
CODE = """
import sys
import tensortoll
start = "import numpy as np; x = np.arange(6400.0).reshape(80, 80)\\n"
assert not any(name in sys.modules for name in ("pandas", "polars", "PIL", "scipy", "xarray"))
recording = tensortoll.run_source(start + {text!r})
assert recording.faults == (), recording.faults
for one in recording.conversions:
    print(one.route.origin.library, one.route.target.library)
"""


@pytest.mark.parametrize("text", TEXTS)
def test_a_library_that_arrives_in_the_middle_is_seen(text: str) -> None:
    """Whatever was not imported before is known as soon as it is there."""
    code = CODE.format(text=text)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) == set(TEXTS[text])
