"""First and second moments of many tasks' features and targets, from one pass over the rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis._distributed import ALONE, Ranks
from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.functional._gram import ROUNDED
from sklearn_sparsedis.inputs._observations import Observations
from sklearn_sparsedis.inputs._rows import CHUNK, Rows
from sklearn_sparsedis.inputs._tensors import check_magnitude
from sklearn_sparsedis.tasks._observed import ObservedTargets

if TYPE_CHECKING:  # a rotation has no table of targets
    from sklearn_sparsedis.tasks._dense import TargetValues

# numbers in the moments of the tasks that are treated in one pass: 128 MB
_HELD = 16_777_216
# rows that tell the laws of components
_DRAWN = 50_000
_ARRAYS = ("count", "z_mean", "y_mean", "gram", "corr", "y_sq")
_Index = slice | EllipsisType | NDArray[np.int64]


@dataclass
class Moments:
    """Moments of features and targets of T tasks, which `add` continues in place.

    The first shape of an array is that for tasks that share all rows, the second that for tasks
    with rows of their own.

    Attributes
    ----------
    count : ndarray of shape () or (T,)
        Number of rows. A row of weight two counts as two rows, one of weight a half as one.
    z_mean : ndarray of shape (d,) or (T, d)
        Mean of the features.
    y_mean : ndarray of shape (T,)
        Mean of the targets.
    gram : ndarray of shape (d, d) or (T, d, d)
        Mean product of centred features.
    corr : ndarray of shape (T, d)
        Mean product of centred targets and features.
    y_sq : ndarray of shape (T,)
        Mean square of centred targets.
    eps : float
        Relative rounding error of the features' dtype, the coarsest seen.
    """

    count: NDArray[np.float64]
    z_mean: NDArray[np.float64]
    y_mean: NDArray[np.float64]
    gram: NDArray[np.float64]
    corr: NDArray[np.float64]
    y_sq: NDArray[np.float64]
    eps: float = 0.0

    @classmethod
    def none(cls, d: int, n_tasks: int, *, shared: bool = False) -> "Moments":
        """Return the moments of no rows."""
        each = () if shared else (n_tasks,)
        return cls(
            count=np.zeros(each),
            z_mean=np.zeros((*each, d)),
            y_mean=np.zeros(n_tasks),
            gram=np.zeros((*each, d, d)),
            corr=np.zeros((n_tasks, d)),
            y_sq=np.zeros(n_tasks),
        )

    @classmethod
    def of(
        cls, Z: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64] | None = None
    ) -> "Moments":
        """Return the moments of targets y (T, n) on rows Z (n, d), or on rows Z (T, n, d).

        Weights of the rows have shape (n,) or (T, n); without weight a task has moments of zero.
        """
        total = np.asarray(float(Z.shape[-2]) if weight is None else weight.sum(-1))
        count = total if weight is None else np.maximum(total, (weight > 0).sum(-1))
        total = np.where(total > 0, total, 1.0)
        if weight is None:
            z_mean, y_mean = Z.mean(axis=-2, dtype=np.float64), y.mean(axis=-1, dtype=np.float64)
        else:
            z_mean = (weight[..., None, :] @ Z)[..., 0, :] / total[..., None]
            y_mean = (weight * y).sum(-1) / total
        features, targets = Z - z_mean[..., None, :], y - y_mean[..., None]
        if weight is not None:
            features *= np.sqrt(weight)[..., None]
            targets *= np.sqrt(weight)
        y_sq = np.einsum("tn,tn->t", targets, targets) / total
        apart = Z.ndim == 3
        corr = (targets[:, None] @ features)[:, 0] if apart else targets @ features
        return cls(
            count=np.asarray(count),
            z_mean=z_mean,
            y_mean=y_mean,
            gram=features.mT @ features / total[..., None, None],
            corr=corr / total[..., None],
            y_sq=y_sq,
            eps=float(np.finfo(Z.dtype).eps),
        )

    @classmethod
    def of_targets(cls, Z: Tensor, Y: "TargetValues") -> "Moments":
        """Return the moments of targets on the rows Z (n, d) where they were observed."""

        def moments(y: Tensor, weight: Tensor | None, Z: Tensor) -> list[Tensor]:
            found = cls.of(Z.numpy(), y.numpy(), None if weight is None else weight.numpy())
            return [torch.from_numpy(getattr(found, name)) for name in _ARRAYS]

        arrays = (x.numpy() for x in Y.apply(moments, Z))
        found = dict(zip(_ARRAYS, arrays, strict=True))
        return cls(**found, eps=torch.finfo(Z.dtype).eps)

    def add(self, tasks: _Index, more: "Moments") -> None:
        """Add the moments of more rows of some tasks, about their own means [1]_.

        .. [1] Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American
           Statistician, 1983.
        """
        total = self.count[tasks] + more.count
        share = more.count / np.maximum(total, 1)
        between = share * (1 - share)
        dz, dy = more.z_mean - self.z_mean[tasks], more.y_mean - self.y_mean[tasks]
        each, every = share[..., None], share[..., None, None]
        outer = (between[..., None] * dz)[..., :, None] * dz[..., None, :]
        self.gram[tasks] += every * (more.gram - self.gram[tasks]) + outer
        self.corr[tasks] += each * (more.corr - self.corr[tasks]) + (between * dy)[..., None] * dz
        self.y_sq[tasks] += share * (more.y_sq - self.y_sq[tasks]) + between * dy**2
        self.z_mean[tasks] += each * dz
        self.y_mean[tasks] += share * dy
        self.count[tasks] = total
        self.eps = max(self.eps, more.eps)

    def over(self, ranks: Ranks) -> "Moments":
        """Return the moments of the rows of all ranks."""
        if ranks.size == 1:
            return self
        n = self.count
        count, z_mean, y_mean = ranks.add(n, n[..., None] * self.z_mean, n * self.y_mean)
        total = np.maximum(count, 1)
        z_mean, y_mean, share = z_mean / total[..., None], y_mean / total, n / total
        dz, dy = self.z_mean - z_mean, self.y_mean - y_mean
        gram, corr, y_sq = ranks.add(
            share[..., None, None] * (self.gram + dz[..., :, None] * dz[..., None, :]),
            share[..., None] * (self.corr + dy[..., None] * dz),
            share * (self.y_sq + dy**2),
        )
        return Moments(count, z_mean, y_mean, gram, corr, y_sq, self.eps)

    def mapped(self, matrix: NDArray[np.float64], origin: NDArray[np.float64]) -> "Moments":
        """Return the moments of ``(z - origin) @ matrix``."""
        return replace(
            self,
            z_mean=(self.z_mean - origin) @ matrix,
            gram=matrix.T @ self.gram @ matrix,
            corr=self.corr @ matrix,
        )

    @property
    def rounding(self) -> float:
        """Deviation that is rounding, in units of what a feature measures."""
        return ROUNDED * self.eps

    @property
    def statistics(self) -> GramStatistics:
        """What least squares needs to know, for solvers."""
        arrays = (self.gram, self.corr, self.y_sq, self.z_mean, self.y_mean)
        return GramStatistics(*map(torch.from_numpy, arrays))


# from a matrix and an origin to the moments of ``(F - origin) @ matrix``, in passes over the tasks
ReadMoments = Callable[[NDArray[np.float64], NDArray[np.float64]], Iterable[tuple[slice, Moments]]]


# from a matrix and an origin to rows of ``(F - origin) @ matrix``
ReadRows = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def some_rows(
    F: Rows,
    matrix: NDArray[np.float64],
    origin: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
    ranks: Ranks = ALONE,
) -> NDArray[np.float64]:
    """Rows of ``(F - origin) @ matrix`` that count, evenly spread over them if there are many.

    Weights are those of rows, shape (n,), or of labels, (n, T). Rows of any weight come once: a row
    that came twice would make columns look dependent.
    """
    index = np.arange(len(F))
    if weight is not None:
        index = np.flatnonzero(weight if weight.ndim == 1 else weight.any(axis=1))
    index = index[:: -(-len(index) // _DRAWN)]
    return ranks.each(lambda: (F.take(index).astype(np.float64) - origin) @ matrix)


def tasks_at_once(n_tasks: int, n_features: int) -> Iterator[slice]:
    """Split tasks with rows of their own into parts whose moments fit into memory together."""
    bounds = [*range(0, n_tasks, max(1, _HELD // (n_features + 1) ** 2)), n_tasks]
    return (slice(*pair) for pair in pairwise(bounds))


def shared_moments(
    F: Rows,
    Y: Rows | None = None,
    ranks: Ranks = ALONE,
    weight: NDArray[np.float64] | None = None,
) -> Moments:
    """Read the moments of tables in chunks; without targets if there are none.

    Of several ranks each reads a part of the rows. Weights are those of rows, shape (n,), or of
    labels, (n, T), whose mean is then that of a row.
    """
    if weight is not None and weight.ndim == 2:
        weight = weight.mean(axis=1)
    n_tasks = 0 if Y is None else Y.shape[1]

    def read() -> Moments:
        moments = Moments.none(F.shape[1], n_tasks, shared=True)
        for rows, block in F.chunks(F.shape[1] + n_tasks, ranks.part(len(F))):
            check_magnitude("F", block)
            targets = np.empty((0, len(block))) if Y is None else Y[rows].T
            moments.add(..., Moments.of(block, targets, None if weight is None else weight[rows]))
        return moments

    return replace(ranks.each(read).over(ranks), eps=float(np.finfo(F.dtype).eps))


def task_moments(
    F: Rows,
    observed: Observations,
    matrix: NDArray[np.float64],
    origin: NDArray[np.float64],
    ranks: Ranks = ALONE,
    weight: NDArray[np.float64] | None = None,
) -> Iterator[tuple[slice, Moments]]:
    """Read the moments of ``(F - origin) @ matrix`` on the rows of each task.

    As many tasks are treated at a time as have moments that fit into memory. Of several ranks each
    reads a part of the rows. Weights are those of rows, shape (n,), or of labels, (n, T).

    Yields
    ------
    tasks : slice
    moments : Moments
    """
    size = matrix.shape[1] + 1
    for tasks in tasks_at_once(len(observed.tasks), matrix.shape[1]):
        moments = Moments.none(matrix.shape[1], tasks.stop - tasks.start)

        def read(tasks: slice = tasks, moments: Moments = moments) -> None:
            for rows in observed.chunks(max(1, CHUNK // size), ranks):
                row, task, y = observed.on(rows, tasks)
                if len(row):
                    chosen, start = np.unique(task, return_index=True)
                    own = np.ones_like(y)
                    if weight is not None:
                        each = weight[rows]
                        own = each[row] if each.ndim == 1 else each[:, tasks][row, task]
                    Y = _targets(row, y, own, np.append(start, len(row)))
                    Z = torch.from_numpy((F[rows].astype(np.float64) - origin) @ matrix)
                    moments.add(chosen, Moments.of_targets(Z, Y))

        ranks.each(read)
        yield tasks, moments.over(ranks)


def _targets(
    row: NDArray[np.intp],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: NDArray[np.intp],
) -> ObservedTargets:
    """Return targets as they come from a table."""
    rows, values, weights, starts = map(torch.from_numpy, (row, y, weight, start))
    return ObservedTargets(rows, values, weights, starts, int(row.max()) + 1)
