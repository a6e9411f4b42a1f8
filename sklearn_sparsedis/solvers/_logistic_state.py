"""Batches of logistic regressions and their iterates."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional import bernoulli_divergence, logistic_loss
from sklearn_sparsedis.solvers._logistic_penalties import Penalty

__all__ = ["Design", "LogisticProblem", "LogisticState", "Moments", "choose", "evaluate"]

# products of pairs of features are kept where they are so few in all, and features so few
PRODUCTS = 4_000_000
PRODUCT_FEATURES = 48
# weighted copies of the features are made in parts of so many entries
COPIES = {"cpu": 1_000_000}
COPIES_ELSEWHERE = 100_000_000


class Moments(NamedTuple):
    """Weighted second moments of the features about their weighted means.

    Attributes
    ----------
    gram : Tensor of shape (T, m, m)
    mean : Tensor of shape (T, m)
    total : Tensor of shape (T,)
        Sum of the weights.
    """

    gram: Tensor
    mean: Tensor
    total: Tensor


@dataclass(frozen=True)
class Design:
    """Features of T problems: one matrix (n, m) for all, or (T, n, m).

    `products` holds the products of all pairs of features, (n, m^2), where they are few.
    """

    Z: Tensor
    products: Tensor | None = None

    @classmethod
    def of(cls, Z: Tensor) -> "Design":
        n, m = Z.shape[-2:]
        if Z.ndim > 2 or m > PRODUCT_FEATURES or n * m * m > PRODUCTS:
            return cls(Z)
        return cls(Z, (Z[:, :, None] * Z[:, None, :]).reshape(n, m * m))

    def part(self, index: Tensor) -> "Design":
        return self if self.Z.ndim == 2 else Design(self.Z[index])

    def combine(self, coef: Tensor) -> Tensor:
        """Z w of each problem, (T, m) to (T, n)."""
        return coef @ self.Z.T if self.Z.ndim == 2 else torch.bmm(coef[:, None], self.Z.mT)[:, 0]

    def correlate(self, rows: Tensor) -> Tensor:
        """Z'r of each problem, (T, n) to (T, m)."""
        return rows @ self.Z if self.Z.ndim == 2 else torch.bmm(rows[:, None], self.Z)[:, 0]

    def moments(self, weight: Tensor) -> Moments:
        """Moments under the weights (T, n) of rows."""
        total = weight.sum(-1)
        mean = self.correlate(weight) / torch.where(total > 0, total, 1.0)[:, None]
        gram = self._second_moments(weight)
        gram = torch.baddbmm(gram, (mean * total[:, None])[:, :, None], mean[:, None], alpha=-1)
        return Moments(gram, mean, total)

    def _second_moments(self, weight: Tensor) -> Tensor:
        T, n = weight.shape
        m = self.Z.shape[-1]
        if self.products is not None:
            return (weight @ self.products).view(T, m, m)
        size = max(1, COPIES.get(weight.device.type, COPIES_ELSEWHERE) // max(n * m, 1))
        parts = []
        for start in range(0, max(T, 1), size):
            part = slice(start, start + size)
            Z = self.Z if self.Z.ndim == 2 else self.Z[part]
            parts.append((Z.mT * weight[part][:, None]) @ Z)
        return torch.cat(parts)


@dataclass(frozen=True)
class LogisticProblem:
    """T problems.

    Attributes
    ----------
    design : Design
    y : Tensor of shape (T, n)
    share : Tensor of shape (T, n) or (T, 1)
        Weights of rows; all zero for a problem that is not to move.
    alpha : Tensor of shape (T,)
    null : Tensor of shape (T,)
        Objective of the best constant.
    penalty : Penalty
    """

    design: Design
    y: Tensor
    share: Tensor
    alpha: Tensor
    null: Tensor
    penalty: Penalty

    def part(self, index: Tensor) -> "LogisticProblem":
        return replace(
            self,
            design=self.design.part(index),
            y=self.y[index],
            share=self.share[index],
            alpha=self.alpha[index],
            null=self.null[index],
        )


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
