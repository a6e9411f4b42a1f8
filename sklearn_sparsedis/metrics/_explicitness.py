"""Explicitness: accuracy of a linear classifier of the values of the true latents."""

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis.metrics._checks import check_pair
from sklearn_sparsedis.metrics._factors import check_count, discrete_mask, labels_of
from sklearn_sparsedis.metrics._heldout import train_test_rows

__all__ = ["explicitness_score"]


def _area(positive: np.ndarray, decision: np.ndarray) -> float:
    """Area under the ROC curve, from ranks (ties count one half)."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    above = rankdata(decision)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def _equal_counts(values: np.ndarray, n_bins: int) -> np.ndarray:
    edges = np.quantile(values, np.arange(1, n_bins) / n_bins)
    return np.searchsorted(edges, values)


def _factor_areas(
    labels: np.ndarray, Z: np.ndarray, train: np.ndarray, test: np.ndarray, max_train: int
) -> list[float]:
    """One area for each value of the factor that occurs in both parts."""
    train = train[:max_train]
    if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:
        raise ValueError(
            "Z_true has a factor of which only one value is in the rows for fitting or for "
            "testing: explicitness needs more rows."
        )
    from sklearn.linear_model import LogisticRegression  # slow to import

    model = LogisticRegression(max_iter=1000).fit(Z[train], labels[train])
    decision = model.predict_proba(Z[test])
    present = np.isin(model.classes_, labels[test])
    return [
        _area(labels[test] == value, decision[:, c])
        for c, value in enumerate(model.classes_)
        if present[c]
    ]


def explicitness_score(
    Z_true: Any,
    Z_pred: Any,
    *,
    discrete_factors: Any = "auto",
    n_bins: int = 10,
    test_size: float = 0.5,
    max_train: int = 10_000,
    random_state: Any = 0,
) -> float:
    r"""Explicitness: area under the ROC curve of a linear classifier for each value.

    For each latent, a multinomial logistic regression (penalty 1/2 on the squared norm, features
    standardised) predicts its value from all features. The score is the mean, over latents and
    their values, of the area under the curve of "this value against the others" on held-out rows:
    1/2 at chance and 1 where every value is linearly separable from the others.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant features are allowed.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=10
        Number of bins of equal count that make up the values of a continuous latent; rare values
        could not be fitted.
    test_size : float in (0, 1), default=0.5
        Share of rows held out.
    max_train : int >= 2, default=10000
        Largest number of rows to fit; all held-out rows are scored.
    random_state : int, RandomState instance or None, default=0
        Seed of the split.

    Returns
    -------
    score : float in [0, 1]

    Raises
    ------
    ValueError
        For lengths that differ, values that are not finite, a constant true latent, too few rows,
        or an option outside of its domain.

    Notes
    -----
    A middle value of an ordered factor is not linearly separable in one feature by "against the
    others", but it is by the multinomial model, up to the penalty: a perfect code of an ordered
    factor scores a little less than 1.

    References
    ----------
    .. [1] K. Ridgeway and M. C. Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic
       Loss", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import explicitness_score
    >>> Z = np.random.default_rng(0).integers(2, size=(100, 2))
    >>> explicitness_score(Z, Z @ [[1, 1], [1, -1]])
    1.0
    """
    check_count("n_bins", n_bins)
    check_count("max_train", max_train)
    true, pred = check_pair(Z_true, Z_pred)
    mask = discrete_mask(Z_true, discrete_factors)
    train, test = train_test_rows(len(true), test_size, random_state)
    Z = StandardScaler().fit(pred[train]).transform(pred)
    areas = []
    for values, discrete in zip(true.T, mask, strict=True):
        labels = labels_of(values, 2, len(values)) if discrete else _equal_counts(values, n_bins)
        areas.append(np.mean(_factor_areas(labels, Z, train, test, max_train)))
    return float(np.mean(areas))
