"""Arrays, lists and plain values in numbers and strings: what a trial needs to make their like."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, NamedTuple

MOST_ELEMENTS: Final = 2_000
"""Elements of a list that are looked at; the rest is taken to be like them."""
MOST_NESTED: Final = 6
MOST_COLUMNS: Final = 200
SAMPLE_ELEMENTS: Final = 4_096
"""An array's print is taken from all of its elements up to here, beyond from as many of them."""
BORDER: Final = 64
"""Bytes: where TensorFlow and JAX want an array to begin."""


class Held(NamedTuple):
    """An array in numbers."""

    library: str
    dtype: str
    """NumPy's name, with the byte order where it is a foreign one: `float32`, `>f4`."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Bytes."""
    alignment: int
    """Address modulo `BORDER`."""
    address: int
    writable: bool
    device: str = "cpu"
    print: int = 0
    """Differs where the elements differ, as far as they were looked at; 0 where they were not."""
    class_name: str = ""
    """Of a class that is not the library's own array: `Parameter`, `matrix`."""
    low: float = 0.0
    high: float = 0.0
    """Range of the elements of an ndarray, as far as they were looked at."""
    whole: bool = True
    """Whether these were whole numbers."""

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _itemsize(self.dtype)


class Listed(NamedTuple):
    """A list or tuple in numbers."""

    kind: str
    lengths: tuple[int, ...]
    """Of itself and of what is nested in it; all that were looked at agree."""
    element: str
    """Type of the innermost elements: `float`; empty where they are of several."""
    array: Held | None = None
    """What the elements are, where they are arrays that are alike."""
    low: float = 0.0
    high: float = 0.0
    """Range of the numbers, as far as they were looked at."""


class Framed(NamedTuple):
    """A table of pandas' in numbers and strings."""

    labels: tuple[str | int, ...]
    dtypes: tuple[str, ...]
    """Names, as pandas knows them: `float32`, `Int64`, `object`."""
    elements: tuple[str, ...]
    """Of each column of objects the type of its elements; empty where they are of several."""
    rows: int


class Plain(NamedTuple):
    """A number, a text, a dtype: something that can be kept as it is."""

    value: object


Fact = Held | Listed | Framed | Plain


def fact_of(value: Any) -> Fact | None:
    """Return what can be told of a value in numbers and strings; None for nothing."""
    kind = type(value)
    if kind in (int, float, bool, complex, str, type(None)):
        return Plain(value)
    if kind in (list, tuple):
        return _listed(value)
    library = kind.__module__.partition(".")[0]
    look = {
        "numpy": _of_numpy,
        "torch": _of_torch,
        "tensorflow": _of_tensorflow,
        "PIL": _of_image,
        "pandas": _of_table,
    }
    return look[library](value) if library in look else None


def _of_numpy(value: Any) -> Fact | None:
    import numpy as np

    if isinstance(value, np.dtype):
        return Plain(value)
    if not isinstance(value, np.ndarray):
        return None
    array: Any = np.ndarray.view(value, np.ndarray)  # a subclass's own may be any code
    dtype = array.dtype
    address = array.__array_interface__["data"][0]
    native = dtype.isnative or dtype.kind not in "iufc"
    return Held(
        "numpy",
        dtype.name if native and dtype.kind in "biufc" else dtype.str,
        array.shape,
        array.strides,
        address % BORDER,
        address,
        bool(array.flags.writeable),
        class_name="" if type(value) is np.ndarray else type(value).__name__,
        **_looked_into(array),
    )


def _looked_into(array: Any) -> dict[str, Any]:
    """Return what some of an array's elements tell."""
    import numpy as np

    kind, size = array.dtype.kind, array.size
    if kind not in "biufc" or not size:
        return {}
    if size > SAMPLE_ELEMENTS:
        array = array.flat[np.linspace(0, size - 1, SAMPLE_ELEMENTS, dtype=np.intp)]
    found: dict[str, Any] = {"print": hash(array.tobytes())}
    if kind in "iuf":
        finite = array[np.isfinite(array)] if kind == "f" else array
        if finite.size:
            found.update(low=float(finite.min()), high=float(finite.max()))
            found.update(whole=kind != "f" or bool((finite == np.trunc(finite)).all()))
    return found


