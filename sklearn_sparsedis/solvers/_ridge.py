"""Batched ridge regression in closed form."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional import centred_gram, solve_support
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._lasso import residual_square
from sklearn_sparsedis.functional._support import factor_support, gram_matvec
from sklearn_sparsedis.solvers._result import SolveResult

__all__ = [
    "constant_features",
    "one_or_each",
    "solve_and_invert",
    "solve_ridge",
    "solve_ridge_gram",
]


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
    One Cholesky factorisation a problem, or one eigenvalue decomposition for all problems that
    share their features, and a step of iterative refinement. Nothing is recorded for autograd.
    """
    with torch.no_grad():
        statistics = centred_gram(Z, y, centre=False)
        result = solve_ridge_gram(*statistics[:3], alpha, tol=tol)
        residual = y - (Z @ result.coef[..., None])[..., 0]
        strength = tensor_like(alpha, Z)
        penalty = 0.5 * strength * result.coef.square().sum(-1)
        return replace(result, objective=0.5 * residual.square().mean(-1) + penalty)


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
    A feature with G_jj = 0 has the coefficient zero, whatever q_j is. At alpha = 0 a singular G
    gives the least-squares solution of least norm, with eigenvalues at rounding level taken as zero
    where one G serves all problems, and by the rule of `functional.solve_support` otherwise.
    """
    return solve_and_invert(gram, corr, y_sq, alpha, tol=tol)[0]


@torch.no_grad()
def solve_and_invert(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1,
    coef_init: Tensor | None = None,
) -> tuple[SolveResult, Callable[[Tensor], Tensor]]:
    """`solve_ridge_gram`, and the map from (T, m) to (G + alpha I)^-1 of it."""
    batch, m = corr.shape[:-1], corr.shape[-1]
    G, y2 = one_or_each(gram, batch), y_sq.reshape(-1)
    q = corr.reshape(-1, m)
    strength = tensor_like(alpha, q).expand(batch).reshape(-1, 1)
    invert = _shared_inverse(G, strength) if G.ndim == 2 else _inverse(G, strength)

    def residual(coef: Tensor) -> Tensor:
        return q - gram_matvec(G, coef) - strength * coef

    coef = invert(q)
    coef = coef + invert(residual(coef))
    gradient = residual(coef)
    objective = 0.5 * residual_square(q, y2, coef, gradient)
    gap = 0.5 * (gradient * invert(gradient)).sum(-1)
    scale = objective.maximum(0.5e-3 * y2)
    gap = torch.where(scale > 0, gap / scale, gap)
    result = SolveResult(
        coef.reshape(*batch, m),
        objective.reshape(batch),
        gap.reshape(batch),
        torch.ones(batch, dtype=torch.int64, device=q.device),
        (gap <= tol).reshape(batch),
    )
    return result, invert


def _shared_inverse(gram: Tensor, strength: Tensor) -> Callable[[Tensor], Tensor]:
    # eigh raises where it meets NaN or inf; here they flow through, as everywhere else
    finite = gram.isfinite().all()
    values, vectors = torch.linalg.eigh(torch.where(finite, gram, 0.0))
    vectors = torch.where(constant_features(gram)[:, None], 0.0, vectors)
    rounding = 10 * len(gram) * torch.finfo(gram.dtype).eps * values[-1]
    total = values + strength
    inverse = torch.where(total > rounding, 1 / total, 0.0) * torch.where(finite, 1.0, torch.nan)
    return lambda x: (x @ vectors * inverse) @ vectors.T


def _inverse(gram: Tensor, strength: Tensor) -> Callable[[Tensor], Tensor]:
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    system = gram + strength[:, :, None] * eye
    factor = factor_support(system, ~constant_features(gram))
    return lambda x: solve_support(factor, x, least_norm=True)


def constant_features(gram: Tensor) -> Tensor:
    """Features that do not vary, with G_jj = 0; shape (m,) or (T, m).

    Their correlations with the targets can be no more than rounding, and their coefficients are
    zero.
    """
    return gram.diagonal(dim1=-2, dim2=-1) <= 0


def one_or_each(gram: Tensor, batch: torch.Size) -> Tensor:
    """Gram matrices as (m, m), where one serves all problems, or (T, m, m)."""
    m = gram.shape[-1]
    if gram.numel() == m * m:
        return gram.reshape(m, m)
    return gram.expand(*batch, m, m).reshape(-1, m, m)
