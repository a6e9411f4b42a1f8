"""Tensors on their way from the host to a device."""

import torch
from torch import Tensor

__all__ = ["send"]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device.

    To CUDA it goes from page-locked memory, and the host does not wait: what it does next, such as
    reading further rows, runs beside the transfer.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
