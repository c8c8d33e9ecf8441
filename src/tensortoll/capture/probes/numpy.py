"""NumPy: the cell's own expressions. Nothing is hooked; see `capture.rewriting.rewriter`.

Not seen: NumPy's methods called by code that was not compiled by tensortoll (libraries, cells
that were never watched), and functions passed on by reference, as in `map(np.asarray, rows)`.
"""

from __future__ import annotations

import array
from functools import cache
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.addresses import array_address
from tensortoll.capture.arrays.layouts import dtype_name, layout_of
from tensortoll.capture.arrays.seen import Seen, python_objects
from tensortoll.capture.probes import Context
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.model import Kind, Span

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SCALAR_TYPES: Final = (
    "bool_ bool byte ubyte short ushort intc uintc int_ uint long ulong longlong ulonglong "
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 intp uintp half single double longdouble "
    "float16 float32 float64 float96 float128 csingle cdouble clongdouble complex64 complex128 "
    "complex192 complex256"
).split()
MAKERS: Final = (
    "array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite asmatrix "
    "require copy matrix fromiter ravel reshape astype atleast_1d atleast_2d atleast_3d "
    "frombuffer from_dlpack"
).split()
METHODS: Final = "astype copy flatten ravel reshape tolist item tobytes byteswap".split()


_SEQUENCES: Final[tuple[Any, ...]] = (list, tuple, range)


class NumpyProbe:
    """Watches NumPy."""

    library = "numpy"
    explicit = frozenset((*MAKERS, *SCALAR_TYPES, *METHODS, "copyto", "[]=", "float", "int"))
    rewrites = Rewrites(
        methods={
            **dict.fromkeys(METHODS, "convert"),
            **dict.fromkeys(("flatten", "ravel", "reshape"), "reorder"),
            "byteswap": "swap",
            "__dlpack__": "export",
        },
        functions={
            **{f"numpy.{name}": "convert" for name in (*MAKERS, *SCALAR_TYPES)},
            **dict.fromkeys(("numpy.ravel", "numpy.reshape"), "reorder"),
            "numpy.fromiter": "walk",
            **dict.fromkeys(("numpy.ma.array", "numpy.ma.masked_array"), "convert"),
            "numpy.copyto": "into",
            "copy.copy": "convert",
            "copy.deepcopy": "convert",
        },
        readers=frozenset(("numpy",)),
    )

    def install(self, context: Context) -> None:  # noqa: ARG002 - nothing of NumPy's is replaced
        """Make arrays and Python's own containers known to the rewritten expressions."""
        import numpy as np

        RUNNING.describers[np.ndarray] = describe_array
        RUNNING.plain_array, RUNNING.address_of = np.ndarray, array_address()
        for kind in _SEQUENCES:
            RUNNING.describers[kind] = describe_sequence
        RUNNING.describers[GeneratorType] = describe_generator
        for kind in (bytes, bytearray, memoryview, array.array):
            RUNNING.describers[kind] = describe_buffer

    def describe(self, value: Any) -> Seen | None:
        """Return an ndarray in numbers."""
        import numpy as np

        return describe_array(value) if isinstance(value, np.ndarray) else None


@cache
def _plain() -> type[Array]:
    import numpy as np

    return np.ndarray


def describe_array(value: Array) -> Seen:
    """Return an ndarray in numbers."""
    plain = _plain()
    if type(value) is not plain:
        # A subclass may have a shape of its own making, and code that runs when it is asked.
        return describe_array(plain.view(value, plain))._replace(identity=id(value))
    layout = layout_of(value.dtype, value.shape, value.strides)
    return layout.seen(array_address()(value), id(value))


def describe_sequence(value: list[Any] | tuple[Any, ...] | range) -> Seen | None:
    """Return a sequence of Python objects; of its elements nothing is known without a walk."""
    # Not `len`, which a subclass may answer by itself.
    length = next(kind.__len__(value) for kind in _SEQUENCES if isinstance(value, kind))
    return python_objects((length,), id(value))


def describe_generator(value: Any) -> Seen:
    """Return an iterator over Python objects, of which nothing is known."""
    return python_objects((), id(value))


def describe_buffer(value: Any) -> Seen | None:
    """Return an object that lends its memory to NumPy; None where NumPy can't take it."""
    import numpy as np

    try:
        view = memoryview(value)
    except (ValueError, BufferError):  # released already
        return None
    if not view.contiguous or not view.nbytes:
        return None
    flat: Array = np.frombuffer(view.cast("B"), np.uint8)
    start = array_address()(flat)
    span = Span(start, start + view.nbytes)
    dtype = _format_name(view.format)
    return Seen(
        Kind("python", dtype),
        span,
        view.nbytes,
        view.shape or (view.nbytes,),
        (1,),
        swapped=False,
        identity=id(value),
    )


@cache
def _format_name(format_: str) -> str:
    import numpy as np

    try:
        return dtype_name(np.dtype(format_))
    except TypeError:
        return "uint8"
