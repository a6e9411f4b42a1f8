"""Strength of the heads' penalty that labels choose which heads were not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.nn._head_parts import Heads
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._row_errors import RowErrors, fewest_directions, first_as_good
from sklearn_sparsedis.training._table_heads import refit_heads, solve_heads

__all__ = ["PathPart", "StrengthPath", "follow_path"]

# fractions of the smallest strength with which heads are zero
ALPHAS = np.geomspace(1, 1e-3, 13)


@dataclass(frozen=True)
class StrengthPath:
    """Losses on labels that heads were not fitted to, for each of falling strengths.

    Attributes
    ----------
    alphas : ndarray of shape (k,)
        Relative strengths.
    losses, errors : ndarray of shape (k,)
        Mean losses, in units of that of the best constant, and standard errors of their
        differences from the lowest.
    n_used : ndarray of shape (k,)
        Mean number of components that a task uses.
    best : int
        Index of what is chosen: with a sparse penalty the largest strength whose loss is not above
        the lowest by a standard error and by what matters, or else the lowest.
    of_rank : Tensor of shape (r, n)
        Losses of rows with predictions along their 1, 2, ..., r leading directions.
    """

    alphas: NDArray[np.float64]
    losses: NDArray[np.float64]
    errors: NDArray[np.float64]
    n_used: NDArray[np.float64]
    best: int
    of_rank: Tensor

    @property
    def n_components(self) -> int:
        """Fewest directions of predictions that predict as well as any number of them."""
        return fewest_directions(self.of_rank)

    @property
    def alpha(self) -> float:
        """The strength chosen."""
        return float(self.alphas[self.best])

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """The arrays, by the names that users know."""
        names = "alpha", "loss", "error", "n_used"
        arrays = self.alphas, self.losses, self.errors, self.n_used
        return dict(zip(names, arrays, strict=True))


class PathPart(NamedTuple):
    """What heads are fitted to, and labels on which they are judged.

    Attributes
    ----------
    problem : HeadProblem
        With a relative strength.
    Z : Tensor of shape (n, m)
        Components of the rows of the table that heads are fitted to.
    table : TaskTable
    new : Tensor of shape (k, m)
        Components of the rows on which they are judged.
    labels : TaskTable
        Their labels.
    task_weight : Tensor of shape (n_tasks,) or None
        As that of `RowErrors`.
    refits : bool
        Whether heads are refitted on their supports (`refit_heads`).
    """

    problem: HeadProblem
    Z: Tensor
    table: TaskTable
    new: Tensor
    labels: TaskTable
    task_weight: Tensor | None
    refits: bool = False

    def _final(self, heads: Heads) -> Heads:
        return refit_heads(heads, self.Z, self.table) if self.refits else heads

    def losses(self) -> tuple[list[Tensor], list[float]]:
        """Losses of rows for each of ALPHAS, and components that a task uses in the mean."""
        row_errors = RowErrors(self.labels.Y, self.labels.losses, self.task_weight)
        losses, n_used, coef, intercept = [], [], None, None
        for alpha in ALPHAS:
            problem = replace(self.problem, alpha=alpha)
            heads = solve_heads(problem, self.Z, self.table, coef, intercept)
            coef, intercept = heads.coef, heads.intercept
            final = self._final(heads)
            parts = self.new.double(), final.coef, final.intercept
            losses.append(row_errors(self.labels.Y.predictions(*parts)))
            n_used.append(float(coef.count_nonzero()) / len(coef))
        return losses, n_used

    def losses_of_rank(self) -> list[Tensor]:
        """Losses of rows with predictions along their 1, 2, ... leading directions."""
        row_errors = RowErrors(self.labels.Y, self.labels.losses, self.task_weight)
        heads = self._final(solve_heads(self.problem, self.Z, self.table))
        of_rows = torch.linalg.qr(self.Z.double(), mode="r")[1]
        directions = torch.linalg.svd(of_rows @ heads.coef.T, full_matrices=False)[2]
        losses = []
        for rank in range(1, len(directions) + 1):
            some = directions[:rank]
            coef = some.T @ (some @ heads.coef)
            scores = self.labels.Y.predictions(self.new.double(), coef, heads.intercept)
            losses.append(row_errors(scores))
        return losses


def follow_path(parts: Sequence[PathPart]) -> StrengthPath:
    """Fit heads of falling strengths, and choose one by what labels of all parts say together."""
    of_parts, n_used = zip(*(part.losses() for part in parts), strict=True)
    losses = _pool(of_parts)
    means = losses.mean(1)
    lowest = losses[means.argmin()]
    sparse = parts[0].problem.penalty.sparse
    errors = (losses - lowest).std(1, correction=0) / losses.shape[1] ** 0.5
    return StrengthPath(
        alphas=ALPHAS,
        losses=means.numpy(),
        errors=errors.numpy(),
        n_used=np.mean(n_used, axis=0),
        best=first_as_good(losses) if sparse else int(means.argmin()),
        of_rank=_pool([part.losses_of_rank() for part in parts]),
    )


def _pool(losses: Sequence[Sequence[Tensor]]) -> Tensor:
    """Losses of the rows of all parts, (k, n), for as many of the k as all parts have."""
    return torch.stack([torch.cat(one) for one in zip(*losses, strict=False)])
