"""Independent components of what sparsity leaves open: non-Gaussian laws as evidence.

Heads that are dense, or that use some components only together, say nothing on the axes of the
space that these span. Where latents are independent and at most one of them is normal, their
laws do [1]_. Nothing is turned where the joint law of the components refutes independence.

References
----------
.. [1] Comon, "Independent component analysis, a new concept?", Signal Processing, 1994.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from sklearn_sparsedis.basis._heads import HeadEstimates, head_spectrum
from sklearn_sparsedis.basis._search import NON_GAUSSIANITY, NOTHING, TRUST, HeadBasis
from sklearn_sparsedis.solvers.sparse_basis import judge_directions

__all__ = ["are_independent", "independent_components", "law_gain", "turn_by_laws", "turn_groups"]

Array = NDArray[np.float64]

# least correlation with its latent of a component that counts as identified
RIGHT = 0.95
_N_STARTS, _MAX_ITER, _TOL = 4, 100, 1e-6
# levels of the tests that a component is not normal, and that components depend on each other,
# which the one must show and the other must not
_LEVEL, _DEPENDENT = 1e-3, 1e-2
# classes of a component in tables, and draws of what independent ones would show
_CLASSES, _N_DRAWS = (4, 10), 19
_LOGCOSH = 0.374567  # mean of log cosh of a standard normal


def turn_by_laws(
    basis: HeadBasis,
    heads: HeadEstimates,
    read_rows: Callable[[NDArray[Any]], NDArray[Any]],
) -> HeadBasis:
    """The basis, turned to independent components where sparsity leaves some open.

    Blocks are turned, each within its space; where components are open for another reason, all
    open ones are together. What sparsity determines is not touched, and says whether latents can
    be independent. `read_rows` returns rows (n, k) of the whitened features along orthonormal
    directions (k, r).
    """
    n_latents, blocks = basis.n_latents, basis.blocks
    unknown = np.flatnonzero(~basis.identified[:n_latents])
    if not unknown.size or not 1 < n_latents <= len(basis.rotation):
        return basis
    alone = np.setdiff1d(unknown, np.concatenate(blocks)) if blocks else unknown
    groups = [unknown] if alone.size else blocks
    known = np.isfinite(heads.error)
    used = head_spectrum(heads.coef[known], heads.error[known], heads.metric)[1][:n_latents]
    turned, errors = map(torch.from_numpy, heads.along(used, known))

    def judge(A: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Log-likelihood of the heads, and probabilities of their zeros."""
        if not basis.n_starts:
            return 0.0, basis.unused[known, :n_latents]
        directions = torch.from_numpy(np.linalg.inv(A).T.copy())
        score, unused = judge_directions(turned, errors, directions, basis.min_effect)
        return float(score), unused.numpy()

    before = basis.rotation[:n_latents] @ used.T
    if _are_correlated(before, basis.identified[:n_latents]):
        return basis
    A, resolved = turn_groups(before, groups, read_rows(used), lambda A: judge(A)[0])
    moved = (before != A).any(axis=1)
    by = np.where(moved, NOTHING, basis.identified_by[:n_latents])
    basis.identified_by[:n_latents] = np.where(resolved & (by == NOTHING), NON_GAUSSIANITY, by)
    if not moved.any():
        return basis
    unused = judge(A)[1]
    order = np.argsort(unused.sum(axis=0), kind="stable")
    basis.rotation[:n_latents] = (A @ used)[order]
    basis.unused[known, :n_latents] = unused[:, order]
    basis.identified_by[:n_latents] = basis.identified_by[order]
    for name in TRUST:
        values = getattr(basis, "scores" if name == "evidence" else name)
        values[:n_latents] = np.where(moved, 0.0, values[:n_latents])[order]
    place = np.argsort(order)
    within = not np.delete(moved, np.concatenate(blocks)).any() if blocks else True
    return replace(basis, blocks=tuple(np.sort(place[block]) for block in blocks if within))


def _are_correlated(A: Array, known: NDArray[np.bool_]) -> bool:
    """Whether known components correlate, with each other or others, more than errors explain."""
    between = np.linalg.norm(A[known] @ np.linalg.qr(A[~known].T)[0], axis=1)
    among = np.abs(A[known] @ A[known].T - np.eye(known.sum()))
    return bool(max(between.max(initial=0.0), among.max(initial=0.0)) > np.sqrt(1 - RIGHT**2))


