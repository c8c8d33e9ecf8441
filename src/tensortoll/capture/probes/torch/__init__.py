"""PyTorch: the ATen kernels that all writing ends in, and the methods that leave the library."""

from tensortoll.capture.probes.torch.probe import TorchProbe as TorchProbe
