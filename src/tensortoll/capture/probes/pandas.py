"""pandas: the cell's own expressions. Nothing is hooked; see `capture.rewriting.rewriter`.

Not seen: conversions inside of pandas (a frame's columns that are put together for an operation),
frames that NumPy's functions read on the way to a result, rows that are iterated over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tensortoll.capture.arrays.seen import Part, Seen, UnknownLayoutError, joined
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.probes.numpy import describe_array
from tensortoll.capture.probes.pyarrow import part_of_chunks
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import RUNNING, Describe

MAKERS: Final = "DataFrame Series Index array from_dict from_records".split()
METHODS: Final = (
    "to_numpy to_records to_dict to_list to_xarray convert_dtypes infer_objects "
    "astype copy tolist item"
).split()


class PandasProbe(DescribedProbe):
    """Watches pandas."""

    library = "pandas"
    explicit = frozenset((*MAKERS, *METHODS, "values"))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        attributes={"values": "convert"},
        functions={
            **{f"pandas.{name}": "gather" for name in ("DataFrame", "Series", "Index", "array")},
            **{f"pandas.DataFrame.{name}": "gather" for name in ("from_dict", "from_records")},
        },
        keyed=frozenset(("pandas",)),
    )

    def install(self, context: Context) -> None:
        """Make frames, their columns and indexes known to the rewritten expressions."""
        import pandas as pd

        super().install(context)
        RUNNING.columns[pd.DataFrame] = describe_named

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how frames, their columns and indexes are described."""
        import pandas as pd

        return {
            pd.DataFrame: describe_frame,
            pd.Series: describe_column,
            pd.Index: describe_column,
            pd.api.extensions.ExtensionArray: describe_column,
            pd.RangeIndex: None,  # these two have no elements in memory
            pd.MultiIndex: None,
        }


def describe_frame(frame: Any) -> Seen:
    """Return a frame in numbers."""
    import numpy as np

    arrays = [block.values for block in frame._mgr.blocks]  # noqa: PD011 - of a block, as it lies
    if len(arrays) == 1 and type(arrays[0]) is np.ndarray:
        return _as_pandas(arrays[0].T, frame)
    parts = [part for values in arrays for part in _parts(values)]
    return joined("pandas", parts, frame.shape, id(frame))


def describe_named(frame: Any, name: str) -> Seen | None:
    """Return the column of a frame with this name; None where there are several, or none."""
    number = frame.columns.get_loc(name)
    return describe_column(frame._mgr.iget_values(number)) if type(number) is int else None


def describe_column(column: Any) -> Seen:
    """Return a column, an index or an array of pandas' own in numbers."""
    import numpy as np

    values = column if type(column) is np.ndarray else getattr(column, "_values", column)
    if type(values) is np.ndarray:
        return _as_pandas(values, column)
    return joined("pandas", list(_parts(values)), (len(values),), id(column))


def _as_pandas(values: Any, owner: object) -> Seen:
    seen = describe_array(values)
    return seen._replace(kind=seen.kind._replace(library="pandas"), identity=id(owner))


def _parts(values: Any) -> Iterator[Part]:
    """Yield where the elements of a block lie; masks, which say which are missing, are none."""
    import numpy as np

    if isinstance(values, np.ndarray):
        seen = describe_array(values)
        yield Part(seen.kind.dtype, seen.memory, seen.nbytes)
    elif hasattr(values, "_pa_array"):  # Arrow's
        yield part_of_chunks(values._pa_array)
    elif hasattr(values, "_mask"):  # nullable: `Int64`, `boolean`
        yield from _parts(values._data)
    elif hasattr(values, "_ndarray"):  # dates, categories, and all else that wraps an ndarray
        for part in _parts(values._ndarray):
            yield part._replace(dtype=_meant(values.dtype) or part.dtype)
    elif hasattr(values, "sp_values"):  # sparse
        yield from _parts(values.sp_values)
    elif hasattr(values, "_left"):  # intervals
        yield from _parts(values._left)
        yield from _parts(values._right)
    else:
        msg = f"a column of {type(values).__name__}"
        raise UnknownLayoutError(msg)


def _meant(dtype: Any) -> str | None:
    """Return what the numbers in an array stand for, where they stand for something else."""
    name = str(dtype)
    return {"str": "str", "string": "str", "category": "category"}.get(name)
