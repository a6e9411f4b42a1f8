"""Least-squares heads of many tasks on whitened features, with their errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_sparsedis.basis._moments import Moments
from sklearn_sparsedis.functional._gram import ROUNDED
from sklearn_sparsedis.functional._support import cached_parts, gram_matvec
from sklearn_sparsedis.solvers import least_squares_on, select_support

_EPS = float(np.finfo(np.float64).eps)
# singular values of a matrix of errors exceed sqrt(T) + sqrt(r) by a few units at most
_EDGE_MARGIN = 3.0
_RELATIVE_NOISE_FLOOR = 1e-6


@dataclass(frozen=True)
class Whitening:
    """Affine map to features of zero mean and unit covariance on the rows it was fitted on.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    forward : ndarray of shape (d, r)
        ``(F - mean) @ forward`` are the whitened features; r is the rank of F.
    backward : ndarray of shape (r, d)
        The regression of ``F - mean`` on the whitened features.
    """

    mean: NDArray[np.float64]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]

    def __call__(self, F: NDArray[Any]) -> NDArray[np.float64]:
        """Return whitened features, shape (n, r)."""
        return (F.astype(np.float64) - self.mean) @ self.forward


def whiten(moments: Moments, leading: int | None = None) -> Whitening:
    """Whiten features with these moments, up to the rounding of their dtype.

    With `leading`, so many principal components of the standardised features alone.
    """
    mean, gram = moments.z_mean, moments.gram
    rounding = moments.rounding
    varies = gram.diagonal() > (rounding * mean) ** 2
    scale = np.sqrt(np.where(varies, gram.diagonal(), 1.0))
    values, vectors = np.linalg.eigh(gram * varies * varies[:, None] / scale / scale[:, None])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > values[0] * max(10 * len(mean) * _EPS, rounding**2)
    kept[leading:] = False if leading is not None else kept[leading:]
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    # symmetric where it can be: then it does not depend on the signs of eigenvectors
    turn = vectors.T if kept.all() else np.eye(len(root))
    return Whitening(
        mean=mean,
        forward=vectors / scale[:, None] / root @ turn,
        backward=turn.T @ (vectors * root).T * scale,
    )


@dataclass(frozen=True)
class HeadEstimates:
    """Estimates of the heads of T tasks on r whitened features, and their errors.

    Attributes
    ----------
    coef : ndarray of shape (T, r)
        Zero where a head is not known.
    intercept : ndarray of shape (T,)
    stderr : ndarray of shape (T, r)
        Standard errors; infinite where a task has too few rows for a head of its own.
    covariance : ndarray of shape (T, r, r), optional
        Covariance matrices of the errors, where these differ too much between directions for one
        number a head.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    stderr: NDArray[np.float64]
    covariance: NDArray[np.float64] | None = None

    @property
    def error(self) -> NDArray[np.float64]:
        """Root mean square of the standard errors of each head, shape (T,)."""
        return np.sqrt(np.square(self.stderr).sum(axis=1) / max(self.stderr.shape[1], 1))

    @property
    def metric(self) -> NDArray[np.float64] | None:
        """Mean covariance (r, r) of errors in units of each head's `error`, if these differ."""
        if self.covariance is None:
            return None
        scale = np.square(self.error)[:, None, None]
        return (self.covariance / np.where(scale > 0, scale, 1.0)).mean(axis=0)

    def along(
        self, directions: NDArray[np.float64], tasks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Heads (T', k) of some tasks within orthonormal directions (k, r), and their errors.

        The errors have shape (T',), or (T', k, k) where they have matrices; then the heads are the
        likeliest ones within the directions.
        """
        if self.covariance is None:
            return self.coef[tasks] @ directions.T, self.error[tasks]
        weighted = directions @ np.linalg.inv(self.covariance[tasks])
        covariance = np.linalg.inv(weighted @ directions.T)
        coef = covariance @ (weighted @ self.coef[tasks][..., None])
        return coef[..., 0], (covariance + covariance.transpose(0, 2, 1)) / 2


def head_spectrum(
    coef: NDArray[Any], stderr: NDArray[Any], metric: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Singular values of heads (T, r) over what their errors alone would give, and directions.

    Parameters
    ----------
    coef : ndarray of shape (T, r)
    stderr : ndarray of shape (T,)
    metric : ndarray of shape (r, r), optional
        Mean covariance of the errors in units of `stderr`; the identity by default.

    Returns
    -------
    spectrum : ndarray of shape (min(T, r),)
        Decreasing significance: values above one belong to directions that the heads use.
    directions : ndarray of shape (r, r)
        Right singular vectors as rows, a complete orthonormal basis. With a metric, the first k
        span what the first k of the heads in units of their errors span.
    """
    n_tasks, r = coef.shape
    norm = np.linalg.norm(coef, axis=1)
    error = np.maximum(stderr, _RELATIVE_NOISE_FLOOR * norm)
    scaled: NDArray[Any] = coef / np.where(error > 0, error, 1.0)[:, None]
    if metric is not None:
        factor = np.linalg.cholesky(metric)
        scaled = np.linalg.solve(factor, scaled.T).T
    # a full basis of the features is wanted, never one of the tasks
    _, values, directions = np.linalg.svd(scaled, full_matrices=n_tasks < r)
    if metric is not None:
        directions = np.linalg.qr(factor @ directions.T)[0].T
    k = np.arange(len(values))
    edge = np.sqrt(n_tasks - k) + np.sqrt(r - k) + _EDGE_MARGIN
    return values / edge, directions


def n_directions_used(spectrum: NDArray[Any]) -> int:
    """How many directions heads use beyond their errors, given their spectrum."""
    above = spectrum > 1
    return len(above) if above.all() else int(above.argmin())


def least_squares_heads(passes: Iterable[tuple[slice, Moments]]) -> HeadEstimates:
    """Fit the ordinary least-squares head of every task, of which each pass has some."""
    found = [_least_squares(moments) for _, moments in passes]
    return HeadEstimates(*map(np.concatenate, zip(*found, strict=True)))


def _least_squares(moments: Moments) -> tuple[NDArray[Any], ...]:
    gram, corr, y_sq, z_mean, y_mean = moments.statistics
    r = corr.shape[-1]
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    regular = pivots > ROUNDED * r * _EPS * gram.diagonal(dim1=-2, dim2=-1)
    regular = regular.all(-1) & (failed == 0)
    eye = torch.eye(r, dtype=gram.dtype)
    inverse = torch.cholesky_inverse(torch.where(regular[..., None, None], factor, eye))
    coef = gram_matvec(inverse, corr)
    dof = torch.from_numpy(moments.count) - r - 1
    known = (regular & (dof > 0))[..., None]
    variance = (y_sq - (coef * corr).sum(-1)).clamp_min(0) / dof.clamp_min(1)
    stderr = (variance[:, None] * inverse.diagonal(dim1=-2, dim2=-1)).sqrt()
    coef, stderr = torch.where(known, coef, 0.0), torch.where(known, stderr, torch.inf)
    intercept = y_mean - (coef * z_mean).sum(-1)
    return coef.numpy(), intercept.numpy(), stderr.numpy()


def refit(
    passes: Iterable[tuple[slice, Moments]],
    support: NDArray[np.bool_],
    found: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Fit the heads of all tasks by least squares on their supports.

    Parameters
    ----------
    passes : iterable of slice and Moments
        Each for some of the tasks.
    support : ndarray of bool, shape (T, m)
    found : ndarray of bool, shape (T,)
        Of which tasks the support is known. `select_support` chooses that of the others; of heads
        without rows it is all components.

    Returns
    -------
    coef : ndarray of shape (T, m)
    intercept : ndarray of shape (T,)
    support : ndarray of bool, shape (T, m)
    """
    coef, intercept = np.zeros(support.shape), np.zeros(len(support))
    support = support.copy()
    for tasks, moments in passes:
        gram, corr, y_sq, z_mean, y_mean = moments.statistics
        known, heads = torch.from_numpy(found[tasks]), torch.zeros_like(corr)
        count = torch.from_numpy(np.broadcast_to(moments.count, y_mean.shape).copy())
        mask = torch.from_numpy(support[tasks])
        for some in cached_parts(corr):
            own = gram if gram.ndim == 2 else gram[some]
            if not known[some].all():
                chosen = select_support(own, corr[some], y_sq[some], count[some])
                chosen = chosen | (count[some] == 0)[:, None]
                mask[some] = torch.where(known[some][:, None], mask[some], chosen)
            heads[some] = least_squares_on(mask[some], own, corr[some], y_sq[some])[0]
        coef[tasks], support[tasks] = heads.numpy(), mask.numpy()
        intercept[tasks] = (y_mean - (heads * z_mean).sum(-1)).numpy()
    return coef, intercept, support
