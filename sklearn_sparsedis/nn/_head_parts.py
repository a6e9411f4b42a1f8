"""Heads of tasks, and what it takes to fit tasks of different kinds apart from one another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics, centred_gram
from sklearn_sparsedis.functional._gram import ROUNDED, CentredTargets
from sklearn_sparsedis.nn._common_head import CommonHead
from sklearn_sparsedis.solvers import SolveResult
from sklearn_sparsedis.tasks._dense import TargetValues

__all__ = [
    "HeadTargets",
    "Heads",
    "head_statistics",
    "merge_heads",
    "own_rows",
    "per_task",
    "rounding_of",
    "some_columns",
    "some_rows",
    "some_targets",
    "tasks_first",
]

HeadTargets = CentredTargets


def head_statistics(Z: Tensor, Y: TargetValues) -> GramStatistics:
    """What least squares needs to know of all tasks on rows Z (n, m), in float64."""

    def statistics(y: Tensor, weight: Tensor | None, Z: Tensor) -> GramStatistics:
        return centred_gram(Z.double(), y.double(), weight, rounding=rounding_of(Z.dtype))

    return GramStatistics(*Y.apply(statistics, Z))


def rounding_of(dtype: torch.dtype) -> float:
    """Deviation of components that is rounding: they have unit variance on all rows."""
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
        Certificate of the solve, not recorded for autograd; of the deviations where there is a
        common head.
    common : CommonHead or None
    """

    coef: Tensor
    intercept: Tensor
    loss: Tensor
    alpha_max: Tensor
    result: SolveResult
    common: CommonHead | None = None

    def predict(self, Z: Tensor) -> Tensor:
        """Scores of all tasks, shape (n, T): targets, or for a logistic loss the log-odds.

        Parameters
        ----------
        Z : Tensor of shape (n, m) or (T, n, m)
            Rows of all tasks, or of each.
        """
        Z = Z.to(self.coef.dtype)
        if Z.ndim == 3:
            return (Z @ self.coef[..., None])[..., 0].T + self.intercept
        return Z @ self.coef.T + self.intercept


def per_task(weights: Tensor | None) -> Tensor | None:
    """Weights of rows (n,) or labels (n, T) with tasks first."""
    return weights.T if weights is not None and weights.ndim == 2 else weights


def tasks_first(Y: Tensor | HeadTargets) -> Tensor | HeadTargets:
    """Targets (n, T) in double precision with tasks first, as centred ones are already."""
    return Y.double().T if isinstance(Y, Tensor) else Y


def some_columns(weights: Tensor | None, tasks: Tensor) -> Tensor | None:
    """Weights of rows or labels for some tasks."""
    return weights[:, tasks] if weights is not None and weights.ndim == 2 else weights


def own_rows(Z: Tensor, tasks: Tensor) -> Tensor:
    """Rows of some tasks, where every task has rows of its own."""
    return Z if Z.ndim == 2 else Z.index_select(0, tasks)


def some_rows(start: Tensor | None, tasks: Tensor) -> Tensor | None:
    """Start of the heads of some tasks."""
    return None if start is None else start.index_select(0, tasks)


def some_targets(Y: Tensor | HeadTargets, tasks: Tensor) -> Tensor | HeadTargets:
    """Targets (n, T), or centred ones, of some tasks."""
    if isinstance(Y, Tensor):
        return Y[:, tasks]
    return HeadTargets(*(x.index_select(0, tasks) for x in Y))


def merge_heads(heads: list[Heads], order: Tensor) -> Heads:
    """Heads one after the other, then in an order, or some of them; without a common head."""

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
