"""Projection onto the probability simplex."""

import torch
from torch import Tensor


def project_simplex(x: Tensor) -> Tensor:
    r"""Nearest point of the probability simplex, row by row.

    .. math:: \arg\min_p \tfrac12 \|p - x\|_2^2 \quad \text{s.t. } p \ge 0, \; \sum_l p_l = 1

    Parameters
    ----------
    x : Tensor of shape (*batch, k)
        Points, finite.

    Returns
    -------
    Tensor of shape (*batch, k)
        Projections; each row is nonnegative and sums to one.

    Notes
    -----
    By sorting, O(k log k) a row. Autograd gives the derivative on the support of the projection.
    """
    ordered = x.sort(dim=-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    excess = ordered.cumsum(-1) - 1
    size = (ordered * count > excess).sum(-1, keepdim=True).clamp_min(1)
    shift = excess.gather(-1, size - 1) / size
    return (x - shift).clamp_min(0)
