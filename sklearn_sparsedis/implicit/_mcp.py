"""Local minima under the minimax concave penalty that autograd can differentiate."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._support import factor_support
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.implicit._fit import FitFunction, LeastSquaresFit
from sklearn_sparsedis.implicit._separable import definite
from sklearn_sparsedis.solvers._mcp import GAMMA, solve_mcp_and_factor
from sklearn_sparsedis.solvers._ridge import one_or_each

__all__ = ["mcp_gram"]


def mcp_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    gamma: float = GAMMA,
    **options: Any,
) -> LeastSquaresFit:
    """Coefficients under the MCP and their loss as functions of the Gram statistics.

    On the support S the solution satisfies H w_S = q_S - alpha s, where H = G_SS - D has
    D = G_jj / gamma for coefficients on the curved part of the penalty and zero beyond it, and s
    is the sign on the curved part. With v = H^-1 dL/dw: dL/dH = -(v w' + w v')/2, dL/dq = v,
    dL/dalpha = -s'v.

    Parameters
    ----------
    gram, corr, y_sq, alpha
        As in `lasso_gram`.
    gamma : float
        Width of the penalty where a feature has variance one.
    **options
        For `solvers.solve_mcp_gram`.

    Returns
    -------
    LeastSquaresFit

    Notes
    -----
    A problem whose H is not positive definite has no isolated minimum. D is then left out of H, and
    the gradient is that of least squares on the support, of least norm by the rule of
    `functional.solve_support` where the Gram matrix is singular on the support.
    """
    batch, m = corr.shape[:-1], corr.shape[-1]
    gram, alphas = one_or_each(gram, batch), tensor_like(alpha, corr).expand(batch)
    result, (curved, factor, regular) = solve_mcp_and_factor(
        gram, corr, y_sq, alphas, gamma=gamma, **options
    )
    bend, invert = torch.diag_embed(curved / gamma), factor.solve
    if regular.device.type != "cpu" or any_true(~regular):
        with torch.no_grad():
            support = result.coef.reshape(-1, m) != 0
            bend = torch.where(definite(gram, support, -bend * gram)[:, None, None], bend, 0.0)
            invert = factor_support(gram - bend * gram, support).solve

    def direction(coef: Tensor) -> Tensor:
        return coef.sign() * curved

    system = (gram - bend * gram).reshape(*batch, m, m)
    loss = torch.zeros_like(result.objective)
    coef, _ = FitFunction.apply(system, corr, y_sq, alphas, result.coef, loss, direction, invert)
    fitted = (gram @ coef.reshape(-1, m)[..., None]).reshape(corr.shape)
    loss = 0.5 * (y_sq + (coef * (fitted - 2 * corr)).sum(-1))
    return LeastSquaresFit(coef, loss, result)
