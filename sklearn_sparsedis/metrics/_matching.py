"""Scores that match each true latent with one feature of the representation."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.utils import Bunch

from sklearn_sparsedis.metrics._checks import check_pair, standardise

__all__ = ["correlation_matrix", "match_latents", "mean_corrcoef_score"]

_TRANSFORMS = {"pearson": lambda Z: Z, "spearman": lambda Z: rankdata(Z, axis=0)}


def correlation_matrix(
    Z_true: np.ndarray, Z_pred: np.ndarray, method: str = "pearson"
) -> np.ndarray:
    """Correlate every true latent with every feature; constant features get zero.

    Returns
    -------
    ndarray of shape (n_latents, n_features)
    """
    if method not in _TRANSFORMS:
        raise ValueError(f"method={method!r} is unknown, choose one of {sorted(_TRANSFORMS)}.")
    transform = _TRANSFORMS[method]
    product = standardise(transform(Z_true)).T @ standardise(transform(Z_pred))
    return np.clip(product, -1.0, 1.0)


def match_latents(Z_true: Any, Z_pred: Any, *, method: str = "pearson") -> Bunch:
    r"""Match true latents with features so that the sum of absolute correlations is largest.

    With the correlations :math:`C \in [-1, 1]^{m \times k}`, the assignment solves

    .. math:: \max_\pi \sum_j |C_{j \pi(j)}|

    over injective :math:`\pi`. If there are fewer features than latents, the latents whose matches
    would add least have none.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. A constant feature has correlations of zero.
    method : {"pearson", "spearman"}, default="pearson"
        "spearman" correlates ranks and so forgives monotone distortions of single features.

    Returns
    -------
    match : Bunch
        permutation : ndarray of int, shape (n_latents,)
            Feature matched with each latent, -1 where there is none.
        sign : ndarray of float, shape (n_latents,)
            Sign of the correlation, 0 where there is no match or no correlation. Hence
            ``Z_pred[:, permutation] * sign`` puts the representation in the order of the latents,
            and is zero for a latent without a match.
        correlation : ndarray of float, shape (n_latents,)
            Signed correlation with the match, 0 where there is none.
        correlation_matrix : ndarray of float, shape (n_latents, n_features)

    Raises
    ------
    ValueError
        For an unknown `method`, lengths that differ, values that are not finite or a constant
        true latent.

    See Also
    --------
    mean_corrcoef_score : The mean of the absolute correlations.

    Notes
    -----
    The assignment costs :math:`O(\min(m, k)^2 \max(m, k))`, the correlations :math:`O(n m k)`.

    References
    ----------
    .. [1] A. Hyvärinen and H. Morioka, "Unsupervised feature extraction by time-contrastive
       learning and nonlinear ICA", NeurIPS 2016.
    .. [2] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import match_latents
    >>> Z = np.random.default_rng(0).normal(size=(50, 3))
    >>> match = match_latents(Z, -Z[:, [2, 0, 1]])
    >>> match.permutation, match.sign
    (array([1, 2, 0]), array([-1., -1., -1.]))
    """
    true, pred = check_pair(Z_true, Z_pred)
    matrix = correlation_matrix(true, pred, method)
    rows, columns = linear_sum_assignment(np.abs(matrix), maximize=True)
    permutation = np.full(matrix.shape[0], -1)
    permutation[rows] = columns
    correlation = np.zeros(matrix.shape[0])
    correlation[rows] = matrix[rows, columns]
    return Bunch(
        permutation=permutation,
        sign=np.sign(correlation),
        correlation=correlation,
        correlation_matrix=matrix,
    )


def mean_corrcoef_score(Z_true: Any, Z_pred: Any, *, method: str = "pearson") -> float:
    r"""Mean absolute correlation of the true latents with their matches (MCC).

    .. math:: \mathrm{MCC} = \max_\pi \frac{1}{m} \sum_{j=1}^m |C_{j \pi(j)}|

    It is 1 exactly for a representation that equals the latents up to permutation, sign, scale and
    shift, the disentangled ones of [2]_.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. The mean runs over the true latents: additional features
        are ignored, a latent without a feature counts as zero, and so does one that is matched
        with a constant feature.
    method : {"pearson", "spearman"}, default="pearson"
        "spearman" correlates ranks and so forgives monotone distortions of single features.

    Returns
    -------
    score : float in [0, 1]

    Raises
    ------
    ValueError
        As in `match_latents`.

    See Also
    --------
    match_latents : The matching itself, and the correlation of each latent.
    linear_recovery_score : The most that a linear map of the representation could reach.

    Notes
    -----
    Where the latents are strongly correlated, every mixture of them correlates with each, and the
    score is high for entangled representations too. [2]_ therefore trains on correlated latents and
    scores on independent ones.

    References
    ----------
    .. [1] A. Hyvärinen and H. Morioka, "Unsupervised feature extraction by time-contrastive
       learning and nonlinear ICA", NeurIPS 2016.
    .. [2] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import mean_corrcoef_score
    >>> Z = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(mean_corrcoef_score(Z, 1 - 2 * Z[:, ::-1]), 6)
    1.0
    """
    return float(np.mean(np.abs(match_latents(Z_true, Z_pred, method=method).correlation)))
