"""xarray: the cell's own expressions. Nothing is hooked.

Not seen: arrays that are computed or read only when asked for (dask, files); coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensortoll.capture.arrays.seen import Part, Seen, UnknownLayoutError, joined
from tensortoll.capture.probes import numpy
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import RUNNING, Describe

MAKERS: Final = "DataArray Dataset Variable".split()
CLASS_MAKERS: Final = (
    "DataArray.from_series",
    "DataArray.from_dict",
    "Dataset.from_dataframe",
    "Dataset.from_dict",
)
METHODS: Final = (
    "to_numpy to_pandas to_series to_dataframe to_dict to_dataset astype copy item"
).split()


class XarrayProbe(DescribedProbe):
    """Watches xarray."""

    library = "xarray"
    explicit = frozenset(
        (*MAKERS, *METHODS, *(name.partition(".")[2] for name in CLASS_MAKERS), "values")
    )
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        attributes={"values": "convert"},
        functions={f"xarray.{name}": "gather" for name in (*MAKERS, *CLASS_MAKERS)},
        positions={"xarray.Variable": 1},
    )

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how arrays and datasets are described."""
        import xarray as xr

        return {
            xr.DataArray: describe_array,
            xr.Variable: describe_variable,
            xr.Dataset: describe_dataset,
        }


def describe_array(array: Any) -> Seen:
    """Return an array in numbers, without its coordinates."""
    return _as_xarray(array.variable, array)


def describe_variable(variable: Any) -> Seen:
    """Return an array without coordinates in numbers."""
    return _as_xarray(variable, variable)


def describe_dataset(dataset: Any) -> Seen:
    """Return the data variables of a dataset in numbers."""
    seen = [describe_array(one) for one in dataset.data_vars.values()]
    parts = [Part(one.kind.dtype, one.memory, one.nbytes) for one in seen]
    shape = seen[0].shape if len(seen) == 1 else ()
    return joined("xarray", parts, shape, id(dataset))


def _as_xarray(variable: Any, owner: object) -> Seen:
    held = variable._data
    # Not `variable.data`, which would compute or read what is not there yet.
    seen = numpy.describe_array(held) if _is_array(held) else RUNNING.describe(held)
    if seen is None or not seen.memory:
        msg = f"an array held as {type(held).__name__}"
        raise UnknownLayoutError(msg)
    return seen._replace(kind=seen.kind._replace(library="xarray"), identity=id(owner))


def _is_array(value: object) -> bool:
    import numpy as np

    return isinstance(value, np.ndarray)
