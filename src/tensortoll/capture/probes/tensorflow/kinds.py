"""TensorFlow's dtypes, devices and tensors in the words of the recording."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tensortoll.capture.arrays.seen import transfer
from tensortoll.capture.counting.recorder import Located, Site
from tensortoll.model import Effect, Kind

if TYPE_CHECKING:
    import numpy as np

EXPLICIT: Final = frozenset(
    (
        # into TensorFlow
        "constant convert_to_tensor Variable assign assign_add assign_sub set_weights set_value "
        "convert_to_tensor_v1_with_dispatch convert_to_tensor_v2_with_dispatch from_tensor_slices "
        "from_tensors convert_to_tensor_or_sparse_tensor convert_n_to_tensor "
        "from_generator from_dlpack from_row_splits from_row_lengths from_value_rowids "
        "from_nested_row_splits from_uniform_row_length from_tensor SparseTensor IndexedSlices "
        "make_tensor_proto load_weights asarray array decode_raw "
        # inside it
        "cast saturate_cast convert_image_dtype identity cpu gpu copy astype "
        # out of it
        "numpy _numpy __array__ as_numpy_iterator make_ndarray to_dlpack __dlpack__ tolist item "
        "convert_to_numpy get_weights memoryview float int bool complex"
    ).split()
)
"""Names of calls that ask for a conversion; all others that convert do so implicitly."""

TAKES: Final = (
    "constant convert_to_tensor identity expand_dims squeeze stop_gradient ensure_shape reshape "
    "raw_ops.Identity experimental.dlpack.from_dlpack make_ndarray Variable"
).split()
"""Names of functions whose tensor may lie in the memory of what they are given."""

COMPUTES: Final = frozenset("reshape ravel flatten squeeze stack".split())
"""Names that ask for a conversion elsewhere; here they are operations that are given an array."""

STRING: Final = 7
"""`DT_STRING` of TensorFlow's types.proto."""
INTEGERS: Final = frozenset((3, 9))
"""`DT_INT32` and `DT_INT64`, which shapes and indices have."""
SHORT: Final = 32
"""No more whole numbers than these make a shape, axes or an index of a single element."""
STRING_SIZE: Final = 24
"""Bytes of one element of a string tensor (`tstring`), without a text too long to lie in it."""


@cache
def dtype_name(number: int) -> str:
    """Return NumPy's name for a dtype of TensorFlow, which comes as its number: `float32`."""
    from tensorflow.python.framework import dtypes

    return "str" if number == STRING else dtypes.as_dtype(number).name


@cache
def itemsize(number: int) -> int:
    """Return the bytes of one element."""
    from tensorflow.python.framework import dtypes

    return STRING_SIZE if number == STRING else int(dtypes.as_dtype(number).size)


@cache
def array_dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of an ndarray's dtype; fixed-width text is `str`, whatever its width."""
    return "str" if dtype.kind in "SUT" else dtype.name


@cache
def device_name(device: str) -> str:
    """Return `cpu`, `cpu:1`, `gpu:0` for `/job:localhost/replica:0/task:0/device:CPU:0`."""
    parts = device.rpartition("device:")[2].lower().split(":")
    if len(parts) == 1:
        return "cpu" if parts[0] in {"", "cpu"} else f"{parts[0]}:0"
    return "cpu" if parts == ["cpu", "0"] else ":".join(parts)


@cache
def kind_of(number: int, device: str) -> Kind:
    """Return the kind of a tensor with this dtype on this device."""
    return Kind("tensorflow", dtype_name(number), device_name(device))


@cache
def array_kind(dtype: np.dtype[Any]) -> Kind:
    """Return the kind of an ndarray."""
    return Kind("numpy", array_dtype_name(dtype))


def is_implicit(located: Located) -> bool:
    """Say whether a place did not ask TensorFlow for a conversion."""
    name = located.operation.rpartition(".")[2]
    if located.waiting or name in COMPUTES:
        return True
    return name not in EXPLICIT and located.implicit


def is_index(site: Site, elements: int) -> bool:
    """Say whether so many whole numbers in a row are a shape, axes or an index, and no data.

    TensorFlow and Keras make, cast and read such ones of their own all the time.
    """
    return elements <= SHORT and is_implicit(site.located)


def payload(tensor: Any) -> int:
    """Return the bytes of an eager tensor's elements."""
    return int(tensor._num_elements()) * itemsize(tensor._datatype_enum())


def effects_between(
    origin: Kind, target: Kind, *others: Effect | None, cast: bool | None = None
) -> tuple[Effect, ...]:
    """Return the effects of a conversion in order.

    Args:
        origin: What was converted.
        target: What it became.
        others: Effects beside those that the kinds tell; None for none.
        cast: Where the names of the dtypes do not tell it.
    """
    found: set[Effect] = {one for one in others if one is not None}
    if origin.dtype != target.dtype if cast is None else cast:
        found.add("cast")
    moved = transfer(origin.device, target.device)
    if moved is not None:
        found.add(moved)
    return tuple(sorted(found))
