"""Solutions of the multi-task Lasso that autograd can differentiate."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.linalg import vector_norm

from sklearn_sparsedis.functional._block_support import factor_blocks
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._support import cached_parts
from sklearn_sparsedis.implicit._fit import LeastSquaresFit
from sklearn_sparsedis.solvers import SolveResult, solve_multitask_lasso_gram
from sklearn_sparsedis.solvers._ridge import one_or_each
from sklearn_sparsedis.solvers.multitask_lasso._solver import multitask_statistics

__all__ = ["multitask_lasso", "multitask_lasso_gram"]


def multitask_lasso(
    Z: Tensor,
    Y: Tensor,
    alpha: Tensor | float,
    *,
    return_result: bool = False,
    **options: Any,
) -> Tensor | tuple[Tensor, SolveResult]:
    """Coefficients with one support as a differentiable function of features, targets, alpha.

    On the support the solution satisfies Z_j'(Z W - Y)/n + alpha u_j = 0 with u_j = W_j/||W_j||
    [1]_. With v = H^-1 dL/dW, H V = Z_S'Z_S V/n + alpha (v_j - u_j u_j'v_j)/||W_j|| and
    R = Z W - Y: dL/dZ = -(R v' + (Z v) W')/n, dL/dY = Z v/n, dL/dalpha = -sum_j u_j'v_j.

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), or (n, m) for all problems
    Y : Tensor of shape (*batch, n, q)
    alpha : float or Tensor of shape (*batch,)
    return_result : bool
        Whether to return the certificate of the solve as well.
    **options
        tol, max_iter and coef_init of `solvers.solve_multitask_lasso`.

    Returns
    -------
    coef : Tensor of shape (*batch, m, q)
    result : SolveResult
        Only with `return_result`; not recorded for autograd.

    Notes
    -----
    The gradient is exact where the support does not change in a neighbourhood. A variable with
    W_j = 0 counts as unused, also where ||Z_j'(Y - Z W)||/n equals alpha. H is positive definite
    where Z_S'Z_S is; a singular H follows the rule of `functional.solve_support`. Once
    differentiable, and the memory does not depend on the number of iterations.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    fit = multitask_lasso_gram(*multitask_statistics(Z, Y), alpha, **options)
    return (fit.coef, fit.result) if return_result else fit.coef


def multitask_lasso_gram(
    gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor | float, **options: Any
) -> LeastSquaresFit:
    """Coefficients and losses as differentiable functions of the Gram statistics.

    With v = H^-1 dL/dW: dL/dG = -(v W' + W v')/2, dL/dQ = v, dL/dalpha = -sum_j u_j'v_j.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        Symmetric.
    corr : Tensor of shape (*batch, m, q)
    y_sq : Tensor of shape (*batch, q)
    alpha : float or Tensor of shape (*batch,)
    **options
        tol, max_iter and coef_init of `solvers.solve_multitask_lasso_gram`.

    Returns
    -------
    LeastSquaresFit
        coef of shape (*batch, m, q) and loss of shape (*batch, q), of each output.

    Notes
    -----
    As in `multitask_lasso`.
    """
    batch = corr.shape[:-2]
    gram, alphas = one_or_each(gram, batch), tensor_like(alpha, corr).expand(batch)
    result = solve_multitask_lasso_gram(gram, corr, y_sq, alphas, **options)
    coef, loss = _MultitaskLasso.apply(gram, corr, y_sq, alphas, result.coef)
    return LeastSquaresFit(coef, loss, result)


class _MultitaskLasso(torch.autograd.Function):
    """Derivative as in FitFunction, for rows of coefficients; gram is (m, m) or (T, m, m)."""

    @staticmethod
    def forward(
        ctx: Any, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, solution: Tensor
    ) -> tuple[Tensor, Tensor]:
        coef = solution.reshape(-1, *solution.shape[-2:])
        fitted = (gram @ coef).reshape(solution.shape)
        squares = y_sq + (solution * (fitted - 2 * corr)).sum(-2)
        ctx.save_for_backward(gram, corr, alpha, solution)
        ctx.set_materialize_grads(False)
        return solution.clone(), 0.5 * squares.clamp_min(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_coef: Tensor | None, to_loss: Tensor | None) -> tuple[Any, ...]:
        gram, corr, alpha, solution = ctx.saved_tensors
        w = solution.reshape(-1, *solution.shape[-2:])
        slope = gram @ w - corr.reshape(w.shape)
        through = torch.zeros_like(w) if to_coef is None else to_coef.reshape(w.shape)
        if to_loss is not None:
            share = to_loss.reshape(len(w), 1, -1)
            through = through + share * slope
        support, norm = _support(gram, w, slope, alpha.reshape(-1, 1))
        length = torch.where(support, norm, 1.0)
        direction = w / length[..., None]
        v = _adjoint(gram, support, direction, alpha.reshape(-1, 1) / length, through)
        to_alpha = -(v * direction).sum((-2, -1)).reshape(alpha.shape)
        to_corr, through_gram = v, v
        if to_loss is not None:
            to_corr, through_gram = v - share * w, v - 0.5 * share * w
        return (
            _gram_gradient(gram, through_gram, w) if ctx.needs_input_grad[0] else None,
            to_corr.reshape(corr.shape),
            None if to_loss is None else 0.5 * to_loss,
            to_alpha,
            None,
        )


def _support(gram: Tensor, w: Tensor, slope: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Mask of the rows that a proximal step keeps, and the norms of all rows.

    Rows that are nonzero by rounding alone are left out: their curvature would have no bound.
    """
    norm = vector_norm(w, dim=-1)
    diagonal = gram.diagonal(dim1=-2, dim2=-1)[..., None]
    return (norm > 0) & (vector_norm(w * diagonal - slope, dim=-1) > alpha), norm


def _adjoint(
    gram: Tensor, support: Tensor, direction: Tensor, curvature: Tensor, grad: Tensor
) -> Tensor:
    solutions = []
    for part in cached_parts(curvature):
        of_part = gram if gram.ndim == 2 else gram[part]
        factor = factor_blocks(of_part, support[part], direction[part], curvature[part])
        solutions.append(factor.solve(grad[part]))
    return torch.cat(solutions)


def _gram_gradient(gram: Tensor, through_gram: Tensor, w: Tensor) -> Tensor:
    """Compute -(v W' + W v')/2, summed over problems that share one matrix."""
    if gram.ndim == 2:
        product = through_gram.transpose(0, 1).flatten(1) @ w.transpose(0, 1).flatten(1).T
    else:
        product = through_gram @ w.mT
    return -0.5 * (product + product.mT)
