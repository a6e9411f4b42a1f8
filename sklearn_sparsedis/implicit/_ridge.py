"""Ridge solutions that autograd can differentiate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.functional import centred_gram, strength_like
from sklearn_sparsedis.implicit._lasso import gram_gradient
from sklearn_sparsedis.solvers import SolveResult
from sklearn_sparsedis.solvers._ridge import one_or_each, solve_and_invert

__all__ = ["ridge", "ridge_gram"]


def ridge(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Ridge coefficients as a differentiable function of features, targets and strength.

    w = (Z'Z/n + alpha I)^-1 Z'y/n.

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m)
    y : Tensor of shape (*batch, n)
    alpha : float or Tensor of shape (*batch,)
    return_result, **options
        As in `lasso`, for `solvers.solve_ridge`.

    Returns
    -------
    coef : Tensor of shape (*batch, m)
    result : SolveResult
        Only with `return_result`; not recorded for autograd.
    """
    statistics = centred_gram(Z, y, centre=False)
    return ridge_gram(*statistics[:3], alpha, return_result=return_result, **options)


def ridge_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Ridge coefficients as a differentiable function of the Gram statistics.

    With v = (G + alpha I)^-1 dL/dw: dL/dG = -(v w' + w v')/2, dL/dq = v, dL/dalpha = -w'v.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        Symmetric.
    corr : Tensor of shape (*batch, m)
    y_sq : Tensor of shape (*batch,)
        Enters the certificate, not the solution.
    alpha : float or Tensor of shape (*batch,)
    return_result, **options
        As in `lasso`, for `solvers.solve_ridge_gram`.

    Returns
    -------
    coef : Tensor of shape (*batch, m)
    result : SolveResult
        Only with `return_result`; not recorded for autograd.
    """
    batch = corr.shape[:-1]
    gram, strength = one_or_each(gram, batch), strength_like(alpha, corr).expand(batch)
    result, invert = solve_and_invert(gram, corr, y_sq, strength, **options)
    coef = _RidgeGram.apply(gram, corr, strength, result.coef, invert)
    return (coef, result) if return_result else coef


class _RidgeGram(torch.autograd.Function):
    """Attach the derivative to a solution that is already known."""

    @staticmethod
    def forward(
        gram: Tensor,
        corr: Tensor,
        alpha: Tensor,
        solution: Tensor,
        invert: Callable[[Tensor], Tensor],
    ) -> Tensor:
        return solution.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        gram, _, _, _, ctx.invert = inputs
        ctx.save_for_backward(gram, output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gram, coef = ctx.saved_tensors
        w = coef.reshape(-1, coef.shape[-1])
        v = ctx.invert(grad.reshape(w.shape))
        return (
            gram_gradient(gram, v, w) if ctx.needs_input_grad[0] else None,
            v.reshape(coef.shape),
            -(v * w).sum(-1).reshape(coef.shape[:-1]) if ctx.needs_input_grad[2] else None,
            None,
            None,
        )