def turn_groups(
    A: Array,
    groups: Sequence[NDArray[np.intp]],
    X: Array,
    sparse_score: Callable[[Array], float],
) -> tuple[Array, NDArray[np.bool_]]:
    """Replace groups of components by the independent components of the space that they span.

    They are where that raises the log-likelihood of heads and rows together. So zeros of heads that
    laws contradict, or the other way round, are weighed in the same units.

    Parameters
    ----------
    A : ndarray of shape (m, m)
        Components ``X @ A.T`` of unit variance.
    groups : sequence of ndarray of int
        Rows of A that sparsity does not tell apart.
    X : ndarray of shape (n, m)
        White features.
    sparse_score : callable
        Log-likelihood of the heads for such a matrix.

    Returns
    -------
    A : ndarray of shape (m, m)
    resolved : ndarray of bool, shape (m,)
        Rows that are, or agree by `RIGHT` with, components that are known so well by their laws.
    """
    best, sure = A, [np.empty((0, len(A)))]
    for group in groups:
        found, known = _independent_directions(A[group], X)
        if known.any():
            sure.append(found[known])
            turned = best.copy()
            turned[group] = found
            gain = law_gain(X @ turned.T) - law_gain(X @ best.T)
            if gain + sparse_score(turned) > sparse_score(best):
                best = turned
    agreement = np.abs(best @ np.concatenate(sure).T).max(axis=1, initial=0.0)
    return best, agreement > RIGHT


