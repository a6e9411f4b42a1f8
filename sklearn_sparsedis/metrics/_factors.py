"""Discrete and continuous factors, labels of both, and the information between labels."""

from typing import Any

import numpy as np

from sklearn_sparsedis.metrics._checks import check_pair, is_constant

__all__ = [
    "varying_features",
    "check_count",
    "discrete_mask",
    "entropies",
    "information_matrix",
    "labels_of",
    "prepare_labels",
]


def check_count(name: str, value: Any) -> int:
    """Return `value` if it is an integer of at least two."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 2:
        raise ValueError(f"{name}={value!r} must be an integer >= 2.")
    return int(value)


def discrete_mask(Z_true: Any, discrete_factors: Any) -> np.ndarray:
    """Return True for discrete factors.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,)
        "auto" goes by the type of the array: integers and booleans are discrete.

    Returns
    -------
    ndarray of bool, shape (n_latents,)
    """
    values = np.asarray(Z_true)
    n_latents = values.shape[1] if values.ndim == 2 else 1
    if isinstance(discrete_factors, str):
        if discrete_factors != "auto":
            raise ValueError(
                f"discrete_factors={discrete_factors!r} must be 'auto', a boolean or a boolean "
                f"array with one entry a latent."
            )
        return np.full(n_latents, values.dtype.kind in "biu")
    mask = np.asarray(discrete_factors)
    if mask.dtype != bool or mask.shape not in ((), (n_latents,)):
        raise ValueError(
            f"discrete_factors must be 'auto', a boolean or a boolean array of shape "
            f"({n_latents},), got {mask.dtype} of shape {mask.shape}."
        )
    return np.broadcast_to(mask, (n_latents,))


def varying_features(Z_pred: np.ndarray) -> np.ndarray:
    """Return the features that vary."""
    return Z_pred[:, ~is_constant(Z_pred)]


def labels_of(values: np.ndarray, n_bins: int, max_values: int = 0) -> np.ndarray:
    """Label the values of one column by 0, 1, ...

    At most ``max(n_bins, max_values)`` distinct values are labels already; more are put in `n_bins`
    bins of equal width between the smallest and the largest.
    """
    distinct, labels = np.unique(values, return_inverse=True)
    if len(distinct) <= max(n_bins, max_values):
        return labels
    low, high = values.min(), values.max()
    position = (values / 2 - low / 2) / (high / 2 - low / 2)  # halves: the range may overflow
    return np.minimum((position * n_bins).astype(np.intp), n_bins - 1)


def prepare_labels(
    Z_true: Any, Z_pred: Any, discrete_factors: Any, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Label true latents and features.

    Discrete factors are labelled by their values. Continuous ones and the features are binned by
    `labels_of`; a feature that has as few values as the factor with the most is left as it is, so
    that a perfect code of a discrete factor loses nothing.

    Returns
    -------
    labels_true : ndarray of int, shape (n_samples, n_latents)
    labels_pred : ndarray of int, shape (n_samples, n_features)
    """
    check_count("n_bins", n_bins)
    true, pred = check_pair(Z_true, Z_pred)
    mask = discrete_mask(Z_true, discrete_factors)
    labels_true = np.empty(true.shape, dtype=np.intp)
    for j, discrete in enumerate(mask):
        labels_true[:, j] = labels_of(true[:, j], n_bins, len(true) if discrete else 0)
    most = int(labels_true.max()) + 1
    labels_pred = np.column_stack([labels_of(column, n_bins, most) for column in pred.T])
    return labels_true, labels_pred


def entropies(labels: np.ndarray) -> np.ndarray:
    """Plug-in entropy of each column of labels, in nats."""
    return np.array([_entropy(np.bincount(column)) for column in labels.T])


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-np.sum(share * np.log(share)))


def information_matrix(labels_true: np.ndarray, labels_pred: np.ndarray) -> np.ndarray:
    """Plug-in mutual information of every two columns, in nats.

    Returns
    -------
    ndarray of shape (n_latents, n_features)
        Not negative. Biased upwards by about ``(a - 1) (b - 1) / (2 n_samples)`` for independent
        columns of a and b labels.
    """
    h_true, h_pred = entropies(labels_true), entropies(labels_pred)
    n_pred = labels_pred.max(axis=0) + 1
    matrix = np.empty((len(h_true), len(h_pred)))
    for j, true in enumerate(labels_true.T):
        for k, pred in enumerate(labels_pred.T):
            joint = _entropy(np.bincount(true * n_pred[k] + pred))
            matrix[j, k] = h_true[j] + h_pred[k] - joint
    # A constant feature carries no information; rounding errors are set to zero.
    return np.where(matrix > 1e-12, matrix, 0.0)
