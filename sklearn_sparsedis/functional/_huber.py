"""Huber's loss: value, best constant, alpha_max."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._logistic import row_shares

__all__ = ["clip", "huber_alpha_max", "huber_location", "huber_loss"]


def clip(residual: Tensor, delta: Tensor) -> Tensor:
    """Clip the residual to delta in size: this is minus the derivative of the loss in the score."""
    return torch.minimum(torch.maximum(residual, -delta), delta)


def huber_loss(residual: Tensor, delta: Tensor | float) -> Tensor:
    """Elementwise loss: r^2/2 for |r| up to delta, delta |r| - delta^2/2 beyond."""
    size = residual.abs()
    inner = size.minimum(tensor_like(delta, residual))
    return inner * (size - 0.5 * inner)


def huber_location(y: Tensor, delta: Tensor, share: Tensor) -> Tensor:
    """Constant with the least mean loss, shape (*batch,), exact up to rounding.

    Parameters
    ----------
    y : Tensor of shape (*batch, n)
    delta : Tensor of shape (*batch,)
        Positive.
    share : Tensor of shape (*batch, n) or (*batch, 1)
        Weights from `row_shares`. The location is zero if all of them are zero.

    Notes
    -----
    The sum of the clipped residuals falls piecewise linearly in the constant. Sorting finds the
    piece in which it is zero. O(n log n).
    """
    if not y.shape[-1]:
        return y.new_zeros(y.shape[:-1])
    share, delta = share.expand(y.shape), delta[..., None].expand(*y.shape[:-1], 1)
    # The slope falls by the share of a row where its residual stops being clipped, and rises by it
    # where clipping starts again.
    points, order = torch.cat([y - delta, y + delta], -1).sort(-1)
    slope = torch.cat([-share, share], -1).gather(-1, order).cumsum(-1)
    falls = (slope[..., :-1] * points.diff(dim=-1)).cumsum(-1)
    positive = share.sum(-1, keepdim=True) * delta + falls > 0
    piece = positive.sum(-1, keepdim=True).clamp_max(2 * y.shape[-1] - 2)
    low, high = points.gather(-1, piece), points.gather(-1, piece + 1)
    middle = low + 0.5 * (high - low)
    inside = share * ((y - middle).abs() < delta)
    total = inside.sum(-1, keepdim=True)
    offset = (share * clip(y - middle, delta)).sum(-1, keepdim=True)
    exact = middle + offset / torch.where(total > 0, total, 1.0)
    location = torch.where(total > 0, exact, middle).maximum(low).minimum(high)
    return torch.where(share.sum(-1) > 0, location[..., 0], 0.0)


def huber_alpha_max(
    Z: Tensor, y: Tensor, delta: Tensor | float, sample_weight: Tensor | None = None
) -> Tensor:
    """Smallest alpha with coefficients of zero, shape (*batch,).

    It is max_j |Z_j'S psi(y - b)| with the best constant b and psi(r) = r, at most delta in size.

    Parameters
    ----------
    Z : Tensor of shape (n, m) or (*batch, n, m)
    y : Tensor of shape (*batch, n)
    delta : float or Tensor of shape (*batch,)
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        S are these weights, divided by their sum.
    """
    share = row_shares(y, sample_weight)
    delta = tensor_like(delta, y).expand(y.shape[:-1])
    centred = y - huber_location(y, delta, share)[..., None]
    residual = share * clip(centred, delta[..., None])
    # Centring changes nothing if the residuals sum to zero, up to rounding.
    Z = Z - Z.mean(-2, keepdim=True)
    return (residual[..., None, :] @ Z)[..., 0, :].abs().amax(-1)
