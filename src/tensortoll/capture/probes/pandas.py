"""pandas: the cell's own expressions. Nothing is hooked; see `capture.rewriting.rewriter`.

Not seen: conversions inside of pandas (a frame's columns that are put together for an operation),
frames that NumPy's functions read on the way to a result, rows that are iterated over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, Final

from tensortoll.capture.arrays.seen import Part, Seen, UnknownLayoutError, joined
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.probes.numpy import describe_array
from tensortoll.capture.probes.pyarrow import part_of_chunks
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.columns import Indexer, Slot
from tensortoll.capture.runtime.expressions import RUNNING, Describe

MAKERS: Final = "DataFrame Series Index array from_dict from_records".split()
METHODS: Final = (
    "to_numpy to_records to_dict to_list to_xarray convert_dtypes infer_objects "
    "astype copy tolist item"
).split()


class PandasProbe(DescribedProbe):
    """Watches pandas."""

    library = "pandas"
    explicit = frozenset((*MAKERS, *METHODS, "values", "insert", "assign"))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        attributes={"values": "convert"},
        functions={
            **{f"pandas.{name}": "gather" for name in ("DataFrame", "Series", "Index", "array")},
            **{f"pandas.DataFrame.{name}": "gather" for name in ("from_dict", "from_records")},
        },
        keyed=frozenset(("pandas",)),
        rarely={"pandas": Rewrites(methods=dict.fromkeys(("insert", "assign"), "name"))},
    )

    def install(self, context: Context) -> None:
        """Make frames, their columns and indexes known to the rewritten expressions."""
        import pandas as pd

        super().install(context)
        frame = pd.DataFrame()
        RUNNING.columns.update(
            {
                pd.DataFrame: Indexer(_itself, _in_frame),
                pd.Series: Indexer(_itself, _in_column),
                type(frame.loc): Indexer(_OBJECT, _by_label),
                type(frame.iloc): Indexer(_OBJECT, _by_position),
            }
        )

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
    blocks = [(list(_parts(values)), _width(values)) for values in arrays]
    parts = [part for found, _ in blocks for part in found]
    counts = Counter[str]()
    for found, width in blocks:
        counts[found[0].dtype] += width
    seen = joined("pandas", parts, frame.shape, id(frame))
    return seen._replace(columns=frozenset(counts.items()))


def _width(values: Any) -> int:
    """Return how many columns a block holds."""
    return len(values) if values.ndim > 1 else 1


def describe_named(frame: Any, name: str) -> Seen | None:
    """Return the column of a frame with this name; None where there are several, or none."""
    if name not in frame.columns:
        return None
    number = frame.columns.get_loc(name)
    return _numbered(frame, number) if type(number) is int else None


def _numbered(frame: Any, number: int) -> Seen | None:
    """Return a frame's column in numbers."""
    count = frame.shape[1]
    if not -count <= number < count:
        return None
    values = frame._mgr.iget_values(number % count)
    found = describe_column(values)
    return found._replace(kind=found.kind._replace(library="pandas"))


def _itself(table: Any) -> Any:
    return table


_OBJECT: Final = attrgetter("obj")


def _in_frame(frame: Any, index: Any) -> Slot | None:  # noqa: ARG001 - as all others
    return _named(index)


def _in_column(column: Any, index: Any) -> Slot | None:
    rows = _rows(index, len(column), positions=False)
    return None if rows == _NOT_KNOWN else Slot(describe_column, rows)


def _by_label(table: Any, index: Any) -> Slot | None:
    labels = table.index
    if table.ndim == 1:
        found = _rows(_positions(labels, index), len(labels), positions=False)
        return None if found == _NOT_KNOWN else Slot(describe_column, found)
    rows, column = index if type(index) is tuple and len(index) == table.ndim else (None, None)
    found = _rows(_positions(labels, rows), len(labels), positions=False)
    slot = None if found == _NOT_KNOWN else _named(column)
    return None if slot is None else slot._replace(items=found)


def _positions(labels: Any, index: Any) -> Any:
    """Return the rows that a slice of labels selects, as pandas says; anything else as it is.

    None where pandas refuses it, or where comparing labels could run code of the user's own.
    """
    import pandas as pd

    if type(index) is not slice or index == slice(None):
        return index
    if type(labels) is not pd.RangeIndex and labels.dtype.kind not in "iufmM":
        return None
    ends = (index.start, index.stop, index.step)
    if any(type(end).__module__.partition(".")[0] not in _LABELS for end in ends):
        return None
    try:
        found = labels.slice_indexer(*ends)
    except (KeyError, TypeError, ValueError):
        return None
    if type(found) is not slice:
        return None
    return slice(*(one and int(one) for one in (found.start, found.stop, found.step)))


def _by_position(table: Any, index: Any) -> Slot | None:
    if table.ndim == 1:
        found = _rows(index, len(table), positions=True)
        return None if found == _NOT_KNOWN else Slot(describe_column, found)
    if type(index) is not tuple or len(index) != table.ndim or type(index[1]) is not int:
        return None
    rows, number = index
    found = _rows(rows, len(table), positions=True)
    return None if found == _NOT_KNOWN else Slot(partial(_numbered, number=number), found)


def _named(name: Any) -> Slot | None:
    if type(name) is list and name and {*map(type, name)} == {str}:
        return Slot(partial(_describe_several, names=tuple(name)), several=True)
    return Slot(partial(describe_named, name=name)) if type(name) is str else None


def _describe_several(frame: Any, names: tuple[str, ...]) -> Seen | None:
    """Return the columns of these names as one; None where one is missing or lies in pieces."""
    found = [describe_named(frame, name) for name in names]
    columns = [one for one in found if one is not None and one.span is not None]
    if len(columns) < len(names):
        return None
    parts = [Part(one.kind.dtype, one.memory, one.nbytes) for one in columns]
    return joined("pandas", parts, (len(frame), len(names)), id(frame))


_NOT_KNOWN: Final = -1
_LABELS: Final = frozenset(("builtins", "datetime", "numpy", "pandas"))
"""Whose objects may be labels that can be compared without running code of the user's own."""


def _rows(index: Any, length: int, *, positions: bool) -> int | None:
    """Return how many rows an index selects; None for all, `_NOT_KNOWN` for labels."""
    import numpy as np

    if type(index) is slice:
        if index == slice(None):
            return None
        ends = (index.start, index.stop, index.step)
        plain = all(end is None or type(end) is int for end in ends)
        return len(range(*index.indices(length))) if plain else _NOT_KNOWN
    if type(index) is list and {*map(type, index)} == {int} and positions:
        return len(index)
    values = getattr(index, "_values", index)
    if type(values) is not np.ndarray or values.ndim != 1:
        return _NOT_KNOWN
    if values.dtype.kind == "b":
        return int(np.count_nonzero(values))
    return len(values) if positions and values.dtype.kind in "iu" else _NOT_KNOWN


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
