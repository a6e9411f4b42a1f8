"""Generators of regression tasks that are sparse in the latents of data."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_array, check_random_state

from sklearn_sparsedis.datasets._checks import check_integer, check_real
from sklearn_sparsedis.datasets._latents import draw_latents
from sklearn_sparsedis.datasets._mixing import draw_mixing
from sklearn_sparsedis.datasets._supports import draw_coefficients

__all__ = ["make_sparse_multitask", "make_sparse_tasks"]


def _add_noise(signal: np.ndarray, fraction: float, rng: np.random.RandomState) -> np.ndarray:
    """Add normal noise whose norm in each column is a fraction of that of the centred signal."""
    noise = rng.standard_normal(signal.shape)
    target = fraction * np.linalg.norm(signal - signal.mean(axis=0), axis=0)
    return signal + noise * (target / np.linalg.norm(noise, axis=0))


def _drop_labels(Y: np.ndarray, fraction: float, rng: np.random.RandomState) -> np.ndarray:
    """Replace the same number of labels in each column, drawn at random, by NaN."""
    n_missing = min(round(fraction * len(Y)), len(Y) - 1)
    order = np.argsort(rng.random_sample(Y.shape), axis=0)
    return np.where(order < n_missing, np.nan, Y)


def make_sparse_tasks(
    Z: Any,
    n_tasks: int = 100,
    *,
    support: Any = "bernoulli",
    support_prob: float = 0.5,
    support_size: int = 2,
    n_supports: int = 10,
    noise: float = 0.1,
    missing_fraction: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    r"""Draw regression tasks that use few of the given latents each.

    .. math:: Y_{it} = \langle w_t, z_i \rangle + \varepsilon_{it}

    with a support drawn by a law, :math:`w_{tj} \sim N(0, 1)` on it, and
    :math:`\|\varepsilon_t\|` a given fraction of the norm of the centred signal.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_latents)
        Latents, or the standardised factors of a data set.
    n_tasks : int >= 1, default=100
    support : str or array-like of bool, shape (n_supports, n_latents), default="bernoulli"
        Law of the latents that a task uses:

        * "bernoulli": each with probability `support_prob`, independently;
        * "fixed_size": `support_size` of them, all subsets being equally likely;
        * "blocks": consecutive blocks of `support_size` latents are used together, each block with
          probability `support_prob`. Within a block, no task tells the latents apart;
        * "finite": one of `n_supports` supports, which are drawn once from "bernoulli";
        * an array: one of its rows, all being equally likely;
        * "laplace", "gaussian": every task uses every latent, with coefficients of variance 1.
          These violate the theorem's sparsity; Laplace's are nearly sparse, the normal ones carry
          no information on the basis.

        No task is left without a latent: an empty support is drawn again.
    support_prob : float in (0, 1], default=0.5
    support_size : int >= 1, default=2
    n_supports : int >= 1, default=10
        Used by "finite".
    noise : float >= 0, default=0.1
        Norm of each task's noise over the norm of its centred signal; 0.1 is 10 % noise and 1.0
        means an R^2 of one half.
    missing_fraction : float in [0, 1), default=0.0
        Share of each task's labels, at random, that are replaced by NaN; at least one stays.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    tasks : Bunch
        Y : ndarray of shape (n_samples, n_tasks)
        coef : ndarray of shape (n_tasks, n_latents)
        support : ndarray of bool, shape (n_tasks, n_latents)
            ``coef != 0``.

    Raises
    ------
    ValueError, TypeError
        For an argument outside of its domain; the message names it.

    See Also
    --------
    make_sparse_multitask : Draws latents and observations too.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.datasets import make_sparse_tasks
    >>> Z = np.random.default_rng(0).normal(size=(50, 4))
    >>> tasks = make_sparse_tasks(Z, 3, support="fixed_size", support_size=1, random_state=0)
    >>> tasks.Y.shape, tasks.support.sum(axis=1)
    ((50, 3), array([1, 1, 1]))
    """
    Z = check_array(Z, dtype=np.float64, ensure_min_samples=2, input_name="Z")
    check_integer("n_tasks", n_tasks, 1)
    check_real("noise", noise, 0.0, np.inf, closed=False)
    check_real("missing_fraction", missing_fraction, 0.0, 1.0, closed=False)
    rng = check_random_state(random_state)
    coef = draw_coefficients(
        n_tasks,
        Z.shape[1],
        support,
        support_prob=support_prob,
        support_size=support_size,
        n_supports=n_supports,
        rng=rng,
    )
    Y = _drop_labels(_add_noise(Z @ coef.T, noise, rng), missing_fraction, rng)
    return Bunch(Y=Y, coef=coef, support=coef != 0)


def _apply_callable(mixing: Callable[[np.ndarray], Any], Z: np.ndarray) -> np.ndarray:
    X = check_array(mixing(Z), dtype=np.float64, input_name="mixing(Z)")
    if len(X) != len(Z):
        raise ValueError(
            f"mixing must return one row for each of the {len(Z)} rows of latents, got {len(X)}."
        )
    return X


def make_sparse_multitask(
    n_samples: int = 1000,
    n_tasks: int = 100,
    n_latents: int = 6,
    n_features: int = 20,
    *,
    mixing: str | Callable[[np.ndarray], Any] = "linear",
    latent_distribution: str = "normal",
    correlation: float = 0.0,
    support: Any = "bernoulli",
    support_prob: float = 0.5,
    support_size: int = 2,
    n_supports: int = 10,
    noise: float = 0.1,
    observation_noise: float = 0.0,
    missing_fraction: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    r"""Make a table of observations and many regression tasks that share few latents each.

    Latents :math:`z` are drawn, mixed into observations :math:`x = m(z)`, and each task observes a
    sparse linear function of the latents with noise. The setting of [1]_: a representation of
    :math:`x` is disentangled where it equals :math:`z` up to permutation and scale.

    Parameters
    ----------
    n_samples : int >= 2, default=1000
    n_tasks : int >= 1, default=100
    n_latents : int >= 1, default=6
    n_features : int >= n_latents, default=20
        Observed dimensions; those of a callable `mixing` are its own.
    mixing : {"linear", "mlp"} or callable, default="linear"
        * "linear": a random matrix with condition number 3;
        * "mlp": an injective network of two leaky-ReLU layers (slope 0.2) as wide as the latents,
          with random orthogonal matrices and biases, followed by a linear embedding. No linear map
          undoes it (R, the best linear recovery, is about 0.9 for independent latents);
        * a callable: ``mixing(Z) -> X``, array of shape (n_samples, any number of features).
    latent_distribution : {"normal", "uniform", "laplace", "exponential"}, default="normal"
        Marginal distribution, of mean 0 and variance 1.
    correlation : float in [0, 1), default=0.0
        Pearson correlation between every two latents, whatever their distribution.
    support, support_prob, support_size, n_supports, noise
        Law of the tasks, see `make_sparse_tasks`.
    observation_noise : float >= 0, default=0.0
        Norm of the noise in each observed feature over the norm of the centred feature.
    missing_fraction : float in [0, 1), default=0.0
        Share of missing labels, see `make_sparse_tasks`.
    random_state : int, RandomState instance or None, default=None
        Latents, mixing, heads and noise. With one seed and one shape, the latents of one
        `latent_distribution` and `correlation`, and the mixing, are the same for all tasks' laws.

    Returns
    -------
    data : Bunch
        X : ndarray of shape (n_samples, n_features)
        Y : ndarray of shape (n_samples, n_tasks)
            NaN where a label is missing.
        Z : ndarray of shape (n_samples, n_latents)
            True latents.
        coef : ndarray of shape (n_tasks, n_latents)
            ``Y = Z @ coef.T`` + noise.
        support : ndarray of bool, shape (n_tasks, n_latents)
        mixing : callable
            The map from latents to observations without noise, for fresh data from the same world.

    Raises
    ------
    ValueError, TypeError
        For an argument outside of its domain; the message names it.

    See Also
    --------
    make_sparse_tasks : More tasks on the same latents.

    Notes
    -----
    Among strongly correlated latents every feature correlates with every latent, so that even an
    entangled representation has a high MCC on these rows. Score on independent latents of the same
    world instead, as [1]_ does: a second call with ``mixing=data.mixing, correlation=0``.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> data = make_sparse_multitask(200, n_tasks=30, correlation=0.9, random_state=0)
    >>> data.X.shape, data.Y.shape, data.Z.shape, data.coef.shape
    ((200, 20), (200, 30), (200, 6), (30, 6))
    >>> test = make_sparse_multitask(500, mixing=data.mixing, random_state=1)
    >>> test.Z.shape
    (500, 6)
    """
    check_integer("n_samples", n_samples, 2)
    check_integer("n_latents", n_latents, 1)
    check_integer("n_features", n_features, 1)
    check_real("observation_noise", observation_noise, 0.0, np.inf, closed=False)
    rng = check_random_state(random_state)
    Z = draw_latents(n_samples, n_latents, latent_distribution, correlation, rng)
    mix = mixing if callable(mixing) else draw_mixing(mixing, n_latents, n_features, rng)
    X = _apply_callable(mix, Z)
    tasks = make_sparse_tasks(
        Z,
        n_tasks,
        support=support,
        support_prob=support_prob,
        support_size=support_size,
        n_supports=n_supports,
        noise=noise,
        missing_fraction=missing_fraction,
        random_state=rng,
    )
    X = _add_noise(X, observation_noise, rng)
    return Bunch(X=X, Y=tasks.Y, Z=Z, coef=tasks.coef, support=tasks.support, mixing=mix)
