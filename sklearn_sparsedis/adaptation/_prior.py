"""What the heads of old tasks say of a new one, and the heads of new tasks that follow."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design, TaskRows
from sklearn_sparsedis.adaptation._evidence import (
    Scales,
    Strengths,
    kernels,
    log_evidence,
    solutions,
)

__all__ = ["NewHeads", "TaskPrior"]

# probability of the strengths that need not be tried, and of those that need not be summed over
NEGLECTED = 0.01


class NewHeads(NamedTuple):
    """Heads of T new tasks.

    Attributes
    ----------
    coef : Tensor of shape (T, m)
    intercept : Tensor of shape (T,)
    feature_coef : Tensor of shape (T, p)
        Heads on the standardised features.
    residual_share : Tensor of shape (T,)
        Expected share of the features in the variance of the signal.
    """

    coef: Tensor
    intercept: Tensor
    feature_coef: Tensor
    residual_share: Tensor


@dataclass(frozen=True)
class TaskPrior:
    """Prior of a new task's head.

    Attributes
    ----------
    mean : Tensor of shape (1 + m,)
        Mean intercept and head, in units of the targets; zero where tasks have units of their own.
    scales : Scales
    strengths : Strengths
    log_probability : Tensor of shape (G,)
        Of the strengths.
    variance : Tensor of shape ()
        Unit of variances; zero where it is each task's own.
    """

    mean: Tensor
    scales: Scales
    strengths: Strengths
    log_probability: Tensor
    variance: Tensor

    def given(self, scales: Scales, log_probability: Tensor) -> "TaskPrior":
        """The prior with scales, and probabilities of its strengths."""
        return replace(self, scales=scales, log_probability=log_probability)

    def likely(self) -> "TaskPrior":
        """The prior without the least likely strengths."""
        order = self.log_probability.argsort(descending=True)
        before = self.log_probability[order].exp().cumsum(0) - self.log_probability[order].exp()
        return self.with_strengths(order[before < 1 - NEGLECTED])

    def with_strengths(self, kept: Tensor) -> "TaskPrior":
        """The prior with some of its strengths."""
        return replace(
            self,
            strengths=self.strengths.part(kept),
            log_probability=self.log_probability[kept],
        )

    def standardise(self, rows: TaskRows) -> tuple[TaskRows, Tensor, Tensor]:
        """Targets about the mean head in units of the prior; means and units, shape (T,) each."""
        if self.variance > 0:
            expected = rows.components @ self.mean[1:] + self.mean[0]
            unit = self.variance.sqrt().expand(len(rows.targets))
            return rows._replace(targets=(rows.targets - expected) / unit[:, None]), 0 * unit, unit
        mean, unit = rows.levels()
        unit = torch.where(unit > 0, unit, 1.0)
        targets = (rows.targets - mean[:, None]) / unit[:, None]
        return rows._replace(targets=targets), mean, unit

    def adapt(self, rows: TaskRows) -> NewHeads:
        """Mean heads of tasks given their rows, over all strengths."""
        standard, mean, unit = self.standardise(rows)
        design = Design.of(standard)
        found = list(solutions(design, self.scales, self.strengths))
        probability = self._given([s.log_evidence for s in found])
        dual, s = torch.stack([s.dual for s in found]), self.strengths
        heads, features, level = (
            torch.einsum("g,gt,gtn->tn", share, probability, dual)
            for share in (s.heads, s.features, torch.ones_like(s.noise))
        )
        w = _transposed(design.components, heads) @ self.scales.moment
        w[:, 0] += self.scales.level * _transposed(design.components[..., :1], level)[:, 0]
        w = w * unit[:, None] + self.mean
        w[:, 0] += mean
        v = self.scales.feature * _transposed(design.features, features) * unit[:, None]
        share = probability.T @ (s.features / (1 - s.noise))
        return NewHeads(w[:, 1:], w[:, 0], v, share)

    def deviation(self, rows: TaskRows, components: Tensor, features: Tensor) -> Tensor:
        """Standard deviations (T, k) of targets of further rows, given those of each task.

        Parameters
        ----------
        rows : TaskRows
        components : Tensor of shape (k, m)
        features : Tensor of shape (k, p)
        """
        standard, _, unit = self.standardise(rows)
        design, others = Design.of(standard), Design.of_inputs(components, features)
        evidence = log_evidence(design, self.scales, self.strengths)
        probability = self._given(list(evidence))
        cross = kernels(design, others, self.scales)
        own = [k.diagonal(dim1=-2, dim2=-1) for k in kernels(others, others, self.scales)]
        dof = self.scales.dof + design.n_labels
        spread = dof / (dof - 2).clamp_min(1.0)
        mean = square = components.new_zeros(())
        found = solutions(design, self.scales, self.strengths)
        for p, solution, (a, b, c) in zip(probability, found, self.strengths.each(), strict=True):
            between = a * cross[0] + b * cross[1] + cross[2]
            explained = torch.linalg.solve_triangular(solution.root, between, upper=False)
            variance = a * own[0] + b * own[1] + own[2] + c - explained.square().sum(-2)
            predicted = _transposed(between, solution.dual)
            variance = (spread * solution.variance)[:, None] * variance
            mean = mean + p[:, None] * predicted
            square = square + p[:, None] * (predicted.square() + variance)
        return (square - mean.square()).clamp_min(0).sqrt() * unit[:, None]

    def _given(self, log_evidence: list[Tensor]) -> Tensor:
        """Probabilities of the strengths given the targets, shape (G, T)."""
        return torch.softmax(torch.stack(log_evidence) + self.log_probability[:, None], 0)


def _transposed(A: Tensor, x: Tensor) -> Tensor:
    """Products A'x of (B, n, k) with (T, n), shape (T, k)."""
    if len(A) == 1:
        return x @ A[0]
    return (A.mT @ x[..., None])[..., 0]
