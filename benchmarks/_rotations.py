"""Oblique rotations of factor analysis, the peers of the sparsest basis.

Gradient projection (Jennrich, Psychometrika 2002; Bernaards, Jennrich 2005), from many random
starts where a criterion has many minima. Loadings are (p, m); a rotation gives pattern and
correlations of the factors.
"""

import numpy as np

from benchmarks.bench_recovery import promax, varimax


def quartimin(L):
    """Criterion and its gradient; oblimin with gamma = 0."""
    square = L**2
    others = square.sum(1, keepdims=True) - square
    return (square * others).sum() / 4, L * others


def geomin(L, epsilon=0.01):
    """Criterion and its gradient."""
    square = L**2 + epsilon
    product = np.exp(np.log(square).mean(1))
    return product.sum(), 2 / L.shape[1] * L / square * product[:, None]


def _descend(A, criterion, T, n_iter=500, tol=1e-6):
    step = 1.0
    inverse = np.linalg.inv(T)
    L = A @ inverse.T
    value, slope = criterion(L)
    for _ in range(n_iter):
        gradient = -(L.T @ slope @ inverse).T
        gradient -= T * (T * gradient).sum(0)
        size = np.linalg.norm(gradient)
        if size < tol:
            break
        step *= 2
        for _ in range(20):
            moved = T - step * gradient
            moved /= np.linalg.norm(moved, axis=0)
            inverse = np.linalg.inv(moved)
            L = A @ inverse.T
            tried, slope = criterion(L)
            if tried < value - 0.5 * size**2 * step:
                break
            step /= 2
        T, value = moved, tried
    return value, T


def oblique(A, criterion, n_starts=30):
    """Pattern and factor correlations of the least criterion."""
    rng, m = np.random.default_rng(0), A.shape[1]
    starts = [np.eye(m), varimax(A)]
    starts += [np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(n_starts - 2)]
    T = min((_descend(A, criterion, T) for T in starts), key=lambda found: found[0])[1]
    return A @ np.linalg.inv(T).T, T.T @ T


def _of_directions(A, directions):
    """Pattern and correlations of the factors for ``A @ directions``, scaled to unit variance."""
    covariance = np.linalg.inv(directions.T @ directions)
    scale = np.sqrt(covariance.diagonal())
    return A @ directions * scale, covariance / scale / scale[:, None]


ROTATIONS = {
    "none": lambda A: (A, np.eye(A.shape[1])),
    "varimax": lambda A: _of_directions(A, varimax(A)),
    "promax": lambda A: _of_directions(A, promax(A)),
    "quartimin": lambda A: oblique(A, quartimin),
    "geomin": lambda A: oblique(A, geomin),
}
