"""Proximal operators."""

import torch
from torch import Tensor

__all__ = ["soft_threshold"]


def soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """Proximal operator of threshold * |.|: sign(x) (|x| - threshold)_+, elementwise.

    Its derivative is 1 where |x| > threshold and 0 elsewhere, the kink and x = 0 included.

    Parameters
    ----------
    x : Tensor
        Any shape.
    threshold : float or Tensor that broadcasts with x
        Not negative.
    """
    if isinstance(threshold, Tensor):
        return x - torch.clamp(x, -threshold, threshold)
    return x - x.clamp(-threshold, threshold)
