"""Iterates of batches of penalised fits, with their certificates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.smooth_loss._problem import SmoothProblem

__all__ = ["SmoothState", "choose", "evaluate"]


@dataclass(frozen=True)
class SmoothState:
    """Iterate of T problems with its certificate; `residual` and `curvature` are weighted.

    `near` says whether the last step saw near copies of a feature.
    """

    coef: Tensor
    intercept: Tensor
    score: Tensor
    residual: Tensor
    curvature: Tensor
    gradient: Tensor
    loss: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: Tensor
    near: Tensor

    def part(self, index: Tensor) -> "SmoothState":
        return SmoothState(*(value[index] for value in vars(self).values()))

    def put(self, index: Tensor, other: "SmoothState") -> "SmoothState":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return SmoothState(*(mine.index_copy(0, index, theirs) for mine, theirs in pairs))


def choose(choice: Tensor, one: SmoothState, other: SmoothState) -> SmoothState:
    """The states of one where `choice` is True, of the other elsewhere."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(choice[:, None] if a.ndim == 2 else choice, a, b)

    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return SmoothState(*(pick(a, b) for a, b in pairs))


def evaluate(
    problem: SmoothProblem, coef: Tensor, intercept: Tensor, n_iter: Tensor
) -> SmoothState:
    """The iterate with its certificate.

    The dual problem asks for one variable u a row with sum_i s_i u_i = 0 and a bound on Z'Su. The
    residuals, minus the slopes of the loss, of one sign are shrunk until they balance those of the
    other, then all of them until the bound holds: then u lies between zero and the residuals.
    With D the sum over rows of loss(f) + conjugate(-u) + u f, the gap is
    D + penalty(w) + its conjugate - w'Z'Su.
    """
    design, share = problem.design, problem.share
    score = design.combine(coef) + intercept[:, None]
    rows = problem.loss.at(score, problem.y)
    residual = share * rows.residual
    gradient = design.correlate(residual)
    loss = (share * rows.value).sum(-1)
    objective = loss + problem.penalty.value(coef, problem.alpha)
    shrink = _balance(residual)
    scale, gap = problem.penalty.gap(coef, design.correlate(shrink * residual), problem.alpha)
    step = rows.residual * (1 - scale[:, None] * shrink)
    gap = gap + (share * rows.divergence(step)).sum(-1)
    floor = objective.maximum(1e-3 * problem.null)
    gap = torch.where(floor > 0, gap.clamp_min(0) / floor, gap)
    curvature = rows.curvature(share)
    slopes, near = (residual, curvature, gradient), torch.zeros_like(gap, dtype=torch.bool)
    return SmoothState(coef, intercept, score, *slopes, loss, objective, gap, n_iter, near)


def _balance(residual: Tensor) -> Tensor:
    """Factors of at most one under which the residuals of each problem sum to zero."""
    more = residual.clamp_min(0).sum(-1, keepdim=True)
    less = more - residual.sum(-1, keepdim=True)
    both = more.minimum(less)
    up = torch.where(more > 0, both / more, 1.0)
    down = torch.where(less > 0, both / less, 1.0)
    return torch.where(residual > 0, up, down).clamp_min(0)
