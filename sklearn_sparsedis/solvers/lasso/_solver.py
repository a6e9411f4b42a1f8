"""Batched Lasso: active-set Newton steps, safeguarded by coordinate descent."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics, centred_gram, lasso_objective
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import constant_features, one_or_each, solve_ridge_gram
from sklearn_sparsedis.solvers.lasso._active_set import Factor, solve_in_parts
from sklearn_sparsedis.solvers.lasso._state import LassoProblem, choose

__all__ = ["solve_and_factor", "solve_from_statistics", "solve_lasso", "solve_lasso_gram"]


def solve_lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/(2n) ||Z w - y||^2 + alpha ||w||_1 for a batch of problems.

    Equation and scaling as in [1]_, section 2; no intercept (centre Z and y, or see
    `solve_lasso_gram`).

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Targets.
    alpha : float or Tensor of shape (*batch,)
        Strength, not negative, in the units of Z'y / n.
    tol : float
        Relative duality gap at which a problem is done (see `SolveResult`).
    max_iter : int
        Limit on coordinate sweeps and Newton steps together.
    coef_init : Tensor of shape (*batch, m), optional
        Start.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m).

    Notes
    -----
    Works on Gram matrices: O(n m^2) once, then O(m^2) a sweep and O(s^3) a Newton step with s
    variables in use. Nothing is recorded for autograd; `implicit.lasso` differentiates the
    solution.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    with torch.no_grad():
        statistics = centred_gram(Z, y, centre=False)
        options = {"tol": tol, "max_iter": max_iter, "coef_init": coef_init}
        return solve_from_statistics(Z, y, alpha, statistics, options)[0]


def solve_from_statistics(
    Z: Tensor, y: Tensor, alpha: Tensor | float, statistics: GramStatistics, options: dict[str, Any]
) -> tuple[SolveResult, Factor | None]:
    """`solve_lasso` for callers that have the statistics; see `solve_and_factor`."""
    result, factor = solve_and_factor(*statistics[:3], alpha, **options)
    residual = y - (Z @ result.coef[..., None])[..., 0]
    strength = tensor_like(alpha, Z)
    objective = lasso_objective(residual.square().mean(-1), result.coef, strength)
    return replace(result, objective=objective), factor


def solve_lasso_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/2 w'Gw - w'q + y_sq/2 + alpha ||w||_1 for a batch of problems.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (*batch, m)
        q = Z'y / n.
    y_sq : Tensor of shape (*batch,)
        y'y / n.
    alpha, tol, max_iter, coef_init
        As in `solve_lasso`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m).

    Notes
    -----
    A block of iterations is a few sweeps of coordinate descent, then a few Newton steps of the
    primal-dual active-set method (each solves the stationarity equations on the current guess of
    support and signs). A Newton step is kept only where it lowers the objective, so the method
    converges as coordinate descent does and ends as Newton's method does; problems in which
    supports keep changing are left to feature-sign search (`_feature_sign.py`). The first block has
    one Newton step, taken by every problem however good its start is, and no sweeps with
    `coef_init`. Small problems on the CPU begin with up to three plain Newton steps instead, each
    of the problems that are left. In double precision a problem whose gap is closed goes on until
    the conditions of optimality decide its support, on which the gradient of the solution rests:
    where near copies share a weight that takes longer. The host looks at the gaps once a block.
    Problems that a block leaves as they were have reached what their dtype can, and stop.
    Singular systems follow the rule of `functional.solve_support`, and a feature with G_jj = 0 has
    the coefficient zero. Problems with alpha = 0 are least squares, solved and certified by
    `solve_ridge_gram`.
    """
    return solve_and_factor(
        gram, corr, y_sq, alpha, tol=tol, max_iter=max_iter, coef_init=coef_init
    )[0]


@torch.no_grad()
def solve_and_factor(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> tuple[SolveResult, Factor | None]:
    """`solve_lasso_gram`, and the factors of the systems on the supports where they are at hand."""
    batch, m = corr.shape[:-1], corr.shape[-1]
    G, y2 = one_or_each(gram, batch), y_sq.reshape(-1)
    constant = constant_features(G)
    q = torch.where(constant, 0.0, corr.reshape(-1, m))
    strength = tensor_like(alpha, q).expand(batch).reshape(-1)
    start = None
    if coef_init is not None:
        start = torch.where(constant, 0.0, coef_init.reshape(-1, m).to(q.dtype))
    free = strength == 0
    some_free = any_true(free)
    if some_free:  # solved below; here they are done at once, with the solution zero
        strength = torch.where(free, q.abs().amax(-1) + 1, strength)
        start = None if start is None else torch.where(free[:, None], 0.0, start)
    state, factor = solve_in_parts(LassoProblem(G, q, y2, strength), start, tol, max_iter)
    if some_free:
        plain = solve_ridge_gram(G, q, y2, 0.0)
        least_squares = replace(
            state, coef=plain.coef, objective=plain.objective, gap=plain.gap, n_iter=plain.n_iter
        )
        state, factor = choose(free, least_squares, state), None
    result = SolveResult(
        state.coef.reshape(*batch, m),
        state.objective.reshape(batch),
        state.gap.reshape(batch),
        state.n_iter.reshape(batch),
        (state.gap <= tol).reshape(batch),
    )
    return result, factor
