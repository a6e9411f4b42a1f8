"""Lasso solutions that autograd can differentiate."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._support import cached_parts, factor_support
from sklearn_sparsedis.implicit._fit import FitFunction, LeastSquaresFit
from sklearn_sparsedis.solvers import SolveResult
from sklearn_sparsedis.solvers._ridge import one_or_each
from sklearn_sparsedis.solvers.lasso._active_set import Factor
from sklearn_sparsedis.solvers.lasso._solver import solve_and_factor, solve_from_statistics

__all__ = ["lasso", "lasso_gram"]


def lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Lasso coefficients as a differentiable function of features, targets and alpha.

    On the support S with signs s the solution satisfies Z_S'(Z_S w_S - y)/n + alpha s = 0. With
    H = Z_S'Z_S/n, v = H^-1 (dL/dw)_S and r = Z w - y the implicit function theorem gives [1]_
    dL/dZ = -(r v' + (Z v) w')/n, dL/dy = Z v/n, dL/dalpha = -s'v.

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), or (n, m) for all problems
    y : Tensor of shape (*batch, n)
    alpha : float or Tensor of shape (*batch,)
    return_result : bool
        Whether to return the certificate of the solve as well.
    **options
        tol, max_iter and coef_init of `solvers.solve_lasso`.

    Returns
    -------
    coef : Tensor of shape (*batch, m)
    result : SolveResult
        Only with `return_result`; not recorded for autograd.

    Notes
    -----
    The gradient is exact where the support does not change in a neighbourhood. A variable with
    w_j = 0 counts as unused, also where |Z_j'(y - Zw)|/n equals alpha. A singular H follows the
    rule of `functional.solve_support`: v is the least-squares solution of least norm. The
    memory does not depend on the number of iterations.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    if Z.ndim < y.ndim + 1:
        fit = lasso_gram(*centred_gram(Z, y, centre=False)[:3], alpha, **options)
        return (fit.coef, fit.result) if return_result else fit.coef
    alphas = tensor_like(alpha, Z).expand(y.shape[:-1])
    with torch.no_grad():
        statistics = centred_gram(Z, y, centre=False)
        result, factor = solve_from_statistics(Z, y, alphas, statistics, options)
    coef = _Lasso.apply(Z, y, alphas, result.coef, statistics.gram, factor)
    return (coef, result) if return_result else coef


def lasso_gram(
    gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor | float, **options: Any
) -> LeastSquaresFit:
    """Lasso coefficients and their loss as differentiable functions of the Gram statistics.

    With v = G_SS^-1 (dL/dw)_S: dL/dG = -(v w' + w v')/2, dL/dq = v, dL/dalpha = -s'v.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        Symmetric.
    corr : Tensor of shape (*batch, m)
    y_sq : Tensor of shape (*batch,)
    alpha : float or Tensor of shape (*batch,)
    **options
        tol, max_iter and coef_init of `solvers.solve_lasso_gram`.

    Returns
    -------
    LeastSquaresFit

    Notes
    -----
    As in `lasso`.
    """
    batch = corr.shape[:-1]
    gram, alphas = one_or_each(gram, batch), tensor_like(alpha, corr).expand(batch)
    result, factor = solve_and_factor(gram, corr, y_sq, alphas, **options)
    # The closure must not hold the differentiable output below, whose graph it would keep alive.
    solution = result.coef
    with torch.no_grad():
        size = solution.abs().sum(-1)
        loss = torch.addcmul(result.objective, alphas, size, value=-1)

    def invert(grad: Tensor) -> Tensor:
        return _adjoint(gram, solution.reshape(grad.shape), grad, factor)

    coef, loss = FitFunction.apply(gram, corr, y_sq, alphas, solution, loss, torch.sign, invert)
    return LeastSquaresFit(coef, loss, result)


class _Lasso(torch.autograd.Function):
    """Derivative of the coefficients as in FitFunction, with a gradient of rank two in Z."""

    @staticmethod
    def forward(
        Z: Tensor,
        y: Tensor,
        alpha: Tensor,
        solution: Tensor,
        gram: Tensor,
        factor: Factor | None,
    ) -> Tensor:
        return solution.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        Z, y, _, _, gram, ctx.factor = inputs
        ctx.save_for_backward(Z, y, output, gram)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        Z, y, coef, gram = ctx.saved_tensors
        batch, (n, m) = Z.shape[:-2], Z.shape[-2:]
        w = coef.reshape(-1, m)
        v = _adjoint(gram, w, grad.reshape(w.shape), ctx.factor)
        both = torch.stack([v, w], -1).reshape(*batch, m, 2)
        Zv, Zw = (Z @ both / n).unbind(-1)
        residuals = torch.stack([y / n - Zw, -Zv], -1)
        return (
            residuals @ both.mT if ctx.needs_input_grad[0] else None,
            Zv,
            _alpha_gradient(v, w, batch) if ctx.needs_input_grad[2] else None,
            None,
            None,
            None,
        )


def _adjoint(gram: Tensor, coef: Tensor, grad: Tensor, factor: Factor | None) -> Tensor:
    if factor is not None:
        return factor.solve(grad)
    gram = gram if gram.ndim == 2 else gram.reshape(-1, *gram.shape[-2:])
    solutions = []
    for part in cached_parts(coef):
        shifted = factor_support(gram if gram.ndim == 2 else gram[part], coef[part] != 0)
        solutions.append(shifted.solve(grad[part]))
    return torch.cat(solutions)


def _alpha_gradient(v: Tensor, w: Tensor, batch: torch.Size) -> Tensor:
    return -(v * w.sign()).sum(-1).reshape(batch)
