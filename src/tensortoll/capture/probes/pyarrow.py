"""PyArrow: the cell's own expressions. Its classes are C code that nothing can be hooked into.

Not seen: what other libraries do with Arrow data on their way (readers of files, queries).
"""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrow import exported_array, exported_stream
from tensortoll.capture.expressions import RUNNING
from tensortoll.capture.probes import Context
from tensortoll.capture.rewrites import Rewrites
from tensortoll.capture.seen import Part, Seen, joined

MAKERS: Final = "array scalar chunked_array table record_batch".split()
CLASS_MAKERS: Final = {
    "Array": ("from_pandas",),
    "Table": ("from_pandas", "from_arrays", "from_pydict", "from_pylist"),
    "RecordBatch": ("from_pandas", "from_arrays", "from_pydict", "from_pylist"),
    "Tensor": ("from_numpy",),
}
METHODS: Final = "to_numpy to_pandas to_pylist to_pydict tolist cast item as_py".split()


class PyarrowProbe:
    """Watches PyArrow."""

    library = "pyarrow"
    explicit = frozenset(
        (*MAKERS, *METHODS, *(name for names in CLASS_MAKERS.values() for name in names))
    )
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={
            **{f"pyarrow.{name}": "gather" for name in MAKERS},
            **{
                f"pyarrow.{owner}.{name}": "gather"
                for owner, names in CLASS_MAKERS.items()
                for name in names
            },
        },
    )

    def install(self, context: Context) -> None:  # noqa: ARG002 - nothing of PyArrow's is replaced
        """Make arrays, chunked arrays and tables known to the rewritten expressions."""
        import pyarrow as pa

        RUNNING.describers[pa.Array] = describe_array
        RUNNING.describers[pa.ChunkedArray] = describe_chunks
        RUNNING.describers[pa.Table] = describe_table
        RUNNING.describers[pa.RecordBatch] = describe_batch

    def describe(self, value: Any) -> Seen | None:
        """Return an array or a table in numbers."""
        return RUNNING.describe(value)


def describe_array(array: Any) -> Seen:
    """Return an Arrow array in numbers."""
    return joined("pyarrow", [part_of_array(array)], (len(array),), id(array))


def describe_chunks(chunked: Any) -> Seen:
    """Return a chunked array in numbers."""
    return joined("pyarrow", [part_of_chunks(chunked)], (len(chunked),), id(chunked))


def describe_table(table: Any) -> Seen:
    """Return a table in numbers."""
    parts = [part_of_chunks(column) for column in table.itercolumns()]
    return joined("pyarrow", parts, (table.num_rows, table.num_columns), id(table))


def describe_batch(batch: Any) -> Seen:
    """Return a record batch in numbers."""
    parts = [part_of_array(column) for column in batch.itercolumns()]
    return joined("pyarrow", parts, (batch.num_rows, batch.num_columns), id(batch))


def part_of_array(array: Any) -> Part:
    """Return where an Arrow array lies."""
    return exported_array(*array.__arrow_c_array__())


def part_of_chunks(chunked: Any) -> Part:
    """Return where a chunked array lies."""
    return exported_stream(chunked.__arrow_c_stream__())
