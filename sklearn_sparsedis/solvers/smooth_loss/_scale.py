"""Where Huber's loss turns from squares to absolute values, from the data."""

import math

import torch
from torch import Tensor

from sklearn_sparsedis.functional._logistic import row_shares
from sklearn_sparsedis.functional._support import factor_support
from sklearn_sparsedis.solvers.smooth_loss._losses import HuberLoss
from sklearn_sparsedis.solvers.smooth_loss._penalties import L2
from sklearn_sparsedis.solvers.smooth_loss._problem import pose
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_posed
from sklearn_sparsedis.solvers.smooth_loss._unit import alpha_unit

__all__ = ["huber_delta", "location_and_scale"]

# delta over the scale of normal errors with which 95 % of the efficiency of squares remain
TUNING = 1.345
# median absolute value, and mean absolute value, of a standard normal variable
MEDIAN_SIZE, MEAN_SIZE = 0.6744897501960817, math.sqrt(2 / math.pi)
# relative strengths of the ridge fits whose residuals are looked at, and fits of each
STRENGTHS = (1e-3, 3e-2, 1.0)
ROUNDS = 3
# least scale of the residuals, in units of the targets': closer fits need no robustness
LEAST_SCALE = 0.05
# accuracy of the fits
TOL = 1e-4
# largest leverage of a row, so that rounding does not divide by zero
LARGEST_LEVERAGE = 1 - 1e-5


@torch.no_grad()
def huber_delta(Z: Tensor, y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """1.345 times a robust scale of the residuals of each problem, shape (*batch,).

    With normal errors of that scale the estimate has 95 % of the efficiency of least squares [1]_.

    Parameters
    ----------
    Z : Tensor of shape (n, m) or (*batch, n, m)
        Features from which the targets can be predicted about as well as by the model to come, such
        as its inputs.
    y : Tensor of shape (*batch, n)
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        Zero leaves a row out of a problem.

    Notes
    -----
    The scale is the median absolute residual of ridge fits under Huber's loss, over that of a
    standard normal variable. Each row's residual is that of a fit without it, so that features
    that could interpolate the rows do not make the scale small. Of three strengths the one with the
    smallest scale counts. The scale is at most that of the targets about their median, which takes
    the place of a fit where features predict nothing, and at least 5 % of that. Where more than
    half of the targets are equal, the mean absolute deviation takes the place of the median. The
    scale is one where all are equal.

    It is meant to be computed once for a training: a scale that followed the residuals during the
    training would reward a worse fit with a wider delta. Nothing is recorded for autograd. No
    randomness.

    References
    ----------
    .. [1] Huber, Ronchetti, "Robust Statistics", 2nd ed., 2009.
    """
    share = row_shares(y, sample_weight).expand(y.shape)
    spread = location_and_scale(y, sample_weight)[1]
    constant, spread = spread == 0, torch.where(spread > 0, spread, 1.0)
    best = spread
    for strength in STRENGTHS:
        scale = spread
        for _ in range(ROUNDS):
            scale = scale.clamp(LEAST_SCALE * spread, spread)
            left_out = _left_out_residuals(Z, y, sample_weight, TUNING * scale, strength)
            scale = _scale(left_out, share)
        best = torch.where(constant, spread, best.minimum(scale))
    return TUNING * best.maximum(LEAST_SCALE * spread)


def location_and_scale(y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Median, and scale of the deviations from it as in `huber_delta`, shape (2, *batch)."""
    share = row_shares(y, sample_weight).expand(y.shape)
    location = _median(y, share)
    return torch.stack([location, _scale(y - location[..., None], share)])


def _left_out_residuals(
    Z: Tensor, y: Tensor, sample_weight: Tensor | None, delta: Tensor, strength: float
) -> Tensor:
    """Residuals of the rows, each as if the ridge fit had been made without it."""
    loss, penalty = HuberLoss(delta), L2()
    unit = alpha_unit(loss, penalty, Z, y, sample_weight)
    alpha = torch.where(unit > 0, strength * unit, 1.0)
    posed = pose(loss, penalty, Z, y, row_shares(y, sample_weight), alpha)
    state = solve_posed(posed, TOL, 100)[1]
    problem = posed.problem
    gram, mean, total = problem.design.moments(state.curvature)
    factor = factor_support(*penalty.second_derivative(gram, state.coef, problem.alpha))
    inverse = torch.cholesky_inverse(factor.cholesky)
    distance = problem.design.distances(inverse, mean)
    leverage = state.curvature * (distance + torch.where(total > 0, 1 / total, 0.0)[:, None])
    residual = (problem.y - state.score) / (1 - leverage.clamp(0, LARGEST_LEVERAGE))
    return residual.reshape(y.shape)


def _scale(residual: Tensor, share: Tensor) -> Tensor:
    """Standard deviation of normal residuals about zero, from the middle of their sizes."""
    size = residual.abs()
    median, mean = _median(size, share), (share * size).sum(-1)
    return torch.where(median > 0, median / MEDIAN_SIZE, mean / MEAN_SIZE)


def _median(x: Tensor, share: Tensor) -> Tensor:
    """Weighted medians; between two values where both are."""
    ordered, order = x.sort(-1)
    below = share.gather(-1, order).cumsum(-1)
    half = 0.5 * below[..., -1:]
    rounding = x.shape[-1] * torch.finfo(x.dtype).eps
    both = torch.cat([below < half - rounding, below <= half + rounding], -1)
    index = both.unflatten(-1, (2, -1)).sum(-1).clamp_max(x.shape[-1] - 1)
    return ordered.gather(-1, index).mean(-1)
