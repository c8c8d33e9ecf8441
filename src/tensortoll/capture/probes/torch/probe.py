"""What is installed for PyTorch."""

from __future__ import annotations

from typing import Any

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.arrays import install_arrays
from tensortoll.capture.probes.torch.batches import install_batches
from tensortoll.capture.probes.torch.devices import install_devices
from tensortoll.capture.probes.torch.dynamo import skip_own_code
from tensortoll.capture.probes.torch.exchange import install_exchange
from tensortoll.capture.probes.torch.forms import install_forms
from tensortoll.capture.probes.torch.kernels import install_kernels
from tensortoll.capture.probes.torch.kinds import EXPLICIT, TAKES, seen_tensor
from tensortoll.capture.probes.torch.optimizers import install_optimizers
from tensortoll.capture.probes.torch.reads import install_reads
from tensortoll.capture.rewriting.rewrites import Rewrites


class TorchProbe:
    """Watches PyTorch."""

    library = "torch"
    explicit = EXPLICIT
    rewrites = Rewrites(
        methods={"numpy": "take", "__array__": "take"},
        functions={f"torch.{name}": "take" for name in TAKES},
    )

    def install(self, context: Context) -> None:
        """Override the kernels that write and replace the methods that lead out of torch."""
        skip_own_code()
        kernels = install_kernels(context)
        install_devices(context)
        install_forms(context)
        install_arrays(context)
        install_reads(context)
        install_exchange(context)
        install_batches(context, kernels.wrapping)
        install_optimizers(context, kernels.copying)

    def describe(self, value: Any) -> Seen | None:
        """Return a strided tensor in numbers; None for a tensor without memory to point to."""
        import torch

        if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
            return None
        try:
            return seen_tensor(value)
        except (RuntimeError, NotImplementedError):
            return None
