"""Second moments of components in training, from the raw outputs of their encoder."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.nn._encoders import constant_columns

__all__ = ["StandardGram"]


class StandardGram(torch.autograd.Function):
    """Moments Z'PZ and Y'PZ of raw outputs about their means, in units of their deviations.

    With D' = (dL/dG + dL/dG') Z'P + (dL/dC)' Y P, the derivative by Z, that by the raw outputs is
    (D - PZ diag(d)) / std, where d = diag(D'Z) follows from the moments. A constant column has
    moments and a derivative of exactly zero. Centring needs no derivative: the rows of Z'P and YP
    sum to zero.

    The arguments are raw (n, m) in double precision, y (T, n) about its means, share (n,) with sum
    one, or None for equal shares, and the dtype whose rounding decides which columns are constant.
    """

    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, y: Tensor, share: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        mean = raw.mean(0) if share is None else share @ raw
        Z = raw - mean
        # Products with contiguous rows of features are faster.
        weighted = Z.T.contiguous() if share is None else (Z.T * share).contiguous()
        size = 1 / len(raw) if share is None else 1.0
        gram = (weighted @ Z).mul_(size)
        var = gram.diagonal()
        varies = ~constant_columns(mean.to(dtype), var.to(dtype))
        inverse = torch.where(varies, var, torch.inf).rsqrt_()
        gram = gram * inverse[:, None] * inverse
        weighted = weighted.mul_((size * inverse)[:, None])
        corr = (weighted @ y.T).T.contiguous()
        ctx.save_for_backward(y, weighted, share, gram, corr, inverse)
        return gram, corr

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_gram: Tensor, to_corr: Tensor) -> tuple[Tensor | None, ...]:
        y, weighted, share, gram, corr, inverse = ctx.saved_tensors
        through_gram = to_gram + to_gram.T
        along = (through_gram * gram).sum(0) + (to_corr * corr).sum(0)
        through_gram.diagonal().sub_(along)
        to_raw = (to_corr * inverse).T @ y
        to_raw = to_raw.mul_(1 / y.shape[-1] if share is None else share)
        to_raw = to_raw.addmm_(through_gram * inverse[:, None], weighted)
        to_y = to_corr @ weighted if ctx.needs_input_grad[1] else None
        return to_raw.T, to_y, None, None
