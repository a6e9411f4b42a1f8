"""First and second moments of many tasks' features and targets, from one pass over the rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_sparsedis._observations import Observations
from sklearn_sparsedis._rows import CHUNK, Rows
from sklearn_sparsedis._validation import check_magnitude
from sklearn_sparsedis.tasks import similar_sizes

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


def task_moments(
    features: Callable[[NDArray[Any]], NDArray[np.float64]],
    n_features: int,
    F: Rows,
    observed: Observations,
) -> Iterator[tuple[slice, TaskMoments]]:
    """Moments of all tasks, as many tasks at a time as have moments that fit into memory.

    Parameters
    ----------
    features : callable
        From rows of F to (n, n_features) in float64.
    n_features : int
    F : Rows
    observed : Observations

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
        for rows in observed.chunks(max(1, CHUNK // size)):
            row, task, y = observed.on(rows, tasks)
            if len(row):
                _add_rows(moments, features(F[rows]), row, task, y)
        yield tasks, moments


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
    def none(cls, d: int, n_tasks: int) -> "SharedMoments":
        """Of no rows."""
        zeros = np.zeros
        return cls(0, zeros(d), zeros(n_tasks), zeros((d, d)), zeros((n_tasks, d)), zeros(n_tasks))

    def with_rows(self, F: NDArray[Any], Y: NDArray[Any]) -> "SharedMoments":
        """Of these rows and more: F (n, d) and Y (n, T)."""
        n, old = len(F), self.n_samples
        mean, level = F.mean(axis=0, dtype=np.float64), Y.mean(axis=0, dtype=np.float64)
        features, targets = F - mean, Y - level
        weight = old * n / (old + n)
        shift, rise = mean - self.mean, level - self.level
        return SharedMoments(
            n_samples=old + n,
            mean=self.mean + shift * (n / (old + n)),
            level=self.level + rise * (n / (old + n)),
            scatter=self.scatter + features.T @ features + weight * np.outer(shift, shift),
            cross=self.cross + targets.T @ features + weight * np.outer(rise, shift),
            square=self.square + np.einsum("nt,nt->t", targets, targets) + weight * rise**2,
            eps=max(self.eps, float(np.finfo(F.dtype).eps)),
        )

    def with_table(self, F: Rows, Y: Rows | None = None) -> "SharedMoments":
        """Of these rows and those of tables, read in chunks; without targets if there are none."""
        moments, width = self, F.shape[1] + (0 if Y is None else Y.shape[1])
        for rows, block in F.chunks(width):
            check_magnitude("F", block)
            targets = np.empty((len(block), 0)) if Y is None else Y[rows]
            moments = moments.with_rows(block, targets)
        return moments
