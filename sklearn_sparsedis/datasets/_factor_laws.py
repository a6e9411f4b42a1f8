"""Correlated factors of a grid, and their conversion to continuous latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sklearn_sparsedis.datasets._checks import check_integer, check_real
from sklearn_sparsedis.datasets._factor_grid import choose_factors

__all__ = ["draw_correlated_factors", "latents_of_factors"]


def _check_sizes(factor_sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(check_integer("each of factor_sizes", int(size), 2) for size in factor_sizes)


def draw_correlated_factors(
    factor_sizes: Sequence[int],
    n_samples: int,
    *,
    correlation: float = 0.0,
    random_state: Any = None,
) -> np.ndarray:
    r"""Draw factors from a grid that is reweighted by a Gaussian density.

    .. math:: p(k) \propto \exp\left(-\tfrac12 z(k)^\top \Sigma^{-1} z(k)\right),
       \qquad \Sigma_{jl} = \rho + (1 - \rho) [j = l]

    with :math:`z(k)` the indices standardised over the uniform grid, as in the experiments of [1]_.

    Parameters
    ----------
    factor_sizes : sequence of int >= 2
        Values of each factor, such as ``make_shapes3d(1).factor_sizes``.
    n_samples : int >= 1
    correlation : float in [0, 1), default=0.0
        :math:`\rho`. The grid is finite, so the factors themselves correlate less.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    factors : ndarray of int, shape (n_samples, n_factors)

    Notes
    -----
    The whole grid is weighted: memory is a few times its size in floats.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sklearn_sparsedis.datasets import draw_correlated_factors
    >>> draw_correlated_factors((10, 4), 5, correlation=0.9, random_state=0).shape
    (5, 2)
    """
    sizes = _check_sizes(factor_sizes)
    check_integer("n_samples", n_samples, 1)
    check_real("correlation", correlation, 0.0, 1.0, closed=False)
    m = len(sizes)
    standardised = [(np.arange(s) - (s - 1) / 2) / np.arange(s).std() for s in sizes]
    grids = np.meshgrid(*standardised, indexing="ij", sparse=True)
    squares, total = sum(g**2 for g in grids), sum(grids)
    # The inverse of an equicorrelation matrix is a multiple of I minus a multiple of 1 1^T.
    spread = correlation / (1.0 + (m - 1) * correlation)
    energy = (squares - spread * total**2) / (2.0 * (1.0 - correlation))
    weight = np.cumsum(np.exp(energy.min() - energy).ravel())
    rng = check_random_state(random_state)
    index = np.searchsorted(weight, rng.random_sample(n_samples) * weight[-1], side="right")
    return np.stack(np.unravel_index(np.minimum(index, weight.size - 1), sizes), axis=1)


def latents_of_factors(
    factors: Any, factor_sizes: Sequence[int], *, noise: bool = True, random_state: Any = None
) -> np.ndarray:
    """Turn indices of factors into continuous latents.

    Uniform noise of plus or minus half a step of the grid is added, and the result is standardised
    by the mean and deviation that the factor has on the uniform grid. Pass it to
    `make_sparse_tasks` for tasks on pictures.

    Parameters
    ----------
    factors : array-like of int, shape (n_samples, n_factors)
    factor_sizes : sequence of int >= 2
    noise : bool, default=True
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    latents : ndarray of float, shape (n_samples, n_factors)

    Examples
    --------
    >>> from sklearn_sparsedis.datasets import latents_of_factors
    >>> latents_of_factors([[0, 1], [1, 0]], (2, 2), noise=False)
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    sizes = _check_sizes(factor_sizes)
    names = tuple(f"factor {j}" for j in range(len(sizes)))
    indices = choose_factors(None, factors, sizes, names, None).astype(np.float64)
    count = np.array(sizes, dtype=np.float64)
    variance = (count**2 - 1.0) / 12.0
    if noise:
        indices += check_random_state(random_state).uniform(-0.5, 0.5, size=indices.shape)
        variance += 1.0 / 12.0
    return (indices - (count - 1.0) / 2.0) / np.sqrt(variance)
