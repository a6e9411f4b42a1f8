"""Ridge solutions that autograd can differentiate."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.implicit._fit import FitFunction, LeastSquaresFit
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
    """Ridge coefficients as a differentiable function of features, targets and alpha.

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
    fit = ridge_gram(*centred_gram(Z, y, centre=False)[:3], alpha, **options)
    return (fit.coef, fit.result) if return_result else fit.coef


def ridge_gram(
    gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor | float, **options: Any
) -> LeastSquaresFit:
    """Ridge coefficients and their loss as differentiable functions of the Gram statistics.

    With v = (G + alpha I)^-1 dL/dw: dL/dG = -(v w' + w v')/2, dL/dq = v, dL/dalpha = -w'v.

    Parameters
    ----------
    gram, corr, y_sq, alpha, **options
        As in `lasso_gram`, for `solvers.solve_ridge_gram`.

    Returns
    -------
    LeastSquaresFit
    """
    batch = corr.shape[:-1]
    gram, alphas = one_or_each(gram, batch), tensor_like(alpha, corr).expand(batch)
    result, invert = solve_and_invert(gram, corr, y_sq, alphas, **options)
    with torch.no_grad():
        loss = result.objective - 0.5 * alphas * result.coef.square().sum(-1)
    coef, loss = FitFunction.apply(
        gram, corr, y_sq, alphas, result.coef, loss, torch.positive, invert
    )
    return LeastSquaresFit(coef, loss, result)