def _independent_directions(rows: Array, X: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Independent components of the space of some rows (k, m), and which are known to `RIGHT`."""
    if len(rows) < 2:
        return rows, np.zeros(len(rows), dtype=bool)
    span = np.linalg.qr(rows.T)[0].T
    W, error = independent_components(X @ span.T)
    known = error < 1 - RIGHT**2
    if known.any() and not are_independent(X @ span.T @ W.T):
        known[:] = False
    return W @ span / np.linalg.norm(W, axis=1, keepdims=True), known


def independent_components(X: Array) -> tuple[Array, Array]:
    """Unmixing matrix (k, k) of rows X (n, k) and how far each component is from its latent.

    Symmetric FastICA [1]_ with log cosh, from several starts; that of scikit-learn warns where it
    does not converge, which on normal data is no fault.

    Returns
    -------
    W : ndarray of shape (k, k)
        ``X @ W.T`` are the components, of unit variance.
    error : ndarray of shape (k,)
        Expected square of the sine of the angle between a component and its latent, to first
        order [2]_; large where laws are nearly normal.

    References
    ----------
    .. [1] Hyvarinen, "Fast and robust fixed-point algorithms for independent component analysis",
       IEEE Transactions on Neural Networks, 1999.
    .. [2] Tichavsky, Koldovsky, Oja, "Performance analysis of the FastICA algorithm and
       Cramer-Rao bounds for linear independent component analysis", IEEE Transactions on Signal
       Processing, 2006.
    """
    n, k = X.shape
    X = X - X.mean(axis=0)
    unmix = np.linalg.inv(np.linalg.cholesky(X.T @ X / n)).T
    X = X @ unmix
    rng = np.random.default_rng(0)
    W = _rotation(X, rng)
    S = X @ W.T
    return W @ unmix.T, _errors(S, _significant_pulls(X, W, rng))


def _rotation(X: Array, rng: np.random.Generator) -> Array:
    """The rotation of white rows with most contrast, over a few starts."""
    k = X.shape[1]
    ends = [_climb(X, _orthogonal(rng.standard_normal((k, k)))) for _ in range(_N_STARTS)]
    return max(ends, key=lambda W: _contrast(X @ W.T))


def _significant_pulls(X: Array, W: Array, rng: np.random.Generator) -> Array:
    """How far the law of each component is from the normal one; zero where that may be luck.

    The best of all rotations looks far from normal on the rows that it was chosen for. So one half
    of the rows chooses a rotation, and the other one tests its laws.
    """
    half = rng.permutation(len(X)) < len(X) // 2
    pulls, squares = np.zeros(len(W)), np.zeros(len(W))
    for chosen in (half, ~half):
        R = _rotation(X[chosen], rng)
        match = linear_sum_assignment(-np.abs(W @ R.T))[1]
        R = R[match]
        sign = np.sign(_pull(X[chosen] @ R.T).mean(axis=0))
        seen = X[~chosen] @ R.T
        seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
        pull = _pull(seen)
        pulls += sign * pull.mean(axis=0) / 2
        # mean and variance of a component are those of the same rows
        for power in (seen, seen**2 - 1):
            pull = pull - power * (power * pull).mean(axis=0) / (power**2).mean(axis=0)
        squares += pull.var(axis=0) / len(pull) / 4
    # one test after the other keeps the level, whatever the number of components
    known = pulls > norm.isf(_LEVEL / len(W)) * np.sqrt(squares)
    return np.where(known, pulls, 0.0)


def _pull(S: Array) -> Array:
    """What draws a component away from the normal law, row by row; of mean zero for that law."""
    g = np.tanh(S)
    return S * g - (1 - g**2)


def _climb(X: Array, W: Array) -> Array:
    for _ in range(_MAX_ITER):
        g = np.tanh(X @ W.T)
        moved = _orthogonal(g.T @ X / len(X) - (1 - g**2).mean(axis=0)[:, None] * W)
        still = np.abs((moved * W).sum(axis=1)).min() > 1 - _TOL
        W = moved
        if still:
            break
    return W


def _orthogonal(W: Array) -> Array:
    """The orthogonal matrix next to W."""
    U, _, V = np.linalg.svd(W)
    return U @ V


def _contrast(S: Array) -> float:
    """Distance of the laws of components from the normal one."""
    size = np.abs(S)
    log_cosh = (size + np.log1p(np.exp(-2 * size)) - np.log(2)).mean(axis=0)
    return float(np.square(log_cosh - _LOGCOSH).sum())


def _errors(S: Array, pull: Array) -> Array:
    g = np.tanh(S)
    spread = (g**2).mean(axis=0) - (S * g).mean(axis=0) ** 2
    both = np.square(pull[:, None] + pull)
    pair = (spread[:, None] + spread + pull**2) / np.where(both > 0, both, np.finfo(float).tiny)
    np.fill_diagonal(pair, 0.0)
    return pair.sum(axis=1) / len(S)


def are_independent(S: Array) -> bool:
    """Whether nothing shows that the components S (n, k) depend on each other.

    Measures of dependence are compared with those of independent columns: of the same components,
    each in a random order, whose axes are then estimated as those of S were.
    """
    n, k = S.shape
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_N_DRAWS):
        mixed = rng.permuted(S, axis=0)
        mixed = (mixed - mixed.mean(axis=0)) @ np.linalg.inv(
            np.linalg.cholesky(mixed.T @ mixed / n)
        ).T
        drawn.append(_dependence(mixed @ _climb(mixed, np.eye(k)).T))
    values = np.array(drawn)
    spread = values.std(axis=0, ddof=1) * np.sqrt(1 + 1 / _N_DRAWS)
    excess = (_dependence(S) - values.mean(axis=0)) / spread
    return bool((student.sf(excess, _N_DRAWS - 1) > _DEPENDENT / len(excess)).all())


def _dependence(S: Array) -> Array:
    """Chi-squared statistics of tables of two components, and of the ranks of their sizes."""
    n, k = S.shape
    pair = np.triu_indices(k, 1)
    size = rankdata(np.abs(S - np.median(S, axis=0)), axis=0)
    found = [n * np.square(np.corrcoef(size.T)[pair]).sum()]
    order = rankdata(S, axis=0, method="ordinal") - 1
    for n_classes in _CLASSES:
        classes = (order * n_classes // n).astype(np.intp)
        one = (classes[:, :, None] == np.arange(n_classes)).reshape(n, -1).astype(np.float64)
        table = (one.T @ one).reshape(k, n_classes, k, n_classes).transpose(0, 2, 1, 3)[pair]
        expected = n / n_classes**2
        found.append(np.square(table - expected).sum() / expected)
    return np.array(found)


def law_gain(Z: Array) -> float:
    """Gain in log-likelihood of components Z (n, m) over a normal law of the same covariance.

    Their laws are histograms, joined by a normal copula, so that dependent components may gain too.
    """
    n, m = Z.shape
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    scores = norm.ppf(rankdata(Z, axis=0) / (n + 1))
    gain = np.linalg.slogdet(np.corrcoef(Z.T).reshape(m, m))[1]
    gain -= np.linalg.slogdet(np.corrcoef(scores.T).reshape(m, m))[1]
    entropy = sum(_entropy(z) for z in Z.T)
    return float(n * (m * (1 + np.log(2 * np.pi)) / 2 - entropy + gain / 2))


def _entropy(z: Array) -> float:
    """Differential entropy of a sample, from a histogram."""
    counts, edges = np.histogram(z, bins=max(2, round(2 * len(z) ** (1 / 3))))
    share = counts[counts > 0] / len(z)
    return float(-(share * np.log(share)).sum() + np.log(edges[1] - edges[0]))
