r"""Directions along which classes differ, from the classes of a table.

Classes are taken to be normal with one covariance, and their means to be normal too [1]_. In the
basis in which the covariance within classes is the identity and that of the means is diagonal,
psi_j, a single row x of a class says that the mean of its class is psi_j x_j / (psi_j + 1), with a
variance of psi_j / (psi_j + 1). So a further row x' has the log-density

.. math:: \sum_j \Big[ w_j x_j x'_j - \tfrac12 w_j \tfrac{\psi_j}{\psi_j + 1} x_j^2 \Big]
    + \dots, \qquad w_j = \frac{\psi_j}{2 \psi_j + 1}

up to what all classes share. So features are scaled by the root of w_j, and heads that know nothing
of the other classes, such as the nearest mean, give each direction the weight that it deserves.
Both covariances are estimated from few classes, and shrunk as far as it helps with classes that
were left out.

References
----------
.. [1] Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006.
"""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.nn._episode_heads import FewShotHead
from sklearn_sparsedis.tasks._episodes import EpisodeSampler, feasible_sizes

__all__ = ["FEWEST_CLASSES", "discriminants"]

# Shares of a multiple of the identity in the covariance within classes, and of the rows' covariance
# in that of the means, from which to choose.
WITHIN = (0.03, 0.1, 0.3, 0.6)
BETWEEN = (0.0, 0.1, 0.4, 1.0)
# The choice needs two halves of the classes, and two of them an episode.
FEWEST_CLASSES = 4
N_WAY, N_SHOT, N_QUERY, N_EPISODES = 5, 1, 10, 300
# Directions are sought among so many principal components of the rows.
LARGEST_ORDER = 256
# Part of the largest psi below which a direction carries nothing, and of the rows' variance below
# which that within classes is rounding.
NEGLIGIBLE, ROUNDING = 1e-6, 1e-10


class _Moments:
    """Covariances within classes, of their means, and of all rows, in double precision."""

    def __init__(self, X: Tensor, y: Tensor) -> None:
        classes, index, counts = y.unique(return_inverse=True, return_counts=True)
        n, k = len(X), len(classes)
        means = X.new_zeros(k, X.shape[1]).index_add_(0, index, X) / counts[:, None]
        rest = X - means[index]
        self.within = rest.T @ rest / (n - k)
        self.total = torch.cov(X.T, correction=0)
        # rows make the means vary too
        self.between = torch.cov(means.T) - self.within * (1 / counts).mean()
        self.size = self.within.diagonal().mean()
        spread = self.total.diagonal().mean()
        self.floor = ROUNDING * torch.where(spread > 0, spread, 1)

    def basis(self, within: float, between: float, n_components: int) -> Tensor:
        """Matrix (d, r) of the scaled directions for shares of shrinkage."""
        variance, U = torch.linalg.eigh(self.within)
        whiten = U * ((1 - within) * variance + within * self.size).clamp_min(self.floor).rsqrt()
        trace, whole = self.between.trace().clamp_min(0), self.total.trace()
        target = trace / torch.where(whole > 0, whole, 1) * self.total
        means = (1 - between) * self.between + between * target
        psi, V = torch.linalg.eigh(whiten.T @ means @ whiten)
        psi, V = psi.flip(0)[:n_components], V.flip(1)[:, :n_components]
        kept = psi > NEGLIGIBLE * psi[0].clamp_min(0)
        kept[0] = True  # classes that do not differ have a direction all the same
        psi = psi[kept].clamp_min(NEGLIGIBLE)
        return whiten @ V[:, kept] * (psi / (2 * psi + 1)).sqrt()


def discriminants(
    X: Tensor, y: NDArray[np.int64], n_components: int, random: np.random.RandomState
) -> Tensor:
    """Scaled directions (r, d) along which classes differ, at most `n_components` of them.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Rows.
    y : ndarray of int, shape (n,)
        Their classes.
    n_components : int
        Largest number of directions.
    random : RandomState
        Halves the classes, and draws episodes of those left out.

    Raises
    ------
    ValueError
        If fewer than four classes have two rows.
    """
    n_large = int((np.bincount(y) >= 2).sum())
    if n_large < FEWEST_CLASSES:
        raise ValueError(
            f"Discriminants need {FEWEST_CLASSES} classes of at least two rows, to see along which "
            f'directions classes differ; {n_large} have. Take encoder="identity" instead of '
            '"discriminant", or discriminants=False.'
        )
    X = X.double()
    X, back = _principal(X - X.mean(0))
    shares = list(product(WITHIN, BETWEEN))
    usable = random.permutation(np.flatnonzero(np.bincount(y) >= 2))
    accuracy = np.zeros(len(shares))
    for fold in range(2):
        left_out = np.isin(y, usable[fold::2])
        accuracy += _accuracies(
            X, y, left_out, shares, n_components, int(random.randint(2**31 - 1))
        )
    best = shares[int(accuracy.argmax())]
    return (back @ _Moments(X, torch.from_numpy(y)).basis(*best, n_components)).T


def _principal(X: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in their leading principal components (n, p), and these directions (d, p)."""
    d = X.shape[1]
    if d <= LARGEST_ORDER:
        return X, torch.eye(d, dtype=X.dtype)
    _, V = torch.linalg.eigh(X.T @ X)
    V = V[:, -min(LARGEST_ORDER, len(X)) :]
    return X @ V, V


def _accuracies(
    X: Tensor,
    y: NDArray[np.int64],
    left_out: NDArray[np.bool_],
    shares: list[tuple[float, float]],
    n_components: int,
    seed: int,
) -> NDArray[np.float64]:
    """Accuracy of class means on episodes of classes that are left out, for each shrinkage."""
    moments = _Moments(X[~left_out], torch.from_numpy(y[~left_out]))
    X, y = X[left_out], y[left_out]
    n_way, n_shot, n_query = feasible_sizes(np.bincount(y), N_WAY, N_SHOT, N_QUERY)
    sampler = EpisodeSampler(
        y, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed, small_classes="drop"
    )
    episodes = sampler.sample(N_EPISODES)
    support, query, labels, answers = (
        torch.from_numpy(index)
        for index in (
            episodes.support,
            episodes.query,
            episodes.support_labels,
            episodes.query_labels,
        )
    )
    found = []
    for share in shares:
        Z = X @ moments.basis(*share, n_components)
        heads = FewShotHead("prototype").fit(Z[support], labels, n_way)
        found.append(float((heads.scores(Z[query]).argmax(-1) == answers).double().mean()))
    return np.array(found)
