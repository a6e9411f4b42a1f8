"""Least-squares heads of many tasks on whitened features, from few passes over the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_sparsedis._validation import check_task_id

_CHUNK = 65_536  # rows held in double precision at a time


@dataclass(frozen=True)
class TaskRows:
    """Which rows and targets belong to which task.

    Attributes
    ----------
    Y : ndarray of shape (n, n_tasks) or (n,)
        Wide targets (NaN: not observed), or long ones sorted by task.
    tasks : ndarray of shape (n_tasks,)
        Names of the tasks.
    order, bounds : ndarray or None
        Long layout: rows sorted by task, and where each task begins in `order`.
    shared : bool
        Whether every task is observed on every row.
    """

    Y: NDArray[Any]
    tasks: NDArray[Any]
    order: NDArray[Any] | None
    bounds: NDArray[Any] | None
    shared: bool

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Rows and float64 targets, task by task."""
        for t in range(len(self.tasks)):
            if self.order is not None and self.bounds is not None:
                rows = self.order[self.bounds[t] : self.bounds[t + 1]]
                yield rows, self.Y[rows].astype(np.float64)
            else:
                rows = np.flatnonzero(~np.isnan(self.Y[:, t]))
                yield rows, self.Y[rows, t].astype(np.float64)


def group_by_task(Y: object, task_id: ArrayLike | None, n_samples: int) -> TaskRows:
    """Validate targets in the wide (task_id None) or long layout.

    Raises
    ------
    ValueError
        If lengths differ, a long target is not one-dimensional, or a task has no rows.
    """
    y: NDArray[Any]
    if task_id is None:
        y = check_array(Y, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
        check_consistent_length(np.empty(n_samples), y)
        y = y.reshape(len(y), -1)
        if y.dtype.kind != "f":
            y = y.astype(np.float64)
        missing = np.isnan(y)
        if missing.all(axis=0).any():
            empty = np.flatnonzero(missing.all(axis=0))
            raise ValueError(f"Targets {empty.tolist()} of Y are NaN on every row; remove them.")
        return TaskRows(y, np.arange(y.shape[1]), None, None, shared=not missing.any())
    y = column_or_1d(check_array(Y, ensure_2d=False, input_name="y"), warn=True)
    check_consistent_length(np.empty(n_samples), y)
    names = check_task_id(task_id, n_samples)
    tasks, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    return TaskRows(y, tasks, order, np.concatenate([[0], np.cumsum(counts)]), shared=False)


@dataclass(frozen=True)
class Whitening:
    """Affine map to features of zero mean and unit covariance on the rows it was fitted on.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    forward : ndarray of shape (d, d)
        ``(F - mean) @ forward``: first `rank` columns whiten, the others are constant on the rows.
    backward : ndarray of shape (d, d)
        Inverse of `forward`.
    rank : int
    """

    mean: NDArray[Any]
    forward: NDArray[Any]
    backward: NDArray[Any]
    rank: int

    def __call__(self, F: NDArray[Any]) -> NDArray[Any]:
        """Whitened features, (n, rank) in float64."""
        return (F.astype(np.float64) - self.mean) @ self.forward[:, : self.rank]


def fit_whitening(F: NDArray[Any]) -> Whitening:
    """Whitening of F (n, d) from one Gram matrix of its standardised columns."""
    n_samples, d = F.shape
    mean = F.mean(axis=0, dtype=np.float64)
    gram = np.zeros((d, d))
    scale = np.sqrt(
        sum(
            ((F[i : i + _CHUNK].astype(np.float64) - mean) ** 2).sum(axis=0)
            for i in range(0, n_samples, _CHUNK)
        )
        / n_samples
    )
    # a column that varies by less than its rounding errors is constant
    constant = scale <= 10 * np.finfo(F.dtype).eps * np.abs(mean)
    scale = np.where(constant, 1.0, scale)
    for i in range(0, n_samples, _CHUNK):
        block = (F[i : i + _CHUNK].astype(np.float64) - mean) / scale
        block[:, constant] = 0.0
        gram += block.T @ block
    values, vectors = np.linalg.eigh(gram / n_samples)
    values, vectors = values[::-1], vectors[:, ::-1]
    tolerance = values[0] * max(d * np.finfo(np.float64).eps, np.finfo(F.dtype).eps ** 2) * 10
    kept = values > tolerance
    root = np.sqrt(np.where(kept, values, 1.0))
    return Whitening(
        mean=mean,
        forward=vectors / scale[:, None] / root,
        backward=(vectors * root).T * scale,
        rank=int(kept.sum()),
    )


@dataclass(frozen=True)
class TaskHeads:
    """Least-squares heads.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, r)
    intercept : ndarray of shape (n_tasks,)
    stderr : ndarray of shape (n_tasks, r)
        Standard errors; infinite where a task has too few rows for its head.
    """

    coef: NDArray[Any]
    intercept: NDArray[Any]
    stderr: NDArray[Any]


def fit_heads(features: Whitening, F: NDArray[Any], rows: TaskRows) -> TaskHeads:
    """Ordinary least-squares head of every task on the whitened features."""
    if rows.shared:
        return _shared_heads(features, F, rows.Y)
    n_tasks, r = len(rows.tasks), features.rank
    coef, stderr = np.zeros((n_tasks, r)), np.full((n_tasks, r), np.inf)
    intercept = np.zeros(n_tasks)
    for t, (index, y) in enumerate(rows):
        Z = features(F[index])
        center, level = Z.mean(axis=0), y.mean()
        Z, y = Z - center, y - level
        intercept[t] = level
        if len(y) > r + 1:
            gram = Z.T @ Z
            inverse = np.linalg.pinv(gram, hermitian=True)
            coef[t] = inverse @ (Z.T @ y)
            residual = ((y - Z @ coef[t]) ** 2).sum() / (len(y) - r - 1)
            if np.linalg.matrix_rank(gram, hermitian=True) == r:
                stderr[t] = np.sqrt(residual * inverse.diagonal())
        intercept[t] -= center @ coef[t]
    return TaskHeads(coef, intercept, stderr)


def _shared_heads(features: Whitening, F: NDArray[Any], Y: NDArray[Any]) -> TaskHeads:
    n_samples, r = len(F), features.rank
    level = Y.mean(axis=0, dtype=np.float64)
    cross = np.zeros((Y.shape[1], r))
    for i in range(0, n_samples, _CHUNK):
        cross += (Y[i : i + _CHUNK].astype(np.float64) - level).T @ features(F[i : i + _CHUNK])
    coef = cross / n_samples
    rss = np.zeros(Y.shape[1])
    for i in range(0, n_samples, _CHUNK):
        residual = Y[i : i + _CHUNK].astype(np.float64) - level
        residual -= features(F[i : i + _CHUNK]) @ coef.T
        rss += (residual**2).sum(axis=0)
    freedom = n_samples - r - 1
    variance = rss / freedom / n_samples if freedom > 0 else np.full(len(rss), np.inf)
    return TaskHeads(coef, level, np.repeat(np.sqrt(variance)[:, None], r, axis=1))


def refit_from_moments(
    gram: NDArray[Any], cross: NDArray[Any], support: NDArray[Any]
) -> NDArray[Any]:
    """Least squares restricted to supports, for tasks that share their rows.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        Covariance of the components.
    cross : ndarray of shape (n_tasks, m)
        Covariance of the components with every target.
    support : ndarray of bool, shape (n_tasks, m)

    Returns
    -------
    coef : ndarray of shape (n_tasks, m)
    """
    coef = np.zeros(support.shape)
    step = max(1, 4_000_000 // gram.size)
    for i in range(0, len(support), step):
        mask = support[i : i + step]
        # unit rows and columns off the support keep the systems of one size
        system = np.where(mask[:, :, None] & mask[:, None, :], gram, np.eye(len(gram)))
        rhs = np.where(mask, cross[i : i + step], 0.0)
        coef[i : i + step] = np.linalg.solve(system, rhs[..., None])[..., 0]
    return coef


def refit_from_rows(
    Z: NDArray[Any], rows: TaskRows, support: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least squares restricted to supports, task by task; coef (n_tasks, m) and intercept."""
    coef, intercept = np.zeros(support.shape), np.zeros(len(support))
    for t, (index, y) in enumerate(rows):
        used = np.flatnonzero(support[t])
        intercept[t] = y.mean()
        if used.size:
            block = Z[np.ix_(index, used)]
            center = block.mean(axis=0)
            coef[t, used] = np.linalg.lstsq(block - center, y - intercept[t], rcond=None)[0]
            intercept[t] -= center @ coef[t, used]
    return coef, intercept
