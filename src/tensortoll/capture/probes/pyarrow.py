"""PyArrow: the cell's own expressions. Its classes are C code that nothing can be hooked into.

Not seen: what other libraries do with Arrow data on their way (readers of files, queries).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensortoll.capture.arrays.arrow import exported_array, exported_stream
from tensortoll.capture.arrays.seen import Part, Seen, joined
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import Describe
from tensortoll.model import Span

MAKERS: Final = "array chunked_array table record_batch".split()
CLASS_MAKERS: Final = {
    "Array": ("from_pandas",),
    "Table": ("from_pandas", "from_arrays", "from_pydict", "from_pylist"),
    "RecordBatch": ("from_pandas", "from_arrays", "from_pydict", "from_pylist"),
}
METHODS: Final = "to_numpy to_pandas to_pylist to_pydict tolist cast".split()


class PyarrowProbe(DescribedProbe):
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

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how arrays, chunked arrays and tables are described."""
        import pyarrow as pa

        return {
            pa.Array: describe_array,
            pa.ChunkedArray: describe_chunks,
            pa.Table: describe_table,
            pa.RecordBatch: describe_batch,
            pa.Buffer: describe_buffer,
        }


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


def describe_buffer(buffer: Any) -> Seen:
    """Return bare memory in numbers."""
    span = Span(buffer.address, buffer.address + buffer.size)
    return joined("pyarrow", [Part("uint8", (span,), buffer.size)], (buffer.size,), id(buffer))
