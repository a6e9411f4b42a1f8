"""What the heads of old tasks say of a new one, and the heads of new tasks that follow."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design, LabelDesign, TaskRows
from sklearn_sparsedis.adaptation._evidence import (
    Scales,
    Strengths,
    kernels,
    log_evidence,
    solutions,
    variances,
)
from sklearn_sparsedis.adaptation._logistic import modes
from sklearn_sparsedis.adaptation._spike_slab import Spikes, sparse_heads

__all__ = ["LabelPrior", "NewHeads", "TaskPrior", "ValuePrior"]

# probability of the strengths that need not be tried, and of those that need not be summed over
NEGLECTED = 0.01
NEGLECTED_BY_MANY = 0.05
# labels of a task up to which all strengths are tried on all of them, and the probability of a
# strength without which it is not tried on more
MANY = 500
LIKELY = 0.3
# probability of a strength under which heads with zeros are tried, and the most that their evidence
# counts beyond that of normal heads
TRIED = 0.3
MOST_GAIN = 50.0


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
    support_probability : Tensor of shape (T, m), optional
        That a task uses a component, where old heads have zeros.
    """

    coef: Tensor
    intercept: Tensor
    feature_coef: Tensor
    residual_share: Tensor
    support_probability: Tensor | None = None


class StandardHeads(NamedTuple):
    """The same in units of the prior, about its mean, with the intercept first in `coef`."""

    coef: Tensor
    feature_coef: Tensor
    residual_share: Tensor
    support_probability: Tensor | None = None


@dataclass(frozen=True)
class TaskPrior(ABC):
    """Prior of a new task's head.

    Attributes
    ----------
    mean : Tensor of shape (1 + m,)
        Mean intercept and head; zero where tasks have units of their own.
    scales : Scales
    strengths : Strengths
    log_probability : Tensor of shape (G,)
        Of the strengths.
    variance : Tensor of shape ()
        Unit of variances; zero where it is each task's own, one of labels.
    """

    mean: Tensor
    scales: Scales
    strengths: Strengths
    log_probability: Tensor
    variance: Tensor
    _power: ClassVar[float] = 1.0

    @property
    def chooses_components(self) -> bool:
        """Whether it says which components a new task uses."""
        return False

    def given(self, scales: Scales, log_probability: Tensor) -> Self:
        """The prior with scales, and probabilities of its strengths."""
        return replace(self, scales=scales, log_probability=log_probability)

    def likely(self) -> Self:
        """The prior without the least likely strengths."""
        return self._with_likely(self.log_probability.exp(), NEGLECTED)

    def likely_given(self, rows: TaskRows) -> Self:
        """The prior without the strengths that many tasks together find least likely."""
        found = self._given(self.log_evidence(self.design(rows), self.scales))
        return self._with_likely(found.mean(1), NEGLECTED_BY_MANY)

    def _with_likely(self, probability: Tensor, neglected: float) -> Self:
        order = probability.argsort(descending=True)
        before = probability[order].cumsum(0) - probability[order]
        return self.with_strengths(order[before < 1 - neglected])

    def with_strengths(self, kept: Tensor) -> Self:
        """The prior with some of its strengths."""
        return replace(
            self,
            strengths=self.strengths.part(kept),
            log_probability=self.log_probability[kept],
        )

    @abstractmethod
    def levels(self, rows: TaskRows) -> tuple[Tensor, Tensor]:
        """What is added to intercepts of tasks, and what heads are multiplied by, (T,) each."""

    @abstractmethod
    def design(self, rows: TaskRows) -> Any:
        """Rows as the evidence needs them."""

    @abstractmethod
    def log_evidence(self, design: Any, scales: Scales) -> Tensor:
        """Of each strength for each task, shape (G, T), with given scales."""

    @abstractmethod
    def duals(self, design: Any) -> tuple[Tensor, Tensor]:
        """Log-evidence (G, T) of strengths, and (G, T, n) what gives the heads.

        Covariances of heads and rows times the latter are the heads.
        """

    def adapt(self, rows: TaskRows) -> NewHeads:
        """Mean heads of tasks given their rows, over all strengths."""
        design = self.design(rows)
        return self._in_units(rows, self._mean_heads(design, *self.duals(design)))

    def _mean_heads(self, design: Any, log_evidence: Tensor, dual: Tensor) -> StandardHeads:
        probability, s = self._given(log_evidence), self.strengths
        heads, level, *features = (
            torch.einsum("g,gt,gtn->tn", share, probability, dual)
            for share in (s.heads, torch.ones_like(s.noise), *s.features.T)
        )
        w = _transposed(design.components, heads) @ self.scales.moment
        w[:, 0] += self.scales.level * _transposed(design.components[..., :1], level)[:, 0]
        beside = [_transposed(design.features, kind) for kind in features]
        v = (self.scales.feature[:, None] * torch.stack(beside)).sum(0)
        return StandardHeads(w, v, probability.T @ s.residual)

    def _in_units(self, rows: TaskRows, heads: StandardHeads) -> NewHeads:
        mean, unit = self.levels(rows)
        w = heads.coef * unit[:, None] + self.mean
        v = heads.feature_coef * unit[:, None]
        return NewHeads(w[:, 1:], w[:, 0] + mean, v, *heads[2:])

    def _given(self, log_evidence: Tensor) -> Tensor:
        """Probabilities of the strengths given the targets, shape (G, T)."""
        return torch.softmax(self._power * log_evidence + self.log_probability[:, None], 0)


