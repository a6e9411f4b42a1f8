"""Disentanglement, completeness and informativeness."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch, check_random_state

from sklearn_sparsedis.metrics._checks import check_pair, is_constant
from sklearn_sparsedis.metrics._factors import discrete_mask
from sklearn_sparsedis.metrics._heldout import train_test_rows

__all__ = ["dci_scores"]

_FOREST = {"n_estimators": 10, "max_features": None}


def _lasso(discrete: bool, n_train: int, seed: int) -> BaseEstimator:
    from sklearn.linear_model import LassoCV

    return LassoCV(cv=3, random_state=seed)


def _linear(discrete: bool, n_train: int, seed: int) -> BaseEstimator:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def _forest(discrete: bool, n_train: int, seed: int) -> BaseEstimator:
    # A sample of rows for each tree bounds the cost, and hardly changes the importances.
    size = {"max_samples": min(n_train, 3000)}
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # slow to import

    kind = RandomForestClassifier if discrete else RandomForestRegressor
    return kind(**_FOREST, **size, random_state=seed)


def _boosting(discrete: bool, n_train: int, seed: int) -> BaseEstimator:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    kind = GradientBoostingClassifier if discrete else GradientBoostingRegressor
    return kind(random_state=seed)


# The function that makes each model, and True if the model treats all factors as numbers.
PREDICTORS: dict[str, tuple[Callable[[bool, int, int], Any], bool]] = {
    "boosting": (_boosting, False),
    "forest": (_forest, False),
    "lasso": (_lasso, True),
    "linear": (_linear, True),
}


def _importances(
    true: np.ndarray,
    pred: np.ndarray,
    discrete: np.ndarray,
    predictor: str,
    rows: tuple[np.ndarray, ...],
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Importances (n_features, n_latents) of the features, and the held-out scores (n_latents,)."""
    make, numeric = PREDICTORS[predictor]
    train, test = rows
    X = StandardScaler().fit(pred[train]).transform(pred)
    scores = np.empty(true.shape[1])
    matrix = np.empty((pred.shape[1], true.shape[1]))
    for j, target in enumerate(true.T):
        as_class = bool(discrete[j]) and not numeric
        if not as_class:
            target = (target - target.mean()) / target.std()
        model = make(as_class, len(train), int(rng.randint(2**31 - 1))).fit(X[train], target[train])
        matrix[:, j] = np.abs(model.coef_ if numeric else model.feature_importances_)
        scores[j] = max(0.0, model.score(X[test], target[test]))
    return matrix, scores


def _concentration(weights: np.ndarray) -> np.ndarray:
    """One minus the normalised entropy of each row; zero for rows of zeros."""
    total = weights.sum(axis=1, keepdims=True)
    share = weights / np.where(total > 0, total, 1.0)
    base = np.log(weights.shape[1]) if weights.shape[1] > 1 else 1.0
    return np.where(total[:, 0] > 0, 1.0 - entr(share).sum(axis=1) / base, 0.0)


