"""Heads of tasks, and functions that select and merge tasks of different kinds."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics, centred_gram
from sklearn_sparsedis.functional._gram import ROUNDED, CentredTargets
from sklearn_sparsedis.nn._common_head import CommonHead
from sklearn_sparsedis.solvers import SolveResult, least_squares_on
from sklearn_sparsedis.tasks._dense import TargetValues

__all__ = [
    "HeadTargets",
    "Heads",
    "head_statistics",
    "merge_heads",
    "refit_on_supports",
    "rounding_of",
    "rows_of_tasks",
    "starts_of_tasks",
    "targets_by_task",
    "targets_of_tasks",
    "weights_by_task",
    "weights_of_tasks",
]

HeadTargets = CentredTargets


def head_statistics(Z: Tensor, Y: TargetValues) -> GramStatistics:
    """Gram statistics of all tasks on rows Z (n, m), in float64."""

    def statistics(y: Tensor, weight: Tensor | None, Z: Tensor) -> GramStatistics:
        return centred_gram(Z.double(), y.double(), weight, rounding=rounding_of(Z.dtype))

    return GramStatistics(*Y.apply(statistics, Z))


def rounding_of(dtype: torch.dtype) -> float:
    """Standard deviation that rounding gives to components, which have unit variance."""
    return ROUNDED * torch.finfo(dtype).eps


@dataclass(frozen=True)
class Heads:
    """Heads of T tasks on m components.

    Attributes
    ----------
    coef : Tensor of shape (T, m)
    intercept : Tensor of shape (T,)
    loss : Tensor of shape (T,)
        Mean loss on the rows of the fit.
    alpha_max : Tensor of shape (T,)
        Unit of a relative `alpha`.
    result : SolveResult
        Certificate of the solve, not recorded for autograd; with a common head it is that of the
        deviations.
    common : CommonHead or None
        The common head, if the penalty is on deviations from one.
    """

    coef: Tensor
    intercept: Tensor
    loss: Tensor
    alpha_max: Tensor
    result: SolveResult
    common: CommonHead | None = None

    def predict(self, Z: Tensor) -> Tensor:
        """Scores of all tasks, shape (n, T): predicted targets, or log-odds for a logistic loss.

        Parameters
        ----------
        Z : Tensor of shape (n, m) or (T, n, m)
            Rows that all tasks share, or rows of each task.
        """
        Z = Z.to(self.coef.dtype)
        if Z.ndim == 3:
            return (Z @ self.coef[..., None])[..., 0].T + self.intercept
        return Z @ self.coef.T + self.intercept


def weights_by_task(weights: Tensor | None) -> Tensor | None:
    """Transpose weights of labels (n, T) to (T, n); weights of rows (n,) stay as they are."""
    return weights.T if weights is not None and weights.ndim == 2 else weights


def targets_by_task(Y: Tensor | HeadTargets) -> Tensor | HeadTargets:
    """Transpose targets (n, T) to (T, n) in double precision; centred ones are so already."""
    return Y.double().T if isinstance(Y, Tensor) else Y


def weights_of_tasks(weights: Tensor | None, tasks: Tensor) -> Tensor | None:
    """Select the weights of some tasks; weights of rows are those of all tasks."""
    return weights[:, tasks] if weights is not None and weights.ndim == 2 else weights


def rows_of_tasks(Z: Tensor, tasks: Tensor) -> Tensor:
    """Select the rows of some tasks, where every task has rows of its own."""
    return Z if Z.ndim == 2 else Z.index_select(0, tasks)


def starts_of_tasks(start: Tensor | None, tasks: Tensor) -> Tensor | None:
    """Select the starting values of some tasks."""
    return None if start is None else start.index_select(0, tasks)


def targets_of_tasks(Y: Tensor | HeadTargets, tasks: Tensor) -> Tensor | HeadTargets:
    """Select the targets (n, T), or centred targets, of some tasks."""
    if isinstance(Y, Tensor):
        return Y[:, tasks]
    return HeadTargets(*(x.index_select(0, tasks) for x in Y))


def refit_on_supports(heads: Heads, stats: GramStatistics) -> Heads:
    """Least-squares heads on the supports of others, from the statistics of their tasks."""
    coef = least_squares_on(heads.coef != 0, stats.gram, stats.corr, stats.y_sq)[0]
    return replace(heads, coef=coef, intercept=stats.y_mean - (coef * stats.z_mean).sum(-1))


def merge_heads(heads: list[Heads], order: Tensor) -> Heads:
    """Concatenate heads without a common head, and return those of an index `order`."""

    def join(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts).index_select(0, order)

    result = SolveResult(
        join([part.result.coef for part in heads]),
        join([part.result.objective for part in heads]),
        join([part.result.gap for part in heads]),
        join([part.result.n_iter for part in heads]),
        join([part.result.converged for part in heads]),
    )
    return Heads(
        join([part.coef for part in heads]),
        join([part.intercept for part in heads]),
        join([part.loss for part in heads]),
        join([part.alpha_max for part in heads]),
        result,
    )