@dataclass(frozen=True)
class ValuePrior(TaskPrior):
    """Prior of the head of a task with squared errors.

    Attributes
    ----------
    spikes : Spikes, optional
        Of heads with zeros.
    sparse : Tensor of shape (), optional
        Probability that a head is one of those, and not normal.
    """

    spikes: Spikes | None = None
    sparse: Tensor | None = None
    # of the evidence of a strength: noise of real targets is not normal, and the evidence, which
    # takes it to be, is too sure (Gruenwald and van Ommen, Bayesian Analysis, 2017)
    _power: ClassVar[float] = 0.5

    @property
    def chooses_components(self) -> bool:
        """Whether it has zeros."""
        return self.spikes is not None

    def levels(self, rows: TaskRows) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each task's targets, where units are each task's own.

        The latter is zero of labels that are all equal: their heads have no unit.
        """
        if self.variance > 0:
            unit = self.variance.sqrt().expand(len(rows.targets))
            return 0 * unit, unit
        return rows.levels()

    def standardise(self, rows: TaskRows) -> TaskRows:
        """Targets about the mean head, in the units of the prior."""
        mean, unit = self.levels(rows)
        expected = rows.components @ self.mean[1:] + self.mean[0] + mean[:, None]
        return rows._replace(targets=(rows.targets - expected) / _positive(unit)[:, None])

    def design(self, rows: TaskRows) -> Design:
        """Of standardised targets."""
        return Design.of(self.standardise(rows))

    def log_evidence(self, design: Design, scales: Scales) -> Tensor:
        """As `solutions` has it."""
        return log_evidence(design, scales, self.strengths)

    def duals(self, design: Design) -> tuple[Tensor, Tensor]:
        """The inverse covariance of the targets times the targets."""
        found = list(solutions(design, self.scales, self.strengths))
        dual = torch.stack([solution.dual for solution in found])
        return torch.stack([solution.log_evidence for solution in found]), dual

    def _mean_heads(self, design: Design, log_evidence: Tensor, dual: Tensor) -> StandardHeads:
        heads = super()._mean_heads(design, log_evidence, dual)
        if self.spikes is None or self.sparse is None:
            return heads
        # in shares of the probability of normal heads, which use all components
        total = torch.ones_like(heads.coef[:, :1])
        w, v = heads.coef.clone(), heads.feature_coef.clone()
        used = torch.ones_like(w[:, 1:])
        probability, scales = self._given(log_evidence), self.scales
        tried = (probability >= TRIED) | (probability == probability.amax(0))
        for g, (a, b, c) in enumerate(self.strengths.each()):
            tasks = tried[g].nonzero()[:, 0]
            if not len(tasks):
                continue
            part = design.of_tasks(tasks)
            found = sparse_heads(part, scales, self.spikes, (a, b, c))
            gain = (found.log_evidence - log_evidence[g, tasks]).clamp_max(MOST_GAIN).exp()
            odds = probability[g, tasks] * gain * self.sparse / (1 - self.sparse)
            level = scales.level * _transposed(part.components[..., :1], found.dual)
            beside = (b @ scales.feature) * _transposed(part.features, found.dual)
            total[tasks] += odds[:, None]
            w[tasks] += odds[:, None] * torch.cat([level, found.coef], 1)
            v[tasks] += odds[:, None] * beside
            used[tasks] += odds[:, None] * found.probability
        return StandardHeads(w / total, v / total, heads.residual_share, used / total)

    def sparse_gain(self, design: Design, spikes: Spikes) -> Tensor:
        """Log-evidence (T,) of heads with zeros beyond that of normal ones, under each strength."""
        dense = self.log_evidence(design, self.scales)
        found = [sparse_heads(design, self.scales, spikes, s) for s in self.strengths.each()]
        zeros = torch.stack([heads.log_evidence for heads in found])
        each = self.log_probability[:, None]
        return torch.logsumexp(zeros + each, 0) - torch.logsumexp(dense + each, 0)

    def deviation(
        self,
        rows: TaskRows,
        components: Tensor,
        features: Tensor,
        missed: Tensor | None = None,
    ) -> Tensor:
        """Standard deviations (T, k) of targets of further rows, given those of each task.

        Parameters
        ----------
        rows : TaskRows
        components : Tensor of shape (k, m)
        features : Tensor of shape (k, p)
        missed : Tensor of shape (k,), optional
            Of similarities to landmarks, which are the last kind of features: how much less than
            one their sum of squares is, as the landmarks tell nothing of the rest.
        """
        unit, design = _positive(self.levels(rows)[1]), self.design(rows)
        others = Design.of_inputs(components, features)
        probability = self._given(self.log_evidence(design, self.scales))
        cross = kernels(design, others, self.scales)
        own = variances(others, self.scales)
        if missed is not None:
            own[1][-1] += self.scales.feature[-1].max() * missed
        dof = self.scales.dof + design.n_labels
        spread = dof / (dof - 2).clamp_min(1.0)
        mean = square = components.new_zeros(())
        found = solutions(design, self.scales, self.strengths)
        for p, solution, (a, b, c) in zip(probability, found, self.strengths.each(), strict=True):
            between = a * cross[0] + torch.tensordot(b, cross[1], 1) + cross[2]
            explained = torch.linalg.solve_triangular(solution.root, between, upper=False)
            variance = a * own[0] + torch.tensordot(b, own[1], 1) + own[2] + c
            variance = variance - explained.square().sum(-2)
            predicted = _transposed(between, solution.dual)
            variance = (spread * solution.variance)[:, None] * variance
            mean = mean + p[:, None] * predicted
            square = square + p[:, None] * (predicted.square() + variance)
        return (square - mean.square()).clamp_min(0).sqrt() * unit[:, None]


class LabelPrior(TaskPrior):
    """Prior of the head of a task with labels 0 and 1, for their log-odds."""

    def levels(self, rows: TaskRows) -> tuple[Tensor, Tensor]:
        """Zeros and ones: log-odds have no units."""
        return rows.targets.new_zeros(len(rows.targets)), rows.targets.new_ones(len(rows.targets))

    def design(self, rows: TaskRows) -> LabelDesign:
        """Rows about the mean head."""
        return LabelDesign.of(rows, self.mean[None])

    def log_evidence(self, design: LabelDesign, scales: Scales) -> Tensor:
        """As `modes` has it."""
        return torch.stack([m.log_evidence for m in modes(design, scales, self.strengths)])

    def duals(self, design: LabelDesign) -> tuple[Tensor, Tensor]:
        """Gradients of log-likelihoods at the modes."""
        found = list(modes(design, self.scales, self.strengths))
        dual = torch.stack([mode.dual for mode in found])
        return torch.stack([mode.log_evidence for mode in found]), dual

    def adapt(self, rows: TaskRows) -> NewHeads:
        """Mean of the modes over strengths, of many labels over those that a part finds likely."""
        n = rows.targets.shape[1]
        if n <= MANY or len(self.strengths) == 1:
            return super().adapt(rows)
        index = torch.arange(0, n, -(-n // MANY))
        part = self.design(TaskRows(*(x[:, index] for x in rows)))
        probability = self._given(self.log_evidence(part, self.scales))
        likely = (probability >= LIKELY) | (probability == probability.amax(0))
        return super(LabelPrior, self.with_strengths(likely.any(1).nonzero()[:, 0])).adapt(rows)


def _positive(unit: Tensor) -> Tensor:
    return torch.where(unit > 0, unit, 1.0)


def _transposed(A: Tensor, x: Tensor) -> Tensor:
    """Products A'x of (B, n, k) with (T, n), shape (T, k)."""
    if len(A) == 1:
        return x @ A[0]
    return (A.mT @ x[..., None])[..., 0]