def _of_torch(value: Any) -> Fact | None:
    import torch

    if isinstance(value, torch.dtype | torch.device):
        return Plain(value)
    own = type(value)
    plain = own in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided
    plain = plain and not value.is_nested
    if not plain or torch._C._functorch.is_functorch_wrapped_tensor(value):
        return None
    size = value.element_size()
    try:
        address = torch._C._data_address(value) + value.storage_offset() * size
    except (RuntimeError, NotImplementedError):  # wrapped by a transform: there is no memory
        return None
    device = value.device
    return Held(
        "torch",
        str(value.dtype).removeprefix("torch."),
        tuple(value.shape),
        tuple(step * size for step in value.stride()),
        address % BORDER,
        address,
        writable=True,
        device=str(device),
        print=0 if value.is_inference() else value._version,  # which such tensors do not count
        class_name="" if own is torch.Tensor else own.__name__,
    )


def _of_tensorflow(value: Any) -> Fact | None:
    from tensorflow.python.framework import dtypes, ops

    if isinstance(value, dtypes.DType):
        return Plain(value)
    variable = type(value).__name__ == "ResourceVariable"
    if not isinstance(value, ops.EagerTensor) and not variable:
        return None
    shape = tuple(value.shape)
    if None in shape:
        return None
    name = value.dtype.name
    return Held(
        "tensorflow",
        name,
        shape,
        c_strides(shape, _itemsize(name)),
        0,
        0,
        writable=variable,
        print=0,
        class_name="Variable" if variable else "",
    )


def _of_image(value: Any) -> Fact | None:
    mode = getattr(value, "mode", "")
    if mode not in {"L", "RGB", "RGBA"}:
        return None
    bands = len(mode)
    shape = (value.height, value.width, *((bands,) if bands > 1 else ()))
    return Held("PIL", mode, shape, c_strides(shape, 1), 0, 0, writable=False)


def _of_table(value: Any) -> Fact | None:
    """Return a table's columns, read from its blocks: nothing is converted to look at them."""
    blocks = getattr(getattr(value, "_mgr", None), "blocks", ())
    if type(value).__name__ != "DataFrame" or not blocks or len(value.columns) > MOST_COLUMNS:
        return None
    labels = value.columns.tolist()
    if any(type(one) not in (str, int) for one in labels) or len(set(labels)) != len(labels):
        return None
    dtypes, elements = [""] * len(labels), [""] * len(labels)
    for block in blocks:
        if type(block.dtype).__module__.partition(".")[0] not in {"numpy", "pandas"}:
            return None
        for number, column in enumerate(block.mgr_locs.as_array.tolist()):
            dtypes[column] = block.dtype.name
            if dtypes[column] == "object":
                kinds = {type(one).__name__ for one in block.values[number][:MOST_ELEMENTS]}
                elements[column] = kinds.pop() if len(kinds) == 1 else ""
    return Framed(tuple(labels), tuple(dtypes), tuple(elements), len(value))


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the bytes from one element to the next along each axis, in C order."""
    steps: list[int] = []
    step = itemsize
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))


def _itemsize(dtype: str) -> int:
    if dtype in {"L", "RGB", "RGBA", "bool"}:
        return 1
    digits = "".join(one for one in dtype.split("_", maxsplit=1)[0] if one.isdigit())
    number = int(digits or 8)
    if not dtype[:1].isalpha():  # `>f4`, where the bytes themselves are told
        return number
    return max(number // 8, 1)


def _listed(value: list[Any] | tuple[Any, ...]) -> Fact | None:
    """Return a sequence in numbers; None where what was looked at is not all of one form."""
    lengths: list[int] = []
    level: list[Any] = [value]
    while level and all(type(one) in (list, tuple) for one in level):
        length = len(level[0])
        if len(lengths) == MOST_NESTED or any(len(one) != length for one in level):
            return None
        lengths.append(length)
        level = list(itertools.islice(itertools.chain.from_iterable(level), MOST_ELEMENTS))
    if not level:
        return None
    kinds = {type(one) for one in level}
    name = kinds.pop().__name__ if len(kinds) == 1 else ""
    numbers = name in {"int", "float"}
    if numbers or name in {"bool", "str", ""}:
        low, high = (min(level), max(level)) if numbers else (0, 0)
        return Listed(type(value).__name__, tuple(lengths), name, None, low, high)
    first = fact_of(level[0])
    if not isinstance(first, Held):
        return None
    rest = (fact_of(one) for one in level[1:])
    if all(isinstance(one, Held) and _alike(one, first) for one in rest):
        return Listed(type(value).__name__, tuple(lengths), name, first)
    return None


def _alike(one: Held, other: Held) -> bool:
    return one[:3] == other[:3] and one.device == other.device
