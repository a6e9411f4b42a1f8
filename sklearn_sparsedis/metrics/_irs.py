"""Interventional robustness."""

from typing import Any

import numpy as np

from sklearn_sparsedis.metrics._checks import check_pair
from sklearn_sparsedis.metrics._factors import (
    check_count,
    discrete_mask,
    labels_of,
    varying_features,
)

__all__ = ["irs_score"]


def _deviation(labels: np.ndarray, Z: np.ndarray, quantile: float) -> np.ndarray:
    """Mean over the values of a factor of the features' deviation from their mean given it."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    groups = np.split(Z[order], starts[1:])
    return np.mean(
        [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups],
        axis=0,
    )


def irs_score(
    Z_true: Any,
    Z_pred: Any,
    *,
    discrete_factors: Any = "auto",
    n_bins: int = 20,
    quantile: float = 0.99,
) -> float:
    r"""Interventional robustness score.

    .. math::
        \mathrm{IRS} = \frac{\sum_i d_i \max_j (1 - d_{ij} / d_i)}{\sum_i d_i}, \qquad
        d_{ij} = \frac{1}{|V_j|} \sum_{v \in V_j} q\left( |\hat z_i - E[\hat z_i | z_j = v]| \right)

    where :math:`q` is the `quantile` over the rows with :math:`z_j = v` (the paper: the maximum)
    and :math:`d_i = \max |\hat z_i - E \hat z_i|`. Feature i is robust where, once the right latent
    is fixed, changing the others does not move it.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant features are left out; if none is left, the score
        is 0. Features are weighted by their range, as published: standardise them first where their
        scales mean nothing.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=20
        Bins of equal width for continuous latents: a perfect code of one scores about
        ``1 - 1 / n_bins``.
    quantile : float in (0, 1], default=0.99
        1.0 is the definition of [1]_; 0.99 the more robust one of [2]_.

    Returns
    -------
    score : float in [0, 1]

    Raises
    ------
    ValueError
        For lengths that differ, values that are not finite, a constant true latent, or an option
        outside of its domain.

    Notes
    -----
    Rows stand for the interventional distribution, so latents should be close to independent in
    them, and each value of a latent should have many rows: a value with a single row deviates from
    its mean by nothing and raises the score.

    References
    ----------
    .. [1] R. Suter, D. Miladinović, B. Schölkopf and S. Bauer, "Robustly Disentangled Causal
       Mechanisms", ICML 2019.
    .. [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
       Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import irs_score
    >>> Z = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> irs_score(Z, Z), irs_score(Z, Z @ [[1, 1], [1, -1]])
    (1.0, 0.5)
    """
    check_count("n_bins", n_bins)
    if isinstance(quantile, bool) or not 0.0 < quantile <= 1.0:
        raise ValueError(f"quantile={quantile!r} must be in (0, 1].")
    true, pred = check_pair(Z_true, Z_pred)
    mask = discrete_mask(Z_true, discrete_factors)
    pred = varying_features(pred)
    if pred.shape[1] == 0:
        return 0.0
    labels = [
        labels_of(values, n_bins, len(values) if discrete else 0)
        for values, discrete in zip(true.T, mask, strict=True)
    ]
    given = np.array([_deviation(column, pred, quantile) for column in labels])
    largest = np.max(np.abs(pred - pred.mean(axis=0)), axis=0)
    robustness = np.clip(np.max(1.0 - given / largest, axis=0), 0.0, 1.0)
    return float(np.average(robustness, weights=largest))
