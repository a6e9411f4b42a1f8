"""Second moments of features with themselves and with the targets that share them."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["SharedGram"]


class SharedGram(torch.autograd.Function):
    """Compute Z'PZ, Y'PZ and the mean of Z for targets (T, n); the derivative is two products.

    The centred variables have weighted sums of zero, so that centring needs no derivative.
    """

    @staticmethod
    def forward(
        ctx: Any, Z: Tensor, y: Tensor, share: Tensor | None, centre: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        z_mean = Z.mean(0) if share is None else share @ Z
        if centre:
            Z = Z - z_mean
        # Products with contiguous rows of features are faster.
        weighted = (Z.T / len(Z) if share is None else Z.T * share).contiguous()
        ctx.save_for_backward(y, weighted, share)
        ctx.set_materialize_grads(False)
        return weighted @ Z, (weighted @ y.T).T.contiguous(), z_mean

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gram: Tensor | None, corr: Tensor | None, z_mean: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        y, weighted, share = ctx.saved_tensors
        share = weighted.new_full((), 1 / y.shape[-1]) if share is None else share
        to_Z = torch.zeros_like(weighted) if gram is None else (gram + gram.T) @ weighted
        if corr is not None:
            to_Z = to_Z.addcmul_(corr.T @ y, share)
        if z_mean is not None:
            to_Z = to_Z.addcmul_(z_mean[:, None], share)
        to_y = corr @ weighted if ctx.needs_input_grad[1] and corr is not None else None
        return to_Z.T, to_y, None, None
