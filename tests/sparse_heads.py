"""Ideal features of correlated latents and the targets of sparse tasks, for tests."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def make_tasks(seed, *, m=4, n_tasks=60, n_samples=500, correlation=0.9, share=0.5, noise=0.1):
    """Features (n, m), targets (n, n_tasks), latents (n, m) and heads (n_tasks, m)."""
    rng = np.random.default_rng(seed)
    covariance = (1 - correlation) * np.eye(m) + correlation
    Z = rng.standard_normal((n_samples, m)) @ np.linalg.cholesky(covariance).T
    support = rng.random((n_tasks, m)) < share
    support[np.arange(n_tasks), rng.integers(m, size=n_tasks)] = True
    W = support * rng.standard_normal((n_tasks, m))
    Y = Z @ W.T
    Y += noise * Y.std(axis=0) * rng.standard_normal(Y.shape)
    return Z @ rng.standard_normal((m, m)), Y, Z, W


def match(Z, found):
    """Mean absolute correlation under the best matching, and the matching."""
    m = Z.shape[1]
    correlation = np.abs(np.corrcoef(Z.T, found.T)[:m, m:])
    rows, columns = linear_sum_assignment(-correlation)
    return correlation[rows, columns].mean(), columns
