"""The head that all tasks have in common, and the deviations of the tasks from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.penalties import Penalty

__all__ = [
    "CommonHead",
    "Deviations",
    "count_labels",
    "fit_common_head",
    "fit_deviations",
    "task_shares",
]

# Variance of the deviations, in units of the noise, below which their penalty grows no more.
LEAST_SPREAD = 1e-20
# Variance that rounding gives to targets, whose variance is one if they are not all equal.
LEAST_NOISE = torch.finfo(torch.float64).eps ** 2


@dataclass(frozen=True)
class CommonHead:
    """A distribution of heads: the heads of the tasks scatter about one common head.

    Attributes
    ----------
    coef : Tensor of shape (m,)
        Coefficients of the common head.
    intercept : Tensor of shape ()
        Its intercept.
    noise : Tensor of shape ()
        Variance of targets about the heads of their tasks.
    spread : Tensor of shape ()
        Variance of a coefficient between tasks.
    intercept_spread : Tensor of shape ()
        Variance of the intercept between tasks.
    """

    coef: Tensor
    intercept: Tensor
    noise: Tensor
    spread: Tensor
    intercept_spread: Tensor

    def least_alpha(self, penalty: Penalty, n_labels: Tensor) -> Tensor:
        """Alpha under which the solution is the most probable deviation, for n labels a task."""
        spread = self.spread.maximum(LEAST_SPREAD * self.noise)
        return penalty.alpha_of_spread(spread) * self.noise / n_labels.clamp_min(1)


@dataclass(frozen=True)
class Deviations:
    """Statistics of the residuals of a common head.

    Attributes
    ----------
    gram, corr, y_sq : Tensor
        As in `GramStatistics`, with residuals as targets; they include the penalty of the
        intercepts.
    mean : Tensor of shape (T,)
        Mean residuals.
    free : Tensor of shape (T,)
        Share of the mean residual that the intercept takes up; the penalty shrinks it by the rest.
    """

    gram: Tensor
    corr: Tensor
    y_sq: Tensor
    mean: Tensor
    free: Tensor


def count_labels(weights: Tensor | None, n_rows: int, n_tasks: int, like: Tensor) -> Tensor:
    """Number of labels of each task, shape (T,).

    A weight of two counts as two labels, but a label whose weight is below one counts as one.

    Parameters
    ----------
    weights : Tensor of shape (n,) or (T, n), optional
    n_rows, n_tasks : int
    like : Tensor
        The result has its dtype and device.
    """
    if weights is None:
        return like.new_full((n_tasks,), n_rows)
    weights = weights.to(like)
    return weights.sum(-1).maximum((weights > 0).to(like).sum(-1)).expand(n_tasks)


def task_shares(weights: Tensor | None, corr: Tensor) -> Tensor:
    """Shares of T tasks in all weight, shape (T,), for corr of shape (T, m)."""
    if weights is None or weights.ndim == 1:
        return corr.new_full((len(corr),), 1 / len(corr))
    total = weights.to(corr).sum(-1)
    return total / total.sum()


def fit_common_head(stats: GramStatistics, n_labels: Tensor, share: Tensor) -> CommonHead:
    r"""Common head of tasks by least squares, and the spread of the tasks about it.

    :math:`w_0, b_0` minimise :math:`\sum_t s_t \|Z_t w + b - y_t\|^2 / n_t`, with a ridge as if the
    head explained half of the variance. With :math:`c_t, G_t, q_t` the residuals' correlation with
    the components, the Gram matrix and their mean square, all centred, the noise
    :math:`\sigma^2` and the spread :math:`\tau^2` solve the moment equations

    .. math:: \textstyle \sum_t n_t q_t = \sum_t [(n_t - 1) \sigma^2 + n_t \tau^2 \mathrm{tr} G_t],
       \quad \sum_t n_t \|c_t\|^2 = \sum_t [\sigma^2 \mathrm{tr} G_t
       + n_t \tau^2 \mathrm{tr} G_t^2],

    which hold in the mean for tasks of any size.

    Parameters
    ----------
    stats : GramStatistics
        Statistics of T tasks.
    n_labels : Tensor of shape (T,)
    share : Tensor of shape (T,)
        Weights s of the tasks in the common head, as `task_shares` gives them.

    Returns
    -------
    CommonHead
        The head is differentiable, its variances are not.
    """
    gram, corr, y_sq, z_mean, y_mean = stats
    z_mean = z_mean.expand_as(corr)
    centre, y_centre = share @ z_mean, share @ y_mean
    about = z_mean - centre
    pooled = gram if gram.ndim == 2 else torch.einsum("t,tij->ij", share, gram)
    pooled = pooled + (about * share[:, None]).T @ about
    cross = share @ corr + (share * (y_mean - y_centre)) @ about
    m = corr.shape[-1]
    ridge = pooled.detach().diagonal().mean() * m / n_labels.sum()
    tiny = torch.finfo(ridge.dtype).tiny
    eye = torch.eye(m, dtype=pooled.dtype, device=pooled.device)
    coef = torch.linalg.solve(pooled + (ridge + tiny) * eye, cross)
    intercept = y_centre - centre @ coef
    with torch.no_grad():
        noise, spread, intercept_spread = _variances(stats, n_labels, coef, intercept)
    return CommonHead(coef, intercept, noise, spread, intercept_spread)


def _variances(
    stats: GramStatistics, n: Tensor, coef: Tensor, intercept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, spread of the coefficients and of the intercepts by moments, none below zero."""
    residuals = _residuals(stats, coef, intercept)
    trace = stats.gram.diagonal(dim1=-2, dim2=-1).sum(-1).expand_as(n)
    square = stats.gram.square().sum((-2, -1)).expand_as(n)
    a, b = (n - 1).clamp_min(0).sum(), (n * trace).sum()
    c, d = trace.sum(), (n * square).sum()
    total = (n * residuals.y_sq).sum()
    signal = (n * residuals.corr.square().sum(-1)).sum()
    determinant = a * d - b * c
    spread = (a * signal - c * total) / torch.where(determinant > 0, determinant, torch.inf)
    spread = spread.clamp_min(0)
    noise = ((total - spread * b) / a.clamp_min(1)).clamp_min(LEAST_NOISE)
    intercept_spread = (n * residuals.mean.square() - noise).sum() / n.sum()
    return noise, spread, intercept_spread.clamp_min(0)


