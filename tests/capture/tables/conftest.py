"""Contract tables: what an expression converts, held against memory itself.

A module states `START`, a text that makes arrays, `TABLE`, one expression a line with what is true
of it, and `SILENT`, statements that convert nothing. Whether memory is shared is told here from the
libraries' own accessors, apart from the code that is tested.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensortoll
from tensortoll.model import Conversion


class Row(NamedTuple):
    expression: str
    source: str
    """What is converted, as an expression of its own."""
    outcome: str
    effects: str
    read: int
    written: int
    origin: str
    target: str


def rows(table: str) -> list[Row]:
    found = []
    for line in table.strip().splitlines():
        expression, source, outcome, numbers, kinds = (part.strip() for part in line.split(" | "))
        word, _, effects = outcome.partition(" ")
        read, written = numbers.split()
        origin, target = kinds.split()
        found.append(
            Row(expression, source, word, effects, int(read), int(written), origin, target)
        )
    return found


def pytest_generate_tests(metafunc: Any) -> None:
    if "row" in metafunc.fixturenames:
        found = rows(metafunc.module.TABLE)
        metafunc.parametrize("row", found, ids=[one.expression for one in found])
    if "statement" in metafunc.fixturenames:
        lines = [line for line in metafunc.module.SILENT.strip().splitlines() if line]
        metafunc.parametrize("statement", lines, ids=[line[:60] for line in lines])


Memory = list[tuple[int, int]]


def memory(value: Any) -> Memory:
    """Return where the elements of anything lie: first byte, and the first one after."""
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        return [piece for one in parts for piece in memory(one)]
    if isinstance(value, np.ndarray):
        return [np.lib.array_utils.byte_bounds(value)] if value.size else []
    if isinstance(value, bytes | bytearray | memoryview | array):
        return memory(np.frombuffer(value, np.uint8))
    if library in PARTS:
        return list(PARTS[library](value, name))
    return []


def of_torch(value: Any, name: str) -> Iterator[tuple[int, int]]:
    yield value.data_ptr(), value.data_ptr() + value.nbytes


def of_jaxlib(value: Any, name: str) -> Iterator[tuple[int, int]]:
    start = value.unsafe_buffer_pointer()
    yield start, start + value.nbytes


def of_tensorflow(value: Any, name: str) -> Iterator[tuple[int, int]]:
    yield from memory(np.frombuffer(memoryview(value), np.uint8))


def of_pandas(value: Any, name: str) -> Iterator[tuple[int, int]]:
    if name == "DataFrame":
        for number in range(value.shape[1]):
            yield from memory(value.iloc[:, number].array)
    elif name in {"Series", "Index", "DatetimeIndex"}:
        yield from memory(value.array)
    elif name == "Categorical":
        yield from memory(value.codes)
    elif name == "DatetimeArray":
        yield from memory(value.asi8)
    elif name.startswith("Arrow"):
        yield from memory(value.__arrow_array__())
    elif hasattr(value, "_mask"):
        yield from memory(value._data)
    else:
        yield from memory(np.asarray(value))


def of_pyarrow(value: Any, name: str) -> Iterator[tuple[int, int]]:
    if name in {"Table", "RecordBatch"}:
        for column in value.columns:
            yield from memory(column)
    elif name == "ChunkedArray":
        for chunk in value.chunks:
            yield from memory(chunk)
    elif name == "Buffer":
        yield value.address, value.address + value.size
    elif len(value):
        for number, buffer in enumerate(value.buffers()):
            if buffer is not None and number and buffer.size:
                yield buffer.address, buffer.address + buffer.size


def of_polars(value: Any, name: str) -> Iterator[tuple[int, int]]:
    import polars as pl
    import pyarrow as pa

    if name == "DataFrame":
        for column in value.get_columns():
            yield from memory(column)
    else:
        whole = value.to_physical() if value.dtype == pl.Categorical else value
        yield from memory(pa.chunked_array(whole))


def of_pillow(value: Any, name: str) -> Iterator[tuple[int, int]]:
    import pyarrow as pa

    try:
        yield from memory(pa.array(value))
    except ValueError:  # in several blocks
        return


def of_scipy(value: Any, name: str) -> Iterator[tuple[int, int]]:
    for part in ("data", "indices", "indptr", "row", "col", "offsets"):
        if part in vars(value) or part in {"row", "col"}:
            yield from memory(getattr(value, part, ()))


def of_xarray(value: Any, name: str) -> Iterator[tuple[int, int]]:
    if name == "Dataset":
        for one in value.data_vars.values():
            yield from memory(one)
    else:
        yield from memory(value.data)


PARTS = {
    "jaxlib": of_jaxlib,
    "tensorflow": of_tensorflow,
    "torch": of_torch,
    "pandas": of_pandas,
    "pyarrow": of_pyarrow,
    "polars": of_polars,
    "PIL": of_pillow,
    "scipy": of_scipy,
    "xarray": of_xarray,
}


def proven(source: Any, result: Any) -> tuple[str, int]:
    """Return whether the result shares its memory, and how many bytes of it are new."""
    before, after = memory(source), memory(result)
    new = [
        stop - start
        for start, stop in after
        if not any(start < other_stop and other < stop for other, other_stop in before)
    ]
    return ("copy" if new or not after else "view"), sum(new)


def on_the_last_line(start: str, text: str) -> list[Conversion]:
    recording = tensortoll.run_source(start + text, "case.py", memory=False, time=False)

    assert recording.faults == ()
    first = len(start.splitlines())
    return [one for one in recording.conversions if one.route.place.line > first]


@pytest.fixture
def holds(request: pytest.FixtureRequest) -> Any:
    """Return what holds a row of the table against what is recorded, and against memory."""
    start: str = request.module.START

    def check(row: Row) -> None:
        namespace: dict[str, Any] = {}
        exec(start, namespace)
        source, result = eval(f"({row.source}), ({row.expression})", namespace)
        outcome, new = proven(source, result)
        assert outcome == row.outcome
        if memory(result) and memory(source):
            assert abs(row.written - new) <= max(512, new // 100)

        found = on_the_last_line(start, row.expression)
        [one] = [one for one in found if one.route.place.expression == row.expression]

        route = one.route
        assert (route.outcome, " ".join(route.effects)) == (row.outcome, row.effects)
        assert (one.totals.bytes_read, one.totals.bytes_written) == (row.read, row.written)
        assert f"{route.origin.library}:{route.origin.dtype}" == row.origin
        assert f"{route.target.library}:{route.target.dtype}" == row.target
        assert one.totals.count == 1
        assert not route.implicit

    return check


@pytest.fixture
def loud(request: pytest.FixtureRequest) -> Any:
    """Return what lists the conversions that a statement after the module's `START` makes."""
    start: str = request.module.START
    return lambda text: [
        (one.route.place.expression, one.route.outcome, one.totals)
        for one in on_the_last_line(start, text)
    ]
