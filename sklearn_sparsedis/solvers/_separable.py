"""Batched least squares under penalties that are sums over the coefficients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._support import factor_regular, gram_matvec
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import constant_features, one_or_each
from sklearn_sparsedis.solvers.lasso._solver import solve_lasso_gram

__all__ = [
    "SWEEPS",
    "Elementwise",
    "curvatures",
    "derivatives",
    "descend",
    "solve_separable_gram",
]

# sweeps of coordinate descent between two looks at the certificates
SWEEPS = 8
# changes of single coefficients that are tried before sweeps where only supports are open
CHANGES = 3
# blocks of sweeps after which supports are left open where Newton steps are not exact
DECIDED = 20
# a certificate that says, in units of rounding, that each coefficient is on its part
ROUNDED = 1e3
# a function of coefficients or targets, strengths and curvatures, which broadcast
Elementwise = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def solve_separable_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    value: Elementwise,
    threshold: Elementwise,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Find a local minimum of 1/2 w'Gw - w'q + y_sq/2 + sum_j value(w_j, alpha, G_jj).

    Parameters
    ----------
    gram, corr, y_sq, alpha
        As in `solve_mcp_gram`.
    value : callable
        Penalty of each coefficient.
    threshold : callable
        Minimiser of c/2 (w - target)^2 + value(w, alpha, c) for each target and curvature c.
    tol, max_iter, coef_init
        As in `solve_mcp_gram`.

    Returns
    -------
    SolveResult
        As of `solve_mcp_gram`: `gap` is what the best change of one coefficient would gain.

    Notes
    -----
    Cyclic coordinate descent, with a Newton step before the first and after every block of sweeps,
    which is taken where it does not raise the objective. Derivatives of `value` are by autograd.
    """
    return descend(
        gram,
        corr,
        y_sq,
        alpha,
        sweep=partial(_sweep, threshold),
        newton=partial(_newton_step, value),
        value=value,
        threshold=threshold,
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
    )[0]


