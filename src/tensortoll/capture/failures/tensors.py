"""Torch tensors that do not become ndarrays as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from tensortoll.capture.failures.attempts import Attempt
from tensortoll.capture.failures.diagnosis import Diagnosis

LEAVING: Final = frozenset(
    "numpy __array__ array asarray asanyarray ascontiguousarray asfortranarray require copyto "
    "from_dlpack to_dlpack __dlpack__ tolist item float int bool list constant convert_to_tensor "
    "Series DataFrame fromarray device_put stack concatenate save savez".split()
)
"""Names of calls that read a tensor's elements for another library."""
_SEARCHED: Final = 100
_UNKNOWN_TO_NUMPY: Final = ("bfloat16", "float8", "float4", "complex32", "bits", "qint", "quint")


def out_of_torch(found: Attempt) -> Diagnosis | None:
    """Tell of a tensor whose layout, device, history or dtype NumPy cannot share."""
    torch = sys.modules.get("torch")
    if torch is None or (not {found.name, found.inner_name} & LEAVING and not _from_numpy(found)):
        return None
    for tensor in _tensors(found, torch.Tensor):
        diagnosis = _of(tensor, _subject(found, tensor), torch)
        if diagnosis is not None:
            return diagnosis
    return None


def _from_numpy(found: Attempt) -> bool:
    return found.library in {"numpy", "matplotlib", "pandas", "sklearn"}


def _subject(found: Attempt, tensor: Any) -> str:
    plain = found.operands[:1] and found.operands[0] is tensor
    return found.argument if plain and found.argument else "the tensor"


def _tensors(found: Attempt, kind: type) -> Iterator[Any]:
    for operand in found.operands:
        inside = operand[:_SEARCHED] if isinstance(operand, list | tuple) else (operand,)
        yield from (one for one in inside if isinstance(one, kind))


def _of(tensor: Any, name: str, torch: Any) -> Diagnosis | None:
    layout = str(tensor.layout).removeprefix("torch.")
    if tensor.layout is not torch.strided:
        return Diagnosis(
            "sparse",
            f"{name} is stored as {layout}: it has no plain block of {_size(tensor)} elements "
            "that NumPy could look at.",
            ("{x}.to_dense().numpy()", "{x}.detach().to_dense().numpy()"),
            tensor,
        )
    if tensor.device.type != "cpu":
        return Diagnosis(
            "wrong-device",
            f"{name} lies on the device {tensor.device}, and NumPy sees the memory of the CPU "
            f"only.{' A meta tensor has a shape but no elements.' if tensor.is_meta else ''}",
            () if tensor.is_meta else ("{x}.cpu().numpy()", "{x}.detach().cpu().numpy()"),
            tensor,
            "Make it on the CPU, with values, instead of on `meta`." if tensor.is_meta else "",
        )
    if tensor.requires_grad:
        return Diagnosis(
            "requires-grad",
            f"{name} requires a gradient (shape {tuple(tensor.shape)}): what NumPy did with its "
            "elements, autograd would not know.",
            ("{x}.detach().numpy()", "{x}.detach().float().numpy()"),
            tensor,
        )
    if tensor.is_conj() or tensor.is_neg():
        lazy, cure = ("conjugate", "conj") if tensor.is_conj() else ("negative", "neg")
        return Diagnosis(
            "lazy-conjugate",
            f"{name} is a lazy {lazy}: its memory still holds the elements as they were before, "
            f"and the {lazy} is only noted on it.",
            (f"{{x}}.resolve_{cure}().numpy()",),
            tensor,
        )
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype.startswith(_UNKNOWN_TO_NUMPY):
        return Diagnosis(
            "unsupported-dtype",
            f"{name} is of dtype {dtype}, which NumPy does not have.",
            ("{x}.float().numpy()", "{x}.dequantize().numpy()"),
            tensor,
        )
    return None


def _size(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape))
