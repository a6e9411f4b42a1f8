"""Proximal operators."""

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
    return (x - threshold).clamp_min(0) - (-x - threshold).clamp_min(0)
