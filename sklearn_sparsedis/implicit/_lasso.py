"""Lasso solutions that autograd can differentiate."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from sklearn_sparsedis.functional import factor_support, solve_support, strength_like
from sklearn_sparsedis.solvers import SolveResult, solve_lasso, solve_lasso_gram

__all__ = ["lasso", "lasso_gram"]


def lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Lasso coefficients as a differentiable function of features, targets and strength.

    On the support S with signs s the solution satisfies Z_S'(Z_S w_S - y)/n + alpha s = 0. With
    H = Z_S'Z_S/n, v = H^-1 (dL/dw)_S and r = Z w - y the implicit function theorem gives [1]_
    dL/dZ = -(r v' + (Z v) w')/n, dL/dy = Z v/n, dL/dalpha = -s'v.

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m)
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
    rule of `functional.factor_support`: v is close to the solution of least norm. The memory does
    not depend on the number of iterations.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    strength = strength_like(alpha, Z).expand(y.shape[:-1])
    result = solve_lasso(Z.detach(), y.detach(), strength.detach(), **options)
    coef = _Lasso.apply(Z, y, strength, result.coef)
    return (coef, result) if return_result else coef


def lasso_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Lasso coefficients as a differentiable function of the Gram statistics.

    With v = G_SS^-1 (dL/dw)_S: dL/dG = -(v w' + w v')/2, dL/dq = v, dL/dalpha = -s'v.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        Symmetric.
    corr : Tensor of shape (*batch, m)
    y_sq : Tensor of shape (*batch,)
        Enters the certificate, not the solution.
    alpha : float or Tensor of shape (*batch,)
    return_result, **options
        As in `lasso`, for `solvers.solve_lasso_gram`.

    Returns
    -------
    coef : Tensor of shape (*batch, m)
    result : SolveResult
        Only with `return_result`; not recorded for autograd.

    Notes
    -----
    As in `lasso`.
    """
    strength = strength_like(alpha, corr)
    strength = strength.expand(corr.shape[:-1])
    result = solve_lasso_gram(
        gram.detach(), corr.detach(), y_sq.detach(), strength.detach(), **options
    )
    coef = _LassoGram.apply(gram, corr, strength, result.coef)
    return (coef, result) if return_result else coef


class _LassoGram(torch.autograd.Function):
    """Attach the implicit derivative to a solution that is already known."""

    @staticmethod
    def forward(gram: Tensor, corr: Tensor, alpha: Tensor, solution: Tensor) -> Tensor:
        return solution.clone()

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gram, coef = ctx.saved_tensors
        w = coef.reshape(-1, coef.shape[-1])
        v = _adjoint(gram, w, grad.reshape(w.shape))
        return (
            gram_gradient(gram, v, w),
            v.reshape(coef.shape),
            -(v * w.sign()).sum(-1).reshape(coef.shape[:-1]),
            None,
        )


class _Lasso(torch.autograd.Function):
    """As _LassoGram, with the gradient in Z written out: its rank is two."""

    @staticmethod
    def forward(Z: Tensor, y: Tensor, alpha: Tensor, solution: Tensor) -> Tensor:
        return solution.clone()

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1], output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        Z, y, coef = ctx.saved_tensors
        batch, (n, m) = Z.shape[:-2], Z.shape[-2:]
        Z, y, w = Z.reshape(-1, n, m), y.reshape(-1, n), coef.reshape(-1, m)
        v = _adjoint(Z.mT @ Z / n, w, grad.reshape(w.shape))
        both = torch.stack([v, w], -1)
        Zv, Zw = (Z @ both / n).unbind(-1)
        left = torch.stack([y / n - Zw, -Zv], -1)
        return (
            (left @ both.mT).reshape(*batch, n, m),
            Zv.reshape(*batch, n),
            -(v * w.sign()).sum(-1).reshape(batch),
            None,
        )


def _adjoint(gram: Tensor, coef: Tensor, grad: Tensor) -> Tensor:
    support = coef != 0
    gram = gram if gram.ndim == 2 else gram.reshape(-1, *gram.shape[-2:])
    return solve_support(gram, factor_support(gram, support), grad)


def gram_gradient(gram: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """-(v w' + w v')/2, summed over the problems that share one matrix."""
    if gram.ndim == 2:
        product = v.T @ w
        return -0.5 * (product + product.T)
    outer = v[:, :, None] * w[:, None, :]
    return (-0.5 * (outer + outer.mT)).reshape(gram.shape)
