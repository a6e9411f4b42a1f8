"""The prior of a new task's head, learned from old tasks that are taken for new in turn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from sklearn_sparsedis.adaptation._design import Design, LabelDesign, TaskRows
from sklearn_sparsedis.adaptation._evidence import Scales, Strengths
from sklearn_sparsedis.adaptation._hierarchy import Hierarchy
from sklearn_sparsedis.adaptation._prior import LabelPrior, TaskPrior, ValuePrior
from sklearn_sparsedis.adaptation._spike_slab import Spikes

__all__ = [
    "FinalHeads",
    "learn_common_prior",
    "learn_label_prior",
    "learn_prior",
    "prior_of_heads",
]

Prior = TypeVar("Prior", bound=TaskPrior)
Designs = Sequence[Design] | Sequence[LabelDesign]

# shares of noise, and of the features in the rest
NOISE = (1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.95)
RESIDUAL = (0.1, 0.3, 0.6, 0.9, 1.0)
# shares of the second kind of features among these
SECOND = (0.0, 1.0)
# variances of log-odds, as many as shares of noise
SPREAD = (0.01, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# tasks that a multiple of the identity counts as among the old ones in their second moment
SHRINKAGE = (0.3, 1.0, 4.0, 16.0, 1e6)
# tasks that equal probabilities of all strengths count as: new tasks may be unlike the old ones
DOUBT = 2.0
EM_STEPS = 100
# old tasks that say whether new heads have zeros
SPIKED = 32
# variance of an intercept where tasks have units and levels of their own, in units of the targets'
FREE = 100.0
# degrees of freedom of the variance there, and those that are tried where tasks share a unit
FEW = 1.0
DOF = (4.0, 1.0, 16.0, 64.0)


@dataclass(frozen=True)
class Moments:
    """Second moments of intercepts and heads about their mean.

    Attributes
    ----------
    each : Tensor of shape (T, 1 + m, 1 + m)
        What each of T tasks contributes.
    target : Tensor of shape (1 + m,)
        Which variances shrinkage leads to: those with the same mark are made equal.
    """

    each: Tensor
    target: Tensor

    def shrunk(self, shrinkage: float, *, without: int = 0) -> Tensor:
        """Mean of all tasks, or of all but each of the first ones, shape (1, ...) or (k, ...)."""
        total, n = self.each.sum(0, keepdim=True), len(self.each)
        if without:
            total, n = total - self.each[:without], n - 1
        diagonal = total.diagonal(dim1=-2, dim2=-1) / max(n, 1)
        size = torch.stack([diagonal[:, self.target == k].mean(1) for k in self.target], dim=1)
        size = torch.where((self.target > 0) & (size <= 0), 1.0, size)
        return (total + shrinkage * torch.diag_embed(size)) / (n + shrinkage)


class FinalHeads(NamedTuple):
    """Heads of a fit, on components of the encoder that is kept.

    Attributes
    ----------
    components : Tensor of shape (n, m)
    heads : Tensor of shape (T, m)
        For targets with a standard deviation of one.
    used : Tensor of bool, shape (T, m)
        Which components they use.
    rows : TaskRows or None
        Some rows of the first of the tasks; without, nothing is said of zeros.
    """

    components: Tensor
    heads: Tensor
    used: Tensor
    rows: TaskRows | None


def learn_prior(
    draws: Sequence[TaskRows], heads: Tensor, final: FinalHeads, kinds: Tensor
) -> ValuePrior:
    """Prior for tasks with units and levels of their own.

    The second moment S of the heads is shrunk towards a multiple of the identity. How far, and the
    probabilities of the strengths, are those under which the labels of old tasks have the highest
    evidence, where the head of the task itself is left out of S. Where some of the final heads have
    zeros, new ones have zeros with the probability of the highest evidence, likewise.

    Parameters
    ----------
    draws : sequence of TaskRows
        Some rows of each of T tasks, several times; best such on which nothing was fitted.
    heads : Tensor of shape (T', m)
        Heads on components for targets with a standard deviation of one, those of the draws first.
    final : FinalHeads
        From which S comes in the end, where those above were but tried.
    kinds : Tensor of shape (k, p)
        One where a feature is of a kind, and zero elsewhere.
    """
    zero = heads.new_zeros(())
    blank = _blank(heads.new_zeros(1 + heads.shape[1]), zero, heads.new_tensor(FREE), FEW, kinds)
    designs = [blank.design(rows) for rows in draws]
    prior, shrinkage = _most_evident([blank], designs, _about_zero(heads))
    moments, Z = _about_zero(final.heads), final.components
    moment = _unit(moments.shrunk(shrinkage), [Design.of_inputs(Z, Z[:, :0])])[0]
    prior = prior.given(prior.scales._replace(moment=moment), prior.log_probability)
    if final.rows is None or not final.used.any() or final.used.all():
        return prior
    n = min(SPIKED, len(final.rows.targets))
    design = prior.design(final.rows).of_tasks(torch.arange(n))
    without = _unit(moments.shrunk(shrinkage, without=n), [design])
    few = prior.with_strengths(torch.arange(min(2, len(prior.strengths))))
    few = few.given(few.scales._replace(moment=without), few.log_probability)
    sparse = _share(few.sparse_gain(design, Spikes.of(final.heads, final.used, without=n)))
    # a basis can be turned so that each component has m - 1 zeros among heads that have none
    n_tasks, m = final.heads.shape
    sparse = sparse * max(1 - (m - 1) / n_tasks, 0)
    return replace(prior, spikes=Spikes.of(final.heads, final.used), sparse=sparse)


def _share(gain: Tensor) -> Tensor:
    """Share of heads with zeros, as if there were half a one and half another more."""
    share = gain.new_tensor(0.5)
    for _ in range(EM_STEPS):
        share = (torch.sigmoid(gain + share.log() - (-share).log1p()).sum() + 0.5) / (len(gain) + 1)
    return share


def prior_of_heads(heads: Tensor, covariance: Tensor, n_features: int) -> ValuePrior:
    """Prior for tasks with units and levels of their own from heads alone.

    Without labels of the old tasks all strengths are as probable, and the second moment of the
    heads is shrunk as much as one task more would.

    Parameters
    ----------
    heads : Tensor of shape (T, m)
        Those without a signal say nothing.
    covariance : Tensor of shape (m, m)
        Of the components.
    n_features : int
        Standardised features beside the components.
    """
    signal = ((heads @ covariance) * heads).sum(1)
    heads = heads[signal > 0] / signal[signal > 0].sqrt().unsqueeze(1)
    moment = _about_zero(heads).shrunk(1.0)[0]
    moment = moment / (moment * pad(covariance, (1, 0, 1, 0))).sum()
    zero = heads.new_zeros(())
    kinds = heads.new_ones(1, n_features)
    blank = _blank(heads.new_zeros(1 + heads.shape[1]), zero, heads.new_tensor(FREE), FEW, kinds)
    scales = blank.scales._replace(moment=moment, feature=kinds / n_features)
    return blank.given(scales, blank.log_probability - math.log(len(blank.log_probability)))


def learn_common_prior(draws: Sequence[TaskRows], rows: TaskRows, kinds: Tensor) -> ValuePrior:
    """Prior for tasks that resemble one another and have targets in the same units.

    Their heads scatter about a mean head. It and their covariance are those under which the labels
    of all old tasks have the highest evidence; then as in `learn_prior`.

    Parameters
    ----------
    draws, kinds
        As in `learn_prior`.
    rows : TaskRows
        Labels of T' tasks, those of the draws first.
    """
    # in units of their own, so that the level of the targets does not round them
    level, unit = _level(rows)
    rows = rows._replace(targets=(rows.targets - level) / unit)
    found = Hierarchy.fit(rows)
    mean, moments = _about_mean(found)
    others = _means_without(found.heads, len(draws[0].targets))
    left = [
        (d.targets - level) / unit - (d.components @ others[:, 1:, None])[..., 0] - others[:, :1]
        for d in draws
    ]
    weight = torch.cat([d.weight.flatten() for d in draws])
    variance = weight @ torch.cat([r.flatten() for r in left]).square() / weight.sum()
    variance = torch.where(variance > 0, variance, 1.0)
    designs = [
        Design.of(d._replace(targets=r / variance.sqrt())) for d, r in zip(draws, left, strict=True)
    ]
    mean = mean * unit
    mean[0] += level
    blanks = [_blank(mean, variance * unit**2, mean.new_zeros(()), dof, kinds) for dof in DOF]
    return _most_evident(blanks, designs, moments)[0]


def learn_label_prior(draws: Sequence[TaskRows], rows: TaskRows, kinds: Tensor) -> LabelPrior:
    """Prior for tasks with labels 0 and 1, as `learn_common_prior` has it for log-odds.

    Parameters
    ----------
    draws, rows, kinds
        As in `learn_common_prior`.
    """
    found = Hierarchy.fit_labels(rows)
    mean, moments = _about_mean(found)
    others = _means_without(found.heads, len(draws[0].targets))
    spread = mean.new_tensor(SPREAD)
    strengths = Strengths.products(spread, _shares(kinds), 0 * spread)
    zero, one = mean.new_zeros(()), mean.new_ones(())
    unlearned = mean.new_zeros(len(strengths))
    blank = LabelPrior(mean, Scales(zero, kinds, zero, one), strengths, unlearned, one)
    return _most_evident([blank], [LabelDesign.of(d, others) for d in draws], moments)[0]


def _about_mean(found: Hierarchy) -> tuple[Tensor, Moments]:
    """Mean head, and second moments of intercepts and heads about it."""
    mean = found.heads.mean(0)
    about = found.heads - mean
    each = about[:, :, None] * about[:, None, :] + found.covariance
    return mean, Moments(each, torch.tensor([2] + [1] * (len(mean) - 1)))


def _means_without(heads: Tensor, k: int) -> Tensor:
    """Means of all heads but each of the first k, shape (k, ...)."""
    return (heads.sum(0) - heads[:k]) / max(len(heads) - 1, 1)


def _level(rows: TaskRows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of all targets together, the latter not zero."""
    share = rows.weight / rows.weight.sum()
    mean = (share * rows.targets).sum()
    unit = (share * (rows.targets - mean).square()).sum().sqrt()
    return mean, torch.where(unit > 0, unit, 1.0)


def _about_zero(heads: Tensor) -> Moments:
    """Of heads whose intercepts are left free."""
    each = pad(heads[:, :, None] * heads[:, None, :], (1, 0, 1, 0))
    return Moments(each, torch.tensor([0] + [1] * heads.shape[1]))


def _shares(kinds: Tensor) -> Tensor:
    """Shares (r, k) of features of each kind in the signal, the first of which are zero."""
    second = SECOND if len(kinds) > 1 else SECOND[:1]
    found = [(s * (1 - t), s * t) for s in RESIDUAL for t in second]
    return kinds.new_tensor([(0.0, 0.0), *found])[:, : len(kinds)]


def _coarse(prior: TaskPrior) -> Tensor:
    """Some strengths that stand for all: every third share of noise, fewer of the others."""
    n_shares = len(prior.strengths) // len(NOISE)
    step = 3 if prior.strengths.features.shape[1] > 1 else 2
    index = torch.arange(len(prior.strengths)).unflatten(0, (len(NOISE), n_shares))
    return index[::3, ::step].flatten()


def _blank(mean: Tensor, variance: Tensor, level: Tensor, dof: float, kinds: Tensor) -> ValuePrior:
    """A prior whose strengths are to be found."""
    strengths = Strengths.grid(mean.new_tensor(NOISE), _shares(kinds))
    scales = Scales(mean.new_zeros(()), kinds, level, mean.new_tensor(dof))
    return ValuePrior(mean, scales, strengths, mean.new_zeros(len(strengths)), variance)


def _most_evident(
    blanks: Sequence[Prior], designs: Designs, moments: Moments
) -> tuple[Prior, float]:
    """The prior with the shrinkage, and then the other scales, of the highest evidence.

    And the shrinkage.
    """
    n_drawn = len(designs[0].targets)
    feature = _feature_scale(designs, blanks[0].scales.feature)

    def judge(blank: Prior, shrinkage: float, designs: Designs) -> tuple[Tensor, Prior]:
        without = _unit(moments.shrunk(shrinkage, without=n_drawn), designs)
        scales = blank.scales._replace(moment=without, feature=feature)
        found = torch.stack([blank.log_evidence(d, scales) for d in designs])
        log_probability, total = _probabilities(found)
        scales = scales._replace(moment=_unit(moments.shrunk(shrinkage), designs)[0])
        return total, blank.given(scales, log_probability)

    def best(tried: Sequence[tuple[Prior, float]]) -> int:
        """Judged by few strengths on the smallest draw, at a fraction of the cost."""
        few = [blank.with_strengths(_coarse(blank)) for blank, _ in tried]
        totals = [judge(f, s, designs[:1])[0] for f, (_, s) in zip(few, tried, strict=True)]
        return int(torch.stack(totals).argmax())

    shrinkage = SHRINKAGE[best([(blanks[0], s) for s in SHRINKAGE])]
    blank = blanks[best([(b, shrinkage) for b in blanks]) if len(blanks) > 1 else 0]
    return judge(blank, shrinkage, designs)[1].likely(), shrinkage


def _unit(moment: Tensor, designs: Designs) -> Tensor:
    """Second moments (T, ...) with which the mean variance of signals on the rows is one."""
    U = torch.cat([d.components.flatten(0, 1) for d in designs])
    gram = U.T @ U / U[:, 0].square().sum()
    size = (moment * gram).sum((-2, -1))
    return moment / torch.where(size > 0, size, 1.0)[:, None, None]


def _feature_scale(designs: Designs, kinds: Tensor) -> Tensor:
    """Variances with which the mean variance of signals of each kind on the rows is one."""
    square = torch.stack([d.features.square().sum((0, 1)) for d in designs]).sum(0)
    rows = torch.stack([d.components[..., 0].square().sum() for d in designs]).sum()
    size = kinds @ square / rows
    return kinds / torch.where(size > 0, size, 1.0)[:, None]


def _probabilities(log_evidence: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities (G,) from evidence of D draws of T tasks (D, G, T), and mean evidence.

    Found by expectation maximisation, with equal ones as if from `DOUBT` more tasks.
    """
    top = log_evidence.amax(1, keepdim=True)
    relative = (log_evidence - top).exp()
    probability = relative.new_full((log_evidence.shape[1],), 1 / log_evidence.shape[1])
    for _ in range(EM_STEPS):
        share = relative * probability[:, None]
        share = share / share.sum(1, keepdim=True)
        probability = share.mean(0).sum(1) + DOUBT / len(probability)
        probability = probability / probability.sum()
    total = ((relative * probability[:, None]).sum(1).log() + top[:, 0]).mean(0).sum()
    return probability.log(), total
