"""Score of the best linear map from a representation to the true latents."""

from typing import Any

import numpy as np

from sklearn_sparsedis.metrics._checks import check_pair, standardise

__all__ = ["linear_recovery_score"]


def _column_space(Z: np.ndarray) -> np.ndarray:
    """Orthonormal basis (n_samples, rank) of the span of the standardised columns."""
    U, singular, _ = np.linalg.svd(standardise(Z), full_matrices=False)
    cutoff = singular[0] * max(Z.shape) * np.finfo(float).eps
    return U[:, singular > cutoff]


def linear_recovery_score(
    Z_true: Any, Z_pred: Any, *, multioutput: str = "uniform_average"
) -> float | np.ndarray:
    r"""Correlation of the true latents with their best linear prediction (R).

    With an intercept :math:`b` and least squares over the rows given,

    .. math::
        R_j = \mathrm{corr}\left(z_j,\; \hat Z a_j + b_j\right), \qquad
        a_j, b_j \in \arg\min_{a, b} \| z_j - \hat Z a - b \|^2

    the coefficient of multiple correlation. :math:`R = 1` says that the representation is linearly
    equivalent to the latents; it bounds each latent's correlation with any single feature, and
    hence the MCC, from above.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant and collinear features are allowed.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over the latents or one value for each latent.

    Returns
    -------
    score : float in [0, 1], or ndarray of shape (n_latents,)

    Raises
    ------
    ValueError
        For an unknown `multioutput`, lengths that differ, values that are not finite, a constant
        true latent, or so few rows (at most n_features + 1) that any latent would be fitted
        perfectly.

    Notes
    -----
    The fit and the correlation use the same rows, as in [1]_: with n rows and k features, a useless
    representation reaches about :math:`\sqrt{k / n}`. One singular value decomposition,
    :math:`O(n k^2)`.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import linear_recovery_score
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.normal(size=(50, 3))
    >>> round(linear_recovery_score(Z, Z @ rng.normal(size=(3, 3)) + 5), 6)
    1.0
    """
    if multioutput not in ("uniform_average", "raw_values"):
        raise ValueError(
            f"multioutput={multioutput!r} is unknown, choose 'uniform_average' or 'raw_values'."
        )
    true, pred = check_pair(Z_true, Z_pred)
    if len(pred) < pred.shape[1] + 2:
        raise ValueError(
            f"Z_pred has {len(pred)} rows for {pred.shape[1]} features: a linear map fits any "
            f"latent perfectly. At least n_features + 2 = {pred.shape[1] + 2} rows are needed."
        )
    scores = np.linalg.norm(_column_space(pred).T @ standardise(true), axis=0)
    scores = np.minimum(scores, 1.0)
    return scores if multioutput == "raw_values" else float(scores.mean())
