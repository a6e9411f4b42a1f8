"""Separated attribute predictability."""

from typing import Any

import numpy as np

from sklearn_sparsedis.metrics._checks import check_pair, is_constant
from sklearn_sparsedis.metrics._factors import discrete_mask
from sklearn_sparsedis.metrics._heldout import train_test_rows
from sklearn_sparsedis.metrics._matching import correlation_matrix

__all__ = ["sap_score"]


def _threshold_accuracy(
    code: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> float:
    """Held-out balanced accuracy of a tree on one feature, with as many leaves as values."""
    from sklearn.tree import DecisionTreeClassifier  # slow to import

    tree = DecisionTreeClassifier(max_leaf_nodes=labels.max() + 1, random_state=0)
    tree.fit(code[train, None], labels[train], sample_weight=weight)
    target = labels[test]
    found = np.bincount(target, tree.predict(code[test, None]) == target)
    n_rows = np.bincount(target)
    return float(np.mean(found[n_rows > 0] / n_rows[n_rows > 0]))


def _discrete_row(
    values: np.ndarray, Z_pred: np.ndarray, rows: tuple[np.ndarray, ...], adjusted: bool
) -> np.ndarray:
    """Scores of all features for one discrete factor."""
    train, test = rows
    labels = np.unique(values, return_inverse=True)[1]
    chance = 1.0 / len(np.unique(labels[test]))
    accuracy = np.full(Z_pred.shape[1], chance)
    # The weights are those of class_weight="balanced", computed once for all features.
    weight = 1.0 / np.bincount(labels[train])[labels[train]]
    for k in np.flatnonzero(~is_constant(Z_pred)):
        accuracy[k] = _threshold_accuracy(Z_pred[:, k], labels, weight, train, test)
    if not adjusted:
        return accuracy
    return np.maximum(accuracy - chance, 0.0) / (1.0 - chance) if chance < 1.0 else 0.0 * accuracy


def sap_score(
    Z_true: Any,
    Z_pred: Any,
    *,
    discrete_factors: Any = "auto",
    adjusted: bool = True,
    test_size: float = 0.5,
    random_state: Any = 0,
) -> float:
    r"""Separated attribute predictability.

    .. math:: \mathrm{SAP} = \frac{1}{m} \sum_{j=1}^m \left( S_{j (1)} - S_{j (2)} \right)

    where :math:`S_{jk}` tells how well feature k alone predicts latent j, and (1), (2) are the two
    best features. For a continuous latent, S is the R^2 of linear regression. For a discrete one it
    is the balanced accuracy, on held-out rows, of thresholds on the feature that cut it into as
    many intervals as the latent has values.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. A constant feature predicts by chance; a single feature is
        compared with chance.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    adjusted : bool, default=True
        Rescale the accuracy to 0 at chance and 1 at perfect. As published (False) a perfect code of
        a latent with c values reaches only 1 - 1/c.
    test_size : float in (0, 1), default=0.5
        Share of rows held out, for discrete latents.
    random_state : int, RandomState instance or None, default=0
        Seed of the split.

    Returns
    -------
    score : float in [0, 1]

    Raises
    ------
    ValueError
        For lengths that differ, values that are not finite, a constant true latent, too few rows
        to hold some out, or an option outside of its domain.

    Notes
    -----
    Kumar et al. fit thresholds for each class to the balanced error; we do so by a decision tree
    with as many leaves as classes. Locatello et al. use a linear SVM per class instead, which
    cannot tell the middle values of an ordered factor from one feature.
    Cost :math:`O(m k n \log n)`.

    References
    ----------
    .. [1] A. Kumar, P. Sattigeri and A. Balakrishnan, "Variational Inference of Disentangled Latent
       Concepts from Unlabeled Observations", ICLR 2018.
    .. [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
       Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import sap_score
    >>> Z = np.random.default_rng(0).integers(3, size=(100, 2))
    >>> sap_score(Z, np.column_stack([-Z, -Z]))  # each factor is encoded twice
    0.0
    """
    true, pred = check_pair(Z_true, Z_pred)
    mask = discrete_mask(Z_true, discrete_factors)
    scores = correlation_matrix(true, pred) ** 2
    if mask.any():
        rows = train_test_rows(len(true), test_size, random_state)
        for j in np.flatnonzero(mask):
            scores[j] = _discrete_row(true[:, j], pred, rows, adjusted)
    if scores.shape[1] == 1:
        chance = [
            1 / len(np.unique(z)) if d and not adjusted else 0.0
            for z, d in zip(true.T, mask, strict=True)
        ]
        scores = np.column_stack([scores, chance])
    best = np.sort(scores, axis=1)
    return float(np.mean(best[:, -1] - best[:, -2]))
