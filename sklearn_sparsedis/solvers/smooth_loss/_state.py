"""Iterates of batches of logistic regressions, with their certificates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import bernoulli_divergence, logistic_loss
from sklearn_sparsedis.solvers.smooth_loss._problem import LogisticProblem

__all__ = ["LogisticState", "choose", "evaluate"]


@dataclass(frozen=True)
class LogisticState:
    """Iterate of T problems with its certificate; `residual` and `curvature` are weighted."""

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

    def part(self, index: Tensor) -> "LogisticState":
        return LogisticState(*(value[index] for value in vars(self).values()))

    def put(self, index: Tensor, other: "LogisticState") -> "LogisticState":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return LogisticState(*(mine.index_copy(0, index, theirs) for mine, theirs in pairs))


def choose(choice: Tensor, one: LogisticState, other: LogisticState) -> LogisticState:
    """The states of one where `choice` is True, of the other elsewhere."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(choice[:, None] if a.ndim == 2 else choice, a, b)

    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return LogisticState(*(pick(a, b) for a, b in pairs))


def evaluate(
    problem: LogisticProblem, coef: Tensor, intercept: Tensor, n_iter: Tensor
) -> LogisticState:
    """The iterate with its certificate.

    The dual problem asks for probabilities p with sum_i s_i (p_i - y_i) = 0 and a bound on
    Z'S(y - p). The residuals r = y - sigmoid(f) of one sign are shrunk until they balance those of
    the other, then all of them until the bound holds: then p lies between y and sigmoid(f).
    With D the divergence of p from sigmoid(f), the gap is
    D + penalty(w) + its conjugate - w'Z'S(y - p).
    """
    design, share, y = problem.design, problem.share, problem.y
    score = design.combine(coef) + intercept[:, None]
    above, below = torch.sigmoid(score), torch.sigmoid(-score)
    raw = y * below - (1 - y) * above
    residual = share * raw
    gradient = design.correlate(residual)
    loss = (share * logistic_loss(score, y)).sum(-1)
    objective = loss + problem.penalty.value(coef, problem.alpha)
    shrink = _balance(residual)
    scale, gap = problem.penalty.gap(coef, design.correlate(shrink * residual), problem.alpha)
    step = raw * (1 - scale[:, None] * shrink)
    gap = gap + (share * bernoulli_divergence(above, below, step)).sum(-1)
    floor = objective.maximum(1e-3 * problem.null)
    gap = torch.where(floor > 0, gap.clamp_min(0) / floor, gap)
    curvature = share * above * below
    return LogisticState(
        coef, intercept, score, residual, curvature, gradient, loss, objective, gap, n_iter
    )


def _balance(residual: Tensor) -> Tensor:
    """Factors of at most one under which the residuals of each problem sum to zero."""
    more = residual.clamp_min(0).sum(-1, keepdim=True)
    less = more - residual.sum(-1, keepdim=True)
    both = more.minimum(less)
    up = torch.where(more > 0, both / more, 1.0)
    down = torch.where(less > 0, both / less, 1.0)
    return torch.where(residual > 0, up, down).clamp_min(0)
