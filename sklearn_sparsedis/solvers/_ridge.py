"""Batched ridge regression in closed form."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional import (
    centred_gram,
    factor_support,
    gram_matvec,
    residual_square,
    solve_support,
    strength_like,
)
from sklearn_sparsedis.solvers._result import SolveResult

__all__ = ["add_ridge", "solve_ridge", "solve_ridge_gram"]


def solve_ridge(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/(2n) ||Z w - y||^2 + alpha/2 ||w||_2^2 for a batch of problems.

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Targets.
    alpha : float or Tensor of shape (*batch,)
        Strength, not negative, in the units of Z'Z / n.
    tol : float
        Relative gap above which `converged` is False.
    max_iter, coef_init
        Not used: the solution is in closed form. They are there so that all least-squares
        solvers have one signature.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m).

    Notes
    -----
    One Cholesky factorisation a problem, or one in all where gram and alpha are shared, and one
    step of iterative refinement. Nothing is recorded for autograd.
    """
    with torch.no_grad():
        statistics = centred_gram(Z, y, centre=False)
        result = solve_ridge_gram(*statistics[:3], alpha, tol=tol)
        residual = y - (Z @ result.coef[..., None])[..., 0]
        strength = strength_like(alpha, Z)
        penalty = 0.5 * strength * result.coef.square().sum(-1)
        return replace(result, objective=0.5 * residual.square().mean(-1) + penalty)


@torch.no_grad()
def solve_ridge_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/2 w'(G + alpha I)w - w'q + y_sq/2 for a batch of problems.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (*batch, m)
        q = Z'y / n.
    y_sq : Tensor of shape (*batch,)
        y'y / n.
    alpha, tol, max_iter, coef_init
        As in `solve_ridge`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m); the gap is 1/2 g'(G + alpha I)^-1 g with g the gradient, which
        is exact.

    Notes
    -----
    At alpha = 0 and a singular G the rule of `functional.factor_support` holds.
    """
    batch, m = corr.shape[:-1], corr.shape[-1]
    q, y2 = corr.reshape(-1, m), y_sq.reshape(-1)
    system = add_ridge(gram, alpha, batch)
    factor = factor_support(system, torch.ones_like(q, dtype=torch.bool))
    coef = solve_support(system, factor, q)
    gradient = q - gram_matvec(system, coef)
    objective = 0.5 * residual_square(q, y2, coef, gradient)
    gap = 0.5 * (gradient * solve_support(system, factor, gradient)).sum(-1)
    scale = objective.maximum(0.5e-3 * y2)
    gap = gap / torch.where(scale > 0, scale, torch.ones_like(scale))
    return SolveResult(
        coef.reshape(*batch, m),
        objective.reshape(batch),
        gap.reshape(batch),
        torch.ones(batch, dtype=torch.int64, device=q.device),
        (gap <= tol).reshape(batch),
    )


def add_ridge(gram: Tensor, alpha: Tensor | float, batch: torch.Size) -> Tensor:
    """G + alpha I, of shape (T, m, m), or (m, m) where one matrix and one alpha serve all."""
    m = gram.shape[-1]
    strength = strength_like(alpha, gram)
    eye = torch.eye(m, dtype=gram.dtype, device=gram.device)
    if gram.ndim == 2 and (strength.ndim == 0 or not any(strength.stride())):
        return gram + strength.reshape(-1)[0] * eye
    return (gram + strength[..., None, None] * eye).expand(*batch, m, m).reshape(-1, m, m)