def descend(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    sweep: Callable[..., Tensor],
    newton: Callable[..., tuple[Tensor, Tensor, Any]],
    value: Elementwise,
    threshold: Elementwise,
    tol: float,
    max_iter: int,
    coef_init: Tensor | None,
) -> tuple[SolveResult, Any]:
    """Sweeps and Newton steps until all certificates are below `tol` and all supports decided.

    Parameters
    ----------
    gram, corr, y_sq, alpha, tol, max_iter, coef_init
        As in `solve_mcp_gram`.
    sweep : callable
        From (gram, corr, alpha, coef) to coefficients after `SWEEPS` sweeps.
    newton : callable
        From the same to coefficients after a Newton step, whether it is exact once each coefficient
        is on its part of the penalty, and what the caller wants to know of it.
    value, threshold
        As in `solve_separable_gram`.
    """
    batch, m = corr.shape[:-1], corr.shape[-1]
    G, y2 = one_or_each(gram, batch), y_sq.reshape(-1)
    constant = constant_features(G)
    q = torch.where(constant, 0.0, corr.reshape(-1, m))
    strength = tensor_like(alpha, q).expand(batch).reshape(-1, 1)
    if coef_init is None:
        coef = solve_lasso_gram(G, q, y2, strength[:, 0], tol=tol, max_iter=max_iter).coef
    else:
        coef = torch.where(constant, 0.0, coef_init.reshape(-1, m).to(q.dtype))
    n_iter = torch.zeros(len(q), dtype=torch.int64, device=q.device)
    coef, exact, known = newton(G, q, strength, coef)
    objective, gap, changed = _certify(G, q, y2, strength, coef, value, threshold)
    # the gradient rests on the parts on which the coefficients are, and the gain of a change is
    # the square of a coefficient's error
    rounded = min(tol, ROUNDED * torch.finfo(q.dtype).eps)
    active = torch.zeros_like(exact)
    for block in range(-(-max_iter // SWEEPS)):
        # on its way to another part, a coefficient passes where there is no minimum
        decides = exact | (active if block < DECIDED else False)
        active = gap > torch.where(decides, rounded, tol)
        if not any_true(active):
            break
        # on an accelerator sweeps cost little more than to ask
        if block >= CHANGES or gap.device.type != "cpu" or any_true(gap > tol):
            changed = sweep(G, q, strength, coef)
        moved = torch.where(active[:, None], changed, coef)
        coef, exact, known = newton(G, q, strength, moved)
        n_iter = n_iter + SWEEPS * active
        objective, gap, changed = _certify(G, q, y2, strength, coef, value, threshold)
    result = SolveResult(
        coef.reshape(*batch, m),
        objective.reshape(batch),
        gap.reshape(batch),
        n_iter.reshape(batch),
        (gap <= tol).reshape(batch),
    )
    return result, known


def curvatures(gram: Tensor, coef: Tensor) -> Tensor:
    """G_jj of each coefficient, shape (T, m); one where it is zero."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    return torch.where(diagonal > 0, diagonal, 1.0).expand_as(coef)


def derivatives(
    value: Elementwise, coef: Tensor, alpha: Tensor, curvature: Tensor
) -> tuple[Tensor, Tensor]:
    """First and second derivatives of a penalty in each coefficient."""
    with torch.enable_grad():
        w = coef.detach().requires_grad_()
        penalty = value(w, alpha.detach(), curvature.detach()).sum()
        (slope,) = torch.autograd.grad(penalty, w, create_graph=True)
        if not slope.requires_grad:
            return slope, torch.zeros_like(slope)
        (bend,) = torch.autograd.grad(slope.sum(), w, allow_unused=True, materialize_grads=True)
    return slope.detach(), bend


def _newton_step(
    value: Elementwise, gram: Tensor, corr: Tensor, alpha: Tensor, coef: Tensor
) -> tuple[Tensor, Tensor, None]:
    """A step to where the gradient is zero, unless the objective rises by more than rounding."""
    curvature = curvatures(gram, coef)
    slope, bend = derivatives(value, coef, alpha, curvature)
    gradient = corr - gram_matvec(gram, coef)
    factor, regular = factor_regular(gram + torch.diag_embed(bend), coef != 0)
    step = factor.solve(gradient - slope)
    moved = coef + step
    before, after = value(coef, alpha, curvature), value(moved, alpha, curvature)
    rise = (step * (0.5 * gram_matvec(gram, step) - gradient) + after - before).sum(-1)
    rounding = 4 * torch.finfo(coef.dtype).eps * (before.abs() + after.abs()).sum(-1)
    kept = regular & (rise <= rounding)
    return torch.where(kept[:, None], moved, coef), torch.zeros_like(kept), None


def _sweep(
    threshold: Elementwise, gram: Tensor, corr: Tensor, alpha: Tensor, start: Tensor
) -> Tensor:
    curvature = curvatures(gram, start).unbind(1)
    strength, rows = alpha[:, 0], gram.unbind(-2)
    gradient = corr - gram_matvec(gram, start)
    columns = gradient.unbind(1)
    coef = list(start.unbind(1))
    for _ in range(SWEEPS):
        for j, old in enumerate(coef):
            coef[j] = threshold(columns[j] / curvature[j] + old, strength, curvature[j])
            gradient.addcmul_(rows[j], (old - coef[j])[:, None])
    return torch.stack(coef, 1)


def _certify(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor,
    coef: Tensor,
    value: Elementwise,
    threshold: Elementwise,
) -> tuple[Tensor, Tensor, Tensor]:
    """Objective, and the relative gain of the best change of one coefficient, with that change."""
    curvature = curvatures(gram, coef)
    fitted = (gram @ coef[..., None])[..., 0]
    gradient = corr - fitted
    penalty = value(coef, alpha, curvature)
    residual_sq = (y_sq - (coef * (corr + gradient)).sum(-1)).clamp_min(0)
    objective = 0.5 * residual_sq + penalty.sum(-1)
    best = threshold(coef + gradient / curvature, alpha, curvature)
    step = best - coef
    gain = penalty - value(best, alpha, curvature) + step * (gradient - 0.5 * curvature * step)
    alive = gram.diagonal(dim1=-2, dim2=-1) > 0
    gain, most = torch.where(alive, gain, 0.0).max(-1, keepdim=True)
    gain, scale = gain[:, 0].clamp_min(0), objective.maximum(0.5e-3 * y_sq)
    changed = coef.scatter(1, most, best.gather(1, most))
    return objective, torch.where(scale > 0, gain / scale, gain), changed
