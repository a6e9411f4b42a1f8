"""Scores from the mutual information of true latents and single features."""

from typing import Any

import numpy as np

from sklearn_sparsedis.metrics._factors import entropies, information_matrix, prepare_labels

__all__ = ["mig_score", "modularity_score"]


def mig_score(
    Z_true: Any, Z_pred: Any, *, discrete_factors: Any = "auto", n_bins: int = 20
) -> float:
    r"""Mutual information gap.

    .. math::
        \mathrm{MIG} = \frac{1}{m} \sum_{j=1}^m \frac{I(z_j; \hat z_{(1)}) - I(z_j; \hat z_{(2)})}
        {H(z_j)}

    where (1) and (2) are the two features with most information on latent j. It is 1 if each latent
    is determined by one feature and no other feature has information on it, and 0 if two features
    have the same information, so that redundant copies lower it.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. A constant feature carries no information; a single feature
        is compared with such a feature.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=20
        Bins of equal width for features and continuous latents with more distinct values.

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
    Chen et al. take the encoder's density; on arrays we follow Locatello et al. and bin the
    features. Resolution: a noisy feature resolves at most ``log(n_bins)`` nats of a factor with
    more values than bins, and chance information lowers a perfect score by about
    ``(n_bins - 1)^2 / (2 n_samples H)``. Cost :math:`O(n m k)`.

    References
    ----------
    .. [1] R. T. Q. Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
       NeurIPS 2018.
    .. [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
       Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import mig_score
    >>> Z = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> mig_score(Z, -Z[:, ::-1])
    1.0
    """
    labels_true, labels_pred = prepare_labels(Z_true, Z_pred, discrete_factors, n_bins)
    known = information_matrix(labels_true, labels_pred)
    best = np.sort(np.column_stack([known, np.zeros(len(known))]), axis=1)[:, :-3:-1]
    gap = (best[:, 0] - best[:, 1]) / entropies(labels_true)
    return float(np.mean(np.clip(gap, 0.0, 1.0)))


def modularity_score(
    Z_true: Any, Z_pred: Any, *, discrete_factors: Any = "auto", n_bins: int = 20
) -> float:
    r"""Modularity: 1 if each feature has information on one latent only.

    .. math::
        \frac{1}{k} \sum_{i=1}^k \left( 1 - \frac{\sum_{j \neq j_i} I(z_j; \hat z_i)^2}
        {(m - 1)\, I(z_{j_i}; \hat z_i)^2} \right), \qquad j_i = \arg\max_j I(z_j; \hat z_i)

    It does not depend on the amount of information, nor on the number of features that carry it;
    see `explicitness_score` for these.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents >= 2)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Features that carry no information at all, constant ones
        among them, are left out of the mean; if none is left, the score is 0.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    n_bins : int >= 2, default=20
        Bins of equal width for features and continuous latents with more distinct values.

    Returns
    -------
    score : float in [0, 1]

    Raises
    ------
    ValueError
        For a single latent, and as in `mig_score`.

    Notes
    -----
    Locatello et al. count dead features as 0; we leave them out, since they do not mix latents.

    References
    ----------
    .. [1] K. Ridgeway and M. C. Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic
       Loss", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import modularity_score
    >>> Z = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> modularity_score(Z, Z), modularity_score(Z, Z @ [[1, 1], [1, -1]])
    (1.0, 0.0)
    """
    labels_true, labels_pred = prepare_labels(Z_true, Z_pred, discrete_factors, n_bins)
    if labels_true.shape[1] < 2:
        raise ValueError(
            "Z_true must have at least two latents, which modularity compares, got one. Pass all "
            "latents as columns."
        )
    squared = information_matrix(labels_true, labels_pred) ** 2
    squared = squared[:, squared.max(axis=0) > 0]
    if squared.shape[1] == 0:
        return 0.0
    best = squared.max(axis=0)
    others = squared.sum(axis=0) - best
    return float(np.mean(1.0 - others / (best * (len(squared) - 1))))