def dci_scores(
    Z_true: Any,
    Z_pred: Any,
    *,
    predictor: str = "forest",
    discrete_factors: Any = "auto",
    test_size: float = 0.25,
    random_state: Any = 0,
) -> Bunch:
    r"""Disentanglement, completeness and informativeness (DCI).

    A model predicts each latent j from all features; :math:`R_{ij} \ge 0` is the importance of
    feature i in it. With entropies :math:`H` to the base that makes the uniform one 1,

    .. math::
        D = \sum_i \rho_i \left( 1 - H(R_{i\cdot} / \textstyle\sum_j R_{ij}) \right), \quad
        \rho_i = \frac{\sum_j R_{ij}}{\sum_{ij} R_{ij}}, \qquad
        C = \frac{1}{m} \sum_j \left( 1 - H(R_{\cdot j} / \textstyle\sum_i R_{ij}) \right)

    D is high if each feature serves one latent, C if each latent is served by one feature, and I
    is the mean score of the predictions of the latents on held-out rows.

    Parameters
    ----------
    Z_true : array-like of shape (n_samples, n_latents) or (n_samples,)
        True latents. Each must vary.
    Z_pred : array-like of shape (n_samples, n_features) or (n_samples,)
        Representation of the same rows. Constant features are left out, from the base of the
        entropy too: dead features would otherwise raise C.
    predictor : {"forest", "boosting", "lasso", "linear"}, default="forest"
        * "forest": random forest of 10 trees on at most 3000 rows each, impurity importances;
        * "boosting": gradient boosting of 100 trees, impurity importances, as in [2]_; slow for
          many rows, and for discrete latents of many values;
        * "lasso": Lasso, its penalty chosen by cross-validation, and "linear": least squares.
          Importances are absolute coefficients for standardised variables, as in [1]_. Discrete
          latents are regressed on as numbers, so categories are better served by trees.
    discrete_factors : "auto", bool or array-like of bool, shape (n_latents,), default="auto"
        Which latents are discrete. "auto": all if `Z_true` holds integers or booleans, else none.
    test_size : float in (0, 1), default=0.25
        Share of rows held out for informativeness.
    random_state : int, RandomState instance or None, default=0
        Seed of the split and of the forests.

    Returns
    -------
    scores : Bunch
        disentanglement, completeness, informativeness : float in [0, 1]
            Informativeness is the mean of the held-out scores: accuracy for classes, R^2 (not below
            zero) for numbers. Higher is better, unlike the prediction error of [1]_.
        disentanglement_per_feature : ndarray of shape (n_features,)
            Zero for a feature that serves no latent.
        completeness_per_latent, informativeness_per_latent : ndarray of shape (n_latents,)
        importances : ndarray of shape (n_features, n_latents)

    Raises
    ------
    ValueError
        For lengths that differ, values that are not finite, a constant true latent, too few rows
        to hold some out, or an option outside of its domain.

    Notes
    -----
    A single latent has D = 1 and a single feature C = 1, provided that the model uses it. D and C
    are ratios of importances and mean nothing where informativeness is close to zero: a Lasso that
    keeps one useless coefficient looks disentangled.

    References
    ----------
    .. [1] C. Eastwood and C. K. I. Williams, "A Framework for the Quantitative Evaluation of
       Disentangled Representations", ICLR 2018.
    .. [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
       Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import dci_scores
    >>> Z = np.random.default_rng(0).normal(size=(200, 3))
    >>> scores = dci_scores(Z, -2 * Z[:, [2, 0, 1]], predictor="lasso")
    >>> round(scores.disentanglement, 2), round(scores.completeness, 2)
    (1.0, 1.0)
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"predictor={predictor!r} is unknown, choose one of {sorted(PREDICTORS)}.")
    true, pred = check_pair(Z_true, Z_pred)
    discrete = discrete_mask(Z_true, discrete_factors)
    rng = check_random_state(random_state)
    rows = train_test_rows(len(true), test_size, rng)
    used = np.flatnonzero(~is_constant(pred))
    importances = np.zeros((pred.shape[1], true.shape[1]))
    informativeness = np.zeros(true.shape[1])
    if used.size:
        importances[used], informativeness = _importances(
            true, pred[:, used], discrete, predictor, rows, rng
        )
    per_feature = _concentration(importances)
    per_latent = _concentration(importances[used].T) if used.size else np.zeros(true.shape[1])
    total = importances.sum()
    weight = importances.sum(axis=1) / total if total > 0 else np.zeros(pred.shape[1])
    return Bunch(
        disentanglement=float(weight @ per_feature),
        completeness=float(per_latent.mean()),
        informativeness=float(informativeness.mean()),
        disentanglement_per_feature=per_feature,
        completeness_per_latent=per_latent,
        informativeness_per_latent=informativeness,
        importances=importances,
    )