def _residuals(stats: GramStatistics, coef: Tensor, intercept: Tensor) -> Deviations:
    """Statistics of the residuals of one head, without a penalty of the intercepts."""
    gram, corr, y_sq, z_mean, y_mean = stats
    explained = gram @ coef
    residuals = corr - explained
    square = y_sq - ((corr + residuals) * coef).sum(-1)
    mean = y_mean - (z_mean * coef).sum(-1) - intercept
    return Deviations(gram, residuals, square.clamp_min(0), mean, torch.ones_like(mean))


def fit_deviations(stats: GramStatistics, common: CommonHead, n_labels: Tensor) -> Deviations:
    r"""Statistics from which the deviations of the tasks from a common head are solved.

    For the intercept c beside a deviation v, whose penalty is :math:`\kappa c^2 / 2n` with
    :math:`\kappa` = noise / intercept_spread, the best value is the share n / (n + kappa) of
    the mean residual of v. With it the problem in v is least squares, with statistics in which the
    share s = kappa / (n + kappa) of the means remains: :math:`G + s \bar z \bar z^T` and so on.

    Parameters
    ----------
    stats : GramStatistics
        Statistics of T tasks. Tasks that share a Gram matrix have equal numbers of labels.
    common : CommonHead
    n_labels : Tensor of shape (T,)
    """
    residuals = _residuals(stats, common.coef, common.intercept)
    scaled = n_labels * common.intercept_spread
    free = scaled / (scaled + common.noise)
    kept = 1 - free
    z_mean = stats.z_mean.expand_as(residuals.corr)
    if stats.gram.ndim == 2:
        gram = stats.gram + kept[0] * torch.outer(z_mean[0], z_mean[0])
    else:
        gram = stats.gram + kept[:, None, None] * z_mean[:, :, None] * z_mean[:, None, :]
    return Deviations(
        gram,
        residuals.corr + (kept * residuals.mean)[:, None] * z_mean,
        residuals.y_sq + kept * residuals.mean.square(),
        residuals.mean,
        free,
    )
