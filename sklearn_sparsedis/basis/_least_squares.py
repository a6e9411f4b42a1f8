"""Least-squares heads of many tasks on whitened features, from few passes over the rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis._distributed import ALONE, Ranks
from sklearn_sparsedis.basis._moments import SharedMoments, task_moments
from sklearn_sparsedis.inputs._observations import Observations
from sklearn_sparsedis.inputs._rows import Rows


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


def whiten(moments: SharedMoments) -> Whitening:
    """Whitening of features with these moments."""
    d = len(moments.mean)
    scale = np.sqrt(moments.scatter.diagonal() / moments.n_samples)
    # a column that varies by less than its rounding errors is constant
    constant = scale <= 10 * moments.eps * np.abs(moments.mean)
    scale = np.where(constant, 1.0, scale)
    gram = moments.scatter / moments.n_samples / scale[:, None] / scale
    gram[constant] = gram[:, constant] = 0.0
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    tolerance = values[0] * max(d * np.finfo(np.float64).eps, moments.eps**2) * 10
    kept = values > tolerance
    root = np.sqrt(np.where(kept, values, 1.0))
    return Whitening(
        mean=moments.mean,
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


def shared_heads(features: Whitening, moments: SharedMoments) -> TaskHeads:
    """Ordinary least-squares heads on the whitened features, of tasks that share their rows."""
    n_samples, r = moments.n_samples, features.rank
    coef = moments.cross @ features.forward[:, :r] / n_samples
    freedom = n_samples - r - 1
    rss = (moments.square - n_samples * np.square(coef).sum(axis=1)).clip(0)
    variance = rss / freedom / n_samples if freedom > 0 else np.full(len(rss), np.inf)
    return TaskHeads(coef, moments.level, np.repeat(np.sqrt(variance)[:, None], r, axis=1))


def fit_heads(
    features: Whitening, F: Rows, observed: Observations, ranks: Ranks = ALONE
) -> TaskHeads:
    """Ordinary least-squares head of every task on the whitened features of its rows."""
    n_tasks, r = len(observed.tasks), features.rank
    coef, stderr = np.zeros((n_tasks, r)), np.full((n_tasks, r), np.inf)
    intercept = np.zeros(n_tasks)
    for tasks, moments in task_moments(features, r, F, observed, ranks):
        gram, cross = moments.scatter[:, :r, :r], moments.scatter[:, :r, r]
        solution, inverse, full = _least_squares(gram, cross)
        freedom = moments.count - r - 1
        enough = (freedom > 0)[:, None]
        rss = (moments.scatter[:, r, r] - (solution * cross).sum(axis=1)).clip(0)
        variance = (rss / np.maximum(freedom, 1))[:, None] * inverse
        coef[tasks] = np.where(enough, solution, 0.0)
        stderr[tasks] = np.where(enough & full[:, None], np.sqrt(variance), np.inf)
        intercept[tasks] = moments.mean[:, r] - (moments.mean[:, :r] * coef[tasks]).sum(axis=1)
    return TaskHeads(coef, intercept, stderr)


def _least_squares(
    gram: NDArray[np.float64], cross: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Solutions of least norm (T, r), diagonals of the inverses (T, r), and where they exist."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > values[:, -1:] * gram.shape[1] * np.finfo(gram.dtype).eps
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    coef = vectors @ (inverse[:, :, None] * (vectors.mT @ cross[:, :, None]))
    diagonal = np.square(vectors) @ inverse[:, :, None]
    return coef[:, :, 0], diagonal[:, :, 0], kept.all(axis=1)


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
    features: Whitening,
    rotation: NDArray[Any],
    F: Rows,
    observed: Observations,
    support: NDArray[Any],
    ranks: Ranks = ALONE,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least squares restricted to supports, each task on its rows; coef (T, m) and intercept (T,).

    Parameters
    ----------
    features : Whitening
    rotation : ndarray of shape (m, r)
        Components of whitened features.
    F : Rows
    observed : Observations
    support : ndarray of bool, shape (T, m)
    ranks : Ranks, optional
        Each of which reads a part of the rows.
    """
    coef, intercept = np.zeros(support.shape), np.zeros(len(support))
    m = len(rotation)
    passes = task_moments(lambda block: features(block) @ rotation.T, m, F, observed, ranks)
    for tasks, moments in passes:
        mask = support[tasks]
        gram = np.where(mask[:, :, None] & mask[:, None, :], moments.scatter[:, :m, :m], 0.0)
        cross = np.where(mask, moments.scatter[:, :m, m], 0.0)
        coef[tasks] = np.where(mask, _least_squares(gram, cross)[0], 0.0)
        intercept[tasks] = moments.mean[:, m] - (moments.mean[:, :m] * coef[tasks]).sum(axis=1)
    return coef, intercept
