"""PyTorch's dtypes, devices and tensors in the words of the recording."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from tensortoll.capture.arrays import seen
from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.seen import Seen
from tensortoll.model import Effect, Kind, Span

if TYPE_CHECKING:
    import torch

EXPLICIT: Final = frozenset(
    (
        # into torch
        "tensor as_tensor asarray from_numpy frombuffer from_dlpack new_tensor sparse_coo_tensor "
        "Tensor FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor "
        "ShortTensor "
        "CharTensor ByteTensor BoolTensor "
        # inside it
        "to type type_as float double half bfloat16 int long short char byte bool cfloat cdouble "
        "cpu cuda xpu ipu hpu mps clone contiguous reshape reshape_as flatten ravel copy_ cast "
        "resolve_conj resolve_neg deepcopy __deepcopy__ share_memory_ share_memory pin_memory "
        "load_state_dict to_dense to_sparse to_sparse_csr to_sparse_csc to_sparse_bsr "
        "to_sparse_bsc to_sparse_coo quantize_per_tensor quantize_per_tensor_dynamic "
        "quantize_per_channel dequantize int_repr data_ptr []= "
        # out of it
        "numpy __array__ tolist item to_dlpack __dlpack__ complex __float__ __int__ __bool__"
    ).split()
) | {"[]= result"}
"""Names of calls that ask for a conversion; all others that convert do so implicitly."""

ASKS_FOR_A_COPY: Final = frozenset(
    (
        "tensor as_tensor asarray new_tensor to type type_as cpu cuda clone contiguous reshape "
        "reshape_as flatten ravel copy_ "
        "resolve_conj resolve_neg numpy deepcopy share_memory_ pin_memory Tensor FloatTensor "
        "DoubleTensor LongTensor IntTensor unflatten untyped_storage storage []="
    ).split()
)
"""Names of calls that duplicate data on purpose. A copy that changes neither dtype nor device is
a conversion only below one of these: kernels copy temporaries of their own in the same way
(a bias filled in by `linear`, the input of `sort`), and nothing else tells the two apart."""

CASTS: Final = frozenset("float double half bfloat16 int long short char byte bool".split())
"""Names of calls that return what they were given where the dtype is right: what they copy without
a cast is what a sparse or nested tensor keeps beside its values, unless it is laid out anew."""

TAKES: Final = (
    "tensor as_tensor asarray from_numpy frombuffer from_dlpack Tensor FloatTensor DoubleTensor "
    "HalfTensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor "
    "utils.dlpack.from_dlpack"
).split()
"""Names of functions that make a tensor of what they are given first."""

CASTS_INDICES: Final = frozenset(
    "masked_select combinations quantile nanquantile embedding_bag".split()
)
"""Names of calls that reckon with indices of their own, in another dtype than their result's."""

DUPLICATES_INSIDE_TORCH: Final = {
    "torch/nn/modules/module.py": frozenset(("copy_", "to", "clone")),
    "torch/nn/parameter.py": frozenset(("clone",)),
    "torch/_tensor.py": frozenset(("clone", "copy_")),
    "torch/storage.py": frozenset(("copy_", "clone")),
    "torch/utils/data/_utils/pin_memory.py": frozenset(("pin_memory",)),
}
"""The few lines of torch's own Python that duplicate the user's data, by file and name."""


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """Return NumPy's name for a torch dtype: `float32`, `bfloat16`."""
    return str(dtype).removeprefix("torch.")


@cache
def device_name(device: torch.device) -> str:
    """Return `cpu`, `cuda:0`, `meta`."""
    kind = str(device.type)
    return kind if kind in {"cpu", "meta"} else f"{kind}:{device.index or 0}"


@cache
def kind_of(dtype: torch.dtype, device: torch.device) -> Kind:
    """Return the kind of a tensor with this dtype on this device."""
    return Kind("torch", dtype_name(dtype), device_name(device))


@cache
def on_the_side_of_numpy(dtype: torch.dtype) -> Kind:
    """Return the kind of an ndarray with the elements of a torch dtype."""
    return Kind("numpy", dtype_name(dtype))


def transfer(source: torch.device, target: torch.device) -> Effect | None:
    """Return what moving from one device to another is; None on the same, and to `meta`."""
    return seen.transfer(device_name(source), device_name(target))


def tensor_span(tensor: torch.Tensor) -> Span:
    """Return the range of addresses of a strided tensor's elements.

    Raises:
        RuntimeError: If the tensor has no memory of its own to point to (sparse, wrapped).
    """
    size = tensor.element_size()
    steps = [step * size for step in tensor.stride()]
    return reach(tensor_address(tensor), tensor.shape, steps, size)


def seen_tensor(tensor: torch.Tensor) -> Seen:
    """Return a strided tensor in numbers.

    Raises:
        RuntimeError: If the tensor has no memory of its own to point to (sparse, wrapped).
    """
    return Seen(
        kind_of(tensor.dtype, tensor.device),
        tensor_span(tensor),
        tensor.nbytes,
        tuple(tensor.shape),
        tuple(tensor.stride()),
        swapped=False,
        identity=id(tensor),
    )


def tensor_address(tensor: torch.Tensor) -> int:
    """Return the address of a strided tensor's first element.

    Raises:
        RuntimeError: If the tensor has no memory of its own to point to (sparse, wrapped).
    """
    import torch

    # `data_ptr` would copy a lazily cloned storage. This only looks, and finds where it begins.
    begin: int = torch._C._data_address(tensor)
    offset: int = tensor.storage_offset() * tensor.element_size()
    return begin + offset
