"""Scores from batches of rows that share the value of one latent."""

from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from sklearn_sparsedis.metrics._checks import check_pair, standardise
from sklearn_sparsedis.metrics._factors import (
    check_count,
    discrete_mask,
    labels_of,
    varying_features,
)

__all__ = ["beta_vae_score", "factor_vae_score"]

_CHUNK = 200  # number of batches that are gathered at once


class _SharedValueSampler:
    """Draw rows that share the value of a latent with a random row."""

    def __init__(self, labels: np.ndarray, name: str) -> None:
        self.order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        self.counts = counts
        self.starts = np.cumsum(counts) - counts
        # A value with one row shows no change of features while it is fixed.
        self.rows = np.flatnonzero(counts[labels] > 1)
        self.labels = labels
        if self.rows.size == 0:
            raise ValueError(
                f"{name} must have a value that two rows share, got a different one on every row. "
                f"Pass more rows, or discrete_factors=False to bin it."
            )

    def draw_values(self, shape: tuple[int, ...], rng: np.random.RandomState) -> np.ndarray:
        return self.labels[self.rows[rng.randint(self.rows.size, size=shape)]]

    def draw_rows(self, values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        offset = (rng.random_sample(values.shape) * self.counts[values]).astype(np.intp)
        return self.order[self.starts[values] + offset]


def _prepare(
    Z_true: Any, Z_pred: Any, discrete_factors: Any, n_bins: int, batch_size: int, n_batches: int
) -> tuple[list[_SharedValueSampler], np.ndarray]:
    for name, value in (("n_bins", n_bins), ("batch_size", batch_size), ("n_batches", n_batches)):
        check_count(name, value)
    true, pred = check_pair(Z_true, Z_pred)
    if true.shape[1] < 2:
        raise ValueError(
            "Z_true must have at least two latents, which the score tells apart, got one. Pass all "
            "latents as columns."
        )
    mask = discrete_mask(Z_true, discrete_factors)
    samplers = []
    for j, (values, discrete) in enumerate(zip(true.T, mask, strict=True)):
        labels = labels_of(values, n_bins, len(values) if discrete else 0)
        used, labels = np.unique(labels, return_inverse=True)
        samplers.append(_SharedValueSampler(labels, f"column {j} of Z_true"))
    return samplers, standardise(varying_features(pred)) * np.sqrt(len(pred))


def _least_varying(
    sampler: _SharedValueSampler,
    Z: np.ndarray,
    n_votes: int,
    batch_size: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Feature of least variance in each of `n_votes` batches in which one latent is fixed."""
    values = np.repeat(sampler.draw_values((n_votes, 1), rng), batch_size, axis=1)
    rows = sampler.draw_rows(values, rng)
    chunks = np.array_split(rows, -(-n_votes // _CHUNK))
    return np.concatenate([np.argmin(Z[chunk].var(axis=1), axis=1) for chunk in chunks])


def factor_vae_score(
    Z_true: Any,
    Z_pred: Any,
    *,
    discrete_factors: Any = "auto",
    n_bins: int = 20,
    batch_size: int = 64,
    n_batches: int = 5000,
    random_state: Any = 0,
) -> float:
    r"""FactorVAE score: accuracy of identifying a fixed latent by the feature that varies least.

    A batch of rows shares the value of one latent j. The feature with the least variance in it,
    relative to its variance over all rows, votes for j. A majority-vote classifier from feature to
    latent is made from half of the batches, and the score is its accuracy on the other half.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents >= 2)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant features have no vote; if none is left, the score
        is 0.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=20
        Bins of equal width in which continuous latents share a value.
    batch_size : int >= 2, default=64
        Rows in a batch, drawn with replacement from those given.
    n_batches : int >= 2, default=5000
    random_state : int, RandomState instance or None, default=0

    Returns
    -------
    score : float in [0, 1]
        A useless representation scores about 1 / n_latents.

    Raises
    ------
    ValueError
        For a single latent, a latent without a value that two rows share, and as in `mig_score`.

    Notes
    -----
    The published score renders new images for each batch; on arrays, the rows given stand for the
    data. All latents are fixed equally often. A feature that varies little may still depend on
    other latents, so that features which combine latents can score well. Kim and Mnih name the
    reverse limitation: the score does not penalise several features for one latent.

    References
    ----------
    .. [1] H. Kim and A. Mnih, "Disentangling by Factorising", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import factor_vae_score
    >>> Z = np.random.default_rng(0).integers(4, size=(300, 3))
    >>> factor_vae_score(Z, -Z[:, ::-1], n_batches=300)
    1.0
    """
    samplers, Z = _prepare(Z_true, Z_pred, discrete_factors, n_bins, batch_size, n_batches)
    if Z.shape[1] == 0:
        return 0.0
    rng = check_random_state(random_state)
    per_latent = -(-n_batches // (2 * len(samplers)))
    counts = np.empty((2, len(samplers), Z.shape[1]))
    for j, sampler in enumerate(samplers):
        votes = _least_varying(sampler, Z, 2 * per_latent, batch_size, rng)
        for half, part in enumerate(np.split(votes, 2)):
            counts[half, j] = np.bincount(part, minlength=Z.shape[1])
    latent_of = counts[0].argmax(axis=0)
    hits = counts[1][latent_of, np.arange(Z.shape[1])].sum()
    return float(hits / counts[1].sum())


def _mean_differences(
    sampler: _SharedValueSampler,
    Z: np.ndarray,
    n_points: int,
    batch_size: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Mean absolute differences of pairs that share the value of one latent, (n_points, k)."""
    values = sampler.draw_values((n_points, batch_size), rng)
    first, second = sampler.draw_rows(values, rng), sampler.draw_rows(values, rng)
    n_chunks = -(-n_points // _CHUNK)
    pairs = zip(np.array_split(first, n_chunks), np.array_split(second, n_chunks), strict=True)
    return np.concatenate([np.abs(Z[a] - Z[b]).mean(axis=1) for a, b in pairs])


def beta_vae_score(
    Z_true: Any,
    Z_pred: Any,
    *,
    discrete_factors: Any = "auto",
    n_bins: int = 20,
    batch_size: int = 64,
    n_batches: int = 5000,
    random_state: Any = 0,
) -> float:
    r"""Beta-VAE score: accuracy of a linear classifier of the latent in which pairs agree.

    A batch holds pairs of rows that agree in one latent j. The mean absolute differences of the
    features within the pairs,

    .. math:: \frac{1}{L} \sum_{l=1}^L | \hat z^{(l, 1)} - \hat z^{(l, 2)} |

    are one point with label j. A multinomial logistic regression is fitted to half of the points
    and the score is its accuracy on the other half.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents >= 2)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant features are left out; if none is left, the score
        is 0.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=20
        Bins of equal width in which continuous latents share a value.
    batch_size : int >= 2, default=64
        Pairs in a batch, drawn with replacement from the rows given.
    n_batches : int >= 2, default=5000
    random_state : int, RandomState instance or None, default=0

    Returns
    -------
    score : float in [0, 1]
        A useless representation scores about 1 / n_latents.

    Raises
    ------
    ValueError
        For a single latent, a latent without a value that two rows share, and as in `mig_score`.

    Notes
    -----
    A lenient score: linear mixtures of the latents often reach 1, as Kim and Mnih point out.
    Features are standardised, which the published score does not do, so that their scale is
    immaterial to the penalty of the classifier.

    References
    ----------
    .. [1] I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
       Variational Framework", ICLR 2017.
    .. [2] H. Kim and A. Mnih, "Disentangling by Factorising", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import beta_vae_score
    >>> Z = np.random.default_rng(0).integers(4, size=(300, 3))
    >>> beta_vae_score(Z, -Z[:, ::-1], n_batches=300)
    1.0
    """
    samplers, Z = _prepare(Z_true, Z_pred, discrete_factors, n_bins, batch_size, n_batches)
    if Z.shape[1] == 0:
        return 0.0
    rng = check_random_state(random_state)
    half = -(-n_batches // (2 * len(samplers)))
    points = np.array([_mean_differences(s, Z, 2 * half, batch_size, rng) for s in samplers])
    labels = np.repeat(np.arange(len(samplers)), half)
    train, test = (part.reshape(-1, Z.shape[1]) for part in (points[:, :half], points[:, half:]))
    scaler = StandardScaler().fit(train)
    from sklearn.linear_model import LogisticRegression  # slow to import

    model = LogisticRegression(max_iter=1000).fit(scaler.transform(train), labels)
    return float(model.score(scaler.transform(test), labels))
