"""Block soft-thresholding: the proximal operator of the Euclidean norm."""

import torch
from torch import Tensor


def block_norm(V: Tensor) -> Tensor:
    """Euclidean norm over the last dimension, with gradient zero at zero.

    Parameters
    ----------
    V : Tensor of shape (*batch, k)
        Blocks.

    Returns
    -------
    Tensor of shape (*batch,)
        ``||V||_2`` of each block.
    """
    squared = V.square().sum(-1)
    positive = squared > 0
    # The slope of the root at zero is infinite, so the root must not be evaluated there.
    return torch.where(positive, torch.where(positive, squared, 1).sqrt(), 0)


def shrinkage(norm: Tensor, threshold: Tensor | float) -> Tensor:
    """Factor ``(1 - threshold / norm)_+`` by which a block of that norm shrinks.

    Parameters
    ----------
    norm : Tensor of shape (*batch,)
        Norms of the blocks, nonnegative.
    threshold : Tensor broadcastable to `norm`, or float
        Thresholds, nonnegative.

    Returns
    -------
    Tensor of shape (*batch,)
        Factors in [0, 1], zero where the norm does not exceed the threshold.
    """
    active = norm > threshold
    return torch.where(active, 1 - threshold / torch.where(active, norm, 1), 0)


def block_soft_threshold(V: Tensor, threshold: Tensor | float) -> Tensor:
    r"""Shrink each block towards zero by `threshold` in norm.

    .. math:: \mathrm{BST}(v, \tau) = (1 - \tau / \|v\|_2)_+ \, v, \qquad \mathrm{BST}(0, \tau) = 0

    Parameters
    ----------
    V : Tensor of shape (*batch, k)
        Blocks.
    threshold : Tensor broadcastable to (*batch,), or float
        Thresholds, nonnegative.

    Returns
    -------
    Tensor of shape (*batch, k)
        Shrunk blocks.

    Notes
    -----
    Differentiable by autograd without NaN, at zero blocks too. On the boundary
    ``||v|| = threshold`` the gradient is that of the zero side.
    """
    return shrinkage(block_norm(V), threshold).unsqueeze(-1) * V
