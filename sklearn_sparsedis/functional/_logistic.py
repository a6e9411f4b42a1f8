"""Logistic regression: loss, entropy, duality gap, alpha_max."""

import torch
from torch import Tensor

__all__ = [
    "bernoulli_divergence",
    "bernoulli_entropy",
    "logistic_alpha_max",
    "logistic_loss",
    "row_shares",
]


def logistic_loss(score: Tensor, y: Tensor) -> Tensor:
    """Elementwise log-loss log(1 + exp(f)) - y f of labels y in [0, 1] at scores f.

    No digits cancel where labels are 0 or 1, and autograd gives sigmoid(f) - y everywhere.
    """
    size = score.abs()
    return (0.5 - y) * score + 0.5 * size + torch.log1p(torch.exp(-size))


def bernoulli_entropy(p: Tensor) -> Tensor:
    """Elementwise entropy -p log(p) - (1-p) log(1-p): the log-loss of the best constant."""
    return -torch.xlogy(p, p) - torch.special.xlog1py(1 - p, -p)


def bernoulli_divergence(above: Tensor, below: Tensor, step: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the probability s + d from s, elementwise.

    Parameters
    ----------
    above, below : Tensor
        s and 1 - s, each exact where it is small.
    step : Tensor
        d, with s + d in [0, 1].
    """
    tiny = torch.finfo(above.dtype).tiny
    more = torch.special.xlog1py(above + step, step / above.clamp_min(tiny))
    return more + torch.special.xlog1py(below - step, -step / below.clamp_min(tiny))


def row_shares(y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Weights of rows that sum to one, shape (*batch, n), or (*batch, 1) where all are equal.

    A problem in which all weights are zero has shares of zero.

    Parameters
    ----------
    y : Tensor of shape (*batch, n)
        Labels, for their shape and dtype.
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        Not negative.
    """
    if sample_weight is None:
        return y.new_full((*y.shape[:-1], 1), 1 / max(y.shape[-1], 1))
    weight = sample_weight.to(y.dtype).expand(y.shape)
    total = weight.sum(-1, keepdim=True)
    return weight / torch.where(total > 0, total, torch.ones_like(total))


def logistic_alpha_max(Z: Tensor, y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Smallest alpha with coefficients of zero: max_j |Z_j'S(y - mean(y))|, shape (*batch,).

    Parameters
    ----------
    Z : Tensor of shape (n, m) or (*batch, n, m)
    y : Tensor of shape (*batch, n)
        Labels in [0, 1].
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        S are these weights, divided by their sum.
    """
    share = row_shares(y, sample_weight)
    rate = (share * y).sum(-1, keepdim=True)
    residual = share * (y - rate)
    return (residual[..., None, :] @ Z)[..., 0, :].abs().amax(-1)
