"""Batched Lasso of several outputs with one support: the group Lasso over outputs."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional import multitask_lasso_alpha_max, multitask_lasso_objective
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._near_copies import near_copies, rounded_gap
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import constant_features, one_or_each, solve_ridge_gram
from sklearn_sparsedis.solvers.lasso._solver import solve_lasso_gram
from sklearn_sparsedis.solvers.lasso._state import LassoState, choose
from sklearn_sparsedis.solvers.multitask_lasso._state import MultitaskProblem
from sklearn_sparsedis.solvers.multitask_lasso._steps import solve_multitask_in_parts

__all__ = ["multitask_statistics", "solve_multitask_lasso", "solve_multitask_lasso_gram"]


@torch.no_grad()
def solve_multitask_lasso(
    Z: Tensor,
    Y: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_W 1/(2n) ||Z W - Y||_F^2 + alpha sum_j ||W_j||_2 for a batch of problems.

    The inner problem of [1]_, section 2, for a task with q outputs: W_j is the row of W that
    belongs to feature j, and is used by all outputs or by none. No intercept (centre Z and Y).

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), or (n, m) for all problems; float32 or float64
        Features.
    Y : Tensor of shape (*batch, n, q)
        Targets. Problems with fewer outputs than others fill up with zeros: their coefficients
        are exactly zero.
    alpha : float or Tensor of shape (*batch,)
        Strength, not negative, in the units of Z'Y / n.
    tol : float
        Relative duality gap at which a problem is done (see `SolveResult`).
    max_iter : int
        Limit on coordinate sweeps, Newton steps and interior-point steps together.
    coef_init : Tensor of shape (*batch, m, q), optional
        Start.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m, q).

    Notes
    -----
    Works on Gram matrices: O(n m (m + q)) once, then as in `solve_multitask_lasso_gram`. Nothing
    is recorded for autograd; `implicit.multitask_lasso` differentiates the solution.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    statistics = multitask_statistics(Z, Y)
    result = solve_multitask_lasso_gram(
        *statistics, alpha, tol=tol, max_iter=max_iter, coef_init=coef_init
    )
    residual_sq = (Y - Z @ result.coef).square().sum((-2, -1)) / Z.shape[-2]
    strength = tensor_like(alpha, result.coef)
    return replace(result, objective=multitask_lasso_objective(residual_sq, result.coef, strength))


def multitask_statistics(Z: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Z'Z/n, Z'Y/n and the y'y/n of each output."""
    n = Z.shape[-2]
    return Z.mT @ Z / n, Z.mT @ Y / n, Y.square().mean(-2)


@torch.no_grad()
def solve_multitask_lasso_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_W 1/2 tr(W'GW) - tr(W'Q) + sum(y_sq)/2 + alpha sum_j ||W_j||_2 for a batch.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (*batch, m, q)
        Q = Z'Y / n.
    y_sq : Tensor of shape (*batch, q)
        y'y / n of each output.
    alpha, tol, max_iter, coef_init
        As in `solve_multitask_lasso`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m, q).

    Notes
    -----
    A block of iterations is a few sweeps of block coordinate descent, then a few steps of a
    semismooth Newton method, each kept only where it lowers the objective; the first block has no
    sweeps with `coef_init`. Problems in which supports keep changing (collinear features, more of
    them than rows, next to no penalty) are left to an interior-point method that takes some twenty
    steps. The systems of both, of the size of the support times q, have the curvature of the norms
    in terms of rank one a variable: with s variables in use a step is O(s^3 + s^2 q). Problems with
    near copies of a feature go on, in double precision, to a gap that decides their support. The
    host looks at the gaps once a block. Problems that a block leaves as they were have reached what
    their dtype can, and stop: in float32 a gap of 1e-5 for alpha from 0.1 alpha_max on, and more
    below, where the rounding of the gradient is not small against alpha.
    A feature with G_jj = 0 has the coefficient zero. One output is the problem of
    `solve_lasso_gram`. Problems with alpha = 0 are least squares, solved and certified by
    `solve_ridge_gram`, output by output.
    """
    batch, (m, q) = corr.shape[:-2], corr.shape[-2:]
    if q == 1:
        return _one_output(gram, corr, y_sq, alpha, tol, max_iter, coef_init)
    G, y2 = one_or_each(gram, batch), y_sq.reshape(-1, q)
    constant = constant_features(G)[..., None]
    Q = torch.where(constant, 0.0, corr.reshape(-1, m, q))
    strength = tensor_like(alpha, Q).expand(batch).reshape(-1)
    start = None
    if coef_init is not None:  # an output or a feature that is zero has the solution zero
        empty = (Q == 0).all(1, keepdim=True) | constant
        start = torch.where(empty, 0.0, coef_init.reshape(-1, m, q).to(Q.dtype))
    free = strength == 0
    some_free = any_true(free)
    if some_free:  # solved below; here they are done at once, with the solution zero
        strength = torch.where(free, multitask_lasso_alpha_max(Q) + 1, strength)
        start = None if start is None else torch.where(free[:, None, None], 0.0, start)
    gap = torch.where(near_copies(G), min(tol, rounded_gap(G.dtype)), tol).expand_as(strength)
    problem = MultitaskProblem(G, Q, y2.sum(-1), strength, gap)
    state = solve_multitask_in_parts(problem, start, max_iter)
    if some_free:
        state = choose(free, _least_squares(problem, y2, state), state)
    return SolveResult(
        state.coef.reshape(corr.shape),
        state.objective.reshape(batch),
        state.gap.reshape(batch),
        state.n_iter.reshape(batch),
        (state.gap <= tol).reshape(batch),
    )


def _one_output(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    tol: float,
    max_iter: int,
    coef_init: Tensor | None,
) -> SolveResult:
    start = None if coef_init is None else coef_init[..., 0]
    result = solve_lasso_gram(
        gram, corr[..., 0], y_sq[..., 0], alpha, tol=tol, max_iter=max_iter, coef_init=start
    )
    return replace(result, coef=result.coef[..., None])


def _least_squares(problem: MultitaskProblem, y_sq: Tensor, state: LassoState) -> LassoState:
    """Every output without a penalty."""
    corr = problem.corr
    results = [
        solve_ridge_gram(problem.gram, corr[..., k], y_sq[:, k], 0.0) for k in range(corr.shape[-1])
    ]
    objective, gap = torch.zeros_like(state.objective), torch.zeros_like(state.gap)
    for k, result in enumerate(results):
        objective = objective + result.objective
        gap = gap + result.gap * result.objective.maximum(0.5e-3 * y_sq[:, k])
    scale = objective.maximum(0.5e-3 * problem.y_sq)
    coef = torch.stack([result.coef for result in results], -1)
    gap = torch.where(scale > 0, gap / scale, gap)
    return replace(state, coef=coef, objective=objective, gap=gap, n_iter=results[0].n_iter)
