"""First and second moments of many tasks' features and targets, from one pass over the rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_sparsedis._distributed import ALONE, Ranks
from sklearn_sparsedis.inputs._observations import Observations
from sklearn_sparsedis.inputs._rows import CHUNK, Rows
from sklearn_sparsedis.inputs._tensors import check_magnitude
from sklearn_sparsedis.tasks._packs import similar_sizes

# numbers in the moments of the tasks that are treated in one pass: 128 MB
_HELD = 16_777_216


@dataclass(frozen=True)
class TaskMoments:
    """Moments of v = (features, target) on the rows of each task.

    Attributes
    ----------
    count : ndarray of shape (T,)
        Rows.
    mean : ndarray of shape (T, r + 1)
    scatter : ndarray of shape (T, r + 1, r + 1)
        Sum of ``(v - mean) (v - mean)'``.
    """

    count: NDArray[np.float64]
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    def add(
        self,
        tasks: NDArray[np.intp],
        count: NDArray[Any],
        mean: NDArray[np.float64],
        scatter: NDArray[np.float64],
    ) -> None:
        """Add the moments of more rows of some tasks, about their own means [1]_.

        .. [1] Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American
           Statistician, 1983.
        """
        total = self.count[tasks] + count
        shift = mean - self.mean[tasks]
        weight = (self.count[tasks] * count / total)[:, None, None]
        self.scatter[tasks] += scatter + weight * shift[:, :, None] * shift[:, None, :]
        self.mean[tasks] += shift * (count / total)[:, None]
        self.count[tasks] = total

    def over(self, ranks: Ranks) -> "TaskMoments":
        """Of the rows of all ranks."""
        if ranks.size == 1:
            return self
        n = self.count[:, None]
        count, mean = ranks.add(self.count, n * self.mean)
        mean = mean / np.maximum(count, 1)[:, None]
        shift = self.mean - mean
        about = self.scatter + n[:, :, None] * shift[:, :, None] * shift[:, None, :]
        return TaskMoments(count, mean, *ranks.add(about))


def task_moments(
    features: Callable[[NDArray[Any]], NDArray[np.float64]],
    n_features: int,
    F: Rows,
    observed: Observations,
    ranks: Ranks = ALONE,
) -> Iterator[tuple[slice, TaskMoments]]:
    """Moments of all tasks, as many tasks at a time as have moments that fit into memory.

    Parameters
    ----------
    features : callable
        From rows of F to (n, n_features) in float64.
    n_features : int
    F : Rows
    observed : Observations
    ranks : Ranks, optional
        Each of which reads a part of the rows.

    Yields
    ------
    tasks : slice
    moments : TaskMoments
    """
    n_tasks, size = len(observed.tasks), n_features + 1
    step = max(1, _HELD // size**2)
    for start in range(0, n_tasks, step):
        tasks = slice(start, min(start + step, n_tasks))
        T = tasks.stop - tasks.start
        moments = TaskMoments(np.zeros(T), np.zeros((T, size)), np.zeros((T, size, size)))

        def read(tasks: slice = tasks, moments: TaskMoments = moments) -> None:
            for rows in observed.chunks(max(1, CHUNK // size), ranks):
                row, task, y = observed.on(rows, tasks)
                if len(row):
                    _add_rows(moments, features(F[rows]), row, task, y)

        ranks.each(read)
        yield tasks, moments.over(ranks)


def _add_rows(
    moments: TaskMoments,
    Z: NDArray[np.float64],
    row: NDArray[np.intp],
    task: NDArray[np.intp],
    y: NDArray[np.float64],
) -> None:
    """Add observations in the order of their tasks, in batches of tasks with as many of them."""
    tasks, first, count = np.unique(task, return_index=True, return_counts=True)
    values = np.empty((len(row), Z.shape[1] + 1))
    values[:, :-1], values[:, -1] = Z[row], y
    for group in (positions.numpy() for positions in similar_sizes(torch.from_numpy(count))):
        n = count[group]
        slot = np.arange(n.max())
        filled = (slot < n[:, None])[:, :, None]
        padded = values[np.minimum(first[group][:, None] + slot, len(values) - 1)]
        mean = (padded * filled).sum(axis=1) / n[:, None]
        padded -= mean[:, None]
        padded *= filled
        moments.add(tasks[group], n, mean, padded.transpose(0, 2, 1) @ padded)


@dataclass(frozen=True)
class SharedMoments:
    """Moments of features and of targets that are observed on the same rows.

    Attributes
    ----------
    n_samples : int
    mean : ndarray of shape (d,)
    level : ndarray of shape (T,)
        Mean of each target.
    scatter : ndarray of shape (d, d)
        Sum of products of centred features.
    cross : ndarray of shape (T, d)
        Sum of products of centred targets and features.
    square : ndarray of shape (T,)
        Sum of squares of centred targets.
    eps : float
        Relative rounding error of the features' dtype, the coarsest seen.
    """

    n_samples: int
    mean: NDArray[np.float64]
    level: NDArray[np.float64]
    scatter: NDArray[np.float64]
    cross: NDArray[np.float64]
    square: NDArray[np.float64]
    eps: float = 0.0

    @classmethod
    def none(cls, d: int, n_tasks: int, eps: float = 0.0) -> "SharedMoments":
        """Of no rows."""
        scatter, cross = np.zeros((d, d)), np.zeros((n_tasks, d))
        return cls(0, np.zeros(d), np.zeros(n_tasks), scatter, cross, np.zeros(n_tasks), eps)

    @classmethod
    def of(cls, F: NDArray[Any], Y: NDArray[Any]) -> "SharedMoments":
        """Of rows F (n, d) and Y (n, T)."""
        mean, level = F.mean(axis=0, dtype=np.float64), Y.mean(axis=0, dtype=np.float64)
        features, targets = F - mean, Y - level
        return cls(
            n_samples=len(F),
            mean=mean,
            level=level,
            scatter=features.T @ features,
            cross=targets.T @ features,
            square=np.einsum("nt,nt->t", targets, targets),
            eps=float(np.finfo(F.dtype).eps),
        )

    def merged(self, more: "SharedMoments") -> "SharedMoments":
        """Of the rows of both, of which there are some."""
        old, n = self.n_samples, more.n_samples
        weight = old * n / (old + n)
        shift, rise = more.mean - self.mean, more.level - self.level
        return SharedMoments(
            n_samples=old + n,
            mean=self.mean + shift * (n / (old + n)),
            level=self.level + rise * (n / (old + n)),
            scatter=self.scatter + more.scatter + weight * np.outer(shift, shift),
            cross=self.cross + more.cross + weight * np.outer(rise, shift),
            square=self.square + more.square + weight * rise**2,
            eps=max(self.eps, more.eps),
        )

    def over(self, ranks: Ranks) -> "SharedMoments":
        """Of the rows of all ranks."""
        if ranks.size == 1:
            return self
        n = self.n_samples
        count, mean, level = ranks.add(np.array([float(n)]), n * self.mean, n * self.level)
        mean, level = mean / count, level / count
        shift, rise = self.mean - mean, self.level - level
        scatter, cross, square = ranks.add(
            self.scatter + n * np.outer(shift, shift),
            self.cross + n * np.outer(rise, shift),
            self.square + n * rise**2,
        )
        return SharedMoments(int(count[0]), mean, level, scatter, cross, square, self.eps)

    def with_table(self, F: Rows, Y: Rows | None = None, ranks: Ranks = ALONE) -> "SharedMoments":
        """Of these rows and those of tables, read in chunks; without targets if there are none.

        Of several ranks each reads a part of the rows.
        """
        width = F.shape[1] + (0 if Y is None else Y.shape[1])

        def read() -> SharedMoments:
            more = SharedMoments.none(F.shape[1], len(self.level), float(np.finfo(F.dtype).eps))
            for rows, block in F.chunks(width, ranks.part(len(F))):
                check_magnitude("F", block)
                targets = np.empty((len(block), 0)) if Y is None else Y[rows]
                more = more.merged(SharedMoments.of(block, targets))
            return more

        return self.merged(ranks.each(read).over(ranks))
