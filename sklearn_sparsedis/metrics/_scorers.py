"""Scorers for scikit-learn's model selection."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score

from sklearn_sparsedis.inputs._arrays import in_order_of, readable
from sklearn_sparsedis.metrics._protocols import Predictor, Transformer

__all__ = ["LatentScorer", "nan_r2_score", "nan_r2_scorer"]


class LatentScorer(BaseEstimator):
    """Score a transformer by what it recovers of known latents.

    A scorer for ``scoring=`` of scikit-learn's searches and cross-validation: it transforms X and
    compares the result with the true latents of the same rows, which reach it by metadata routing.

    Parameters
    ----------
    score_func : callable
        ``score_func(Z_true, Z_pred) -> float``, larger being better, such as `mean_corrcoef_score`;
        bind options by `functools.partial`.

    Notes
    -----
    Choosing settings by the truth measures what a method could do. On data without known latents it
    cannot be done: there, select by a task score.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn import config_context
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_sparsedis.metrics import LatentScorer, linear_recovery_score
    >>> Z = np.random.default_rng(0).normal(size=(90, 2))
    >>> X = Z @ [[1, 1, 0], [0, 1, 1]]
    >>> with config_context(enable_metadata_routing=True):
    ...     scorer = LatentScorer(linear_recovery_score).set_score_request(Z_true=True)
    ...     scores = cross_val_score(PCA(2), X, scoring=scorer, cv=3, params={"Z_true": Z})
    >>> scores.round(3)
    array([1., 1., 1.])
    """

    def __init__(self, score_func: Callable[[Any, Any], float]) -> None:
        self.score_func = score_func

    def score(
        self,
        estimator: Transformer,
        X: ArrayLike,
        y: object = None,
        *,
        Z_true: ArrayLike | None = None,
    ) -> float:
        """Return ``score_func(Z_true, estimator.transform(X))``.

        Parameters
        ----------
        estimator : fitted transformer
        X : array-like of shape (n_samples, n_features)
        y : ignored
        Z_true : array-like of shape (n_samples, n_latents)

        Returns
        -------
        score : float
        """
        if Z_true is None:
            raise ValueError(
                "Z_true was not passed to the scorer. Enable metadata routing, call "
                "set_score_request(Z_true=True) on it and pass Z_true to fit (searches) or in "
                "params (cross_validate)."
            )
        return float(self.score_func(Z_true, estimator.transform(X)))

    __call__ = score


def nan_r2_score(
    Y_true: Any,
    Y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: str = "uniform_average",
) -> Any:
    r"""R^2 of each task over its observed labels, or the mean over the tasks.

    .. math:: R^2_t = 1 - \frac{\sum_{i \in O_t} (y_{it} - \hat y_{it})^2}
       {\sum_{i \in O_t} (y_{it} - \bar y_t)^2}

    with :math:`O_t` the rows where task t is not NaN, and weighted sums and mean where there are
    weights.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples, n_tasks) or (n_samples,)
        Labels, NaN or masked where missing.
    Y_pred : array-like of the same shape
    sample_weight : array-like of shape (n_samples,) or the shape of Y_true, optional
        Weights of rows or labels, not negative; a label of weight zero is a missing one.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"

    Returns
    -------
    score : float, or ndarray of shape (n_tasks,)
        A task with fewer than two observed labels has no R^2: NaN, left out of the mean. A task
        whose observed labels are constant scores 1 where predicted exactly and 0 otherwise, as in
        `sklearn.metrics.r2_score`.

    Raises
    ------
    ValueError
        For shapes that differ, a prediction that is NaN, an unknown `multioutput`, or where no task
        has two observed labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import nan_r2_score
    >>> nan_r2_score([[1.0, 0.0], [2.0, np.nan], [3.0, 1.0]], [[1.0, 0.5], [2.0, 9.0], [3.0, 0.5]])
    0.5
    """
    if multioutput not in ("uniform_average", "raw_values"):
        raise ValueError(
            f"multioutput={multioutput!r} is unknown, choose 'uniform_average' or 'raw_values'."
        )
    true = np.asarray(readable(Y_true, "Y_true", missing=True), dtype=np.float64)
    pred = np.asarray(Y_pred, dtype=np.float64)
    if true.shape != pred.shape or true.ndim not in (1, 2):
        raise ValueError(f"Y_true of shape {true.shape} and Y_pred of shape {pred.shape} differ.")
    if np.isnan(pred).any():
        raise ValueError("Y_pred contains NaN; only labels in Y_true may be missing.")
    true, pred = true.reshape(len(true), -1), pred.reshape(len(pred), -1)
    weights = np.ones((len(true), 1))
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64).reshape(len(true), -1)
    columns = zip(true.T, pred.T, np.broadcast_to(weights, true.shape).T, strict=True)
    scores = np.array([_observed_r2(*column) for column in columns])
    if multioutput == "raw_values":
        return scores
    if np.isnan(scores).all():
        raise ValueError("Y_true has no task with two observed labels, so there is no R^2.")
    return float(np.nanmean(scores))


def _observed_r2(true: np.ndarray, pred: np.ndarray, weight: np.ndarray) -> float:
    observed = ~np.isnan(true) & (weight > 0)
    if observed.sum() < 2:
        return np.nan
    return r2_score(true[observed], pred[observed], sample_weight=weight[observed])


def nan_r2_scorer(estimator: Predictor, X: ArrayLike, y: Any) -> float:
    """Score predictions by `nan_r2_score`: for ``scoring=`` where labels are missing.

    Parameters
    ----------
    estimator : fitted estimator
        With `predict`.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples, n_tasks) or (n_samples,)
        Labels, NaN where missing; columns of a data frame are matched with `tasks_` of the
        estimator by name, where both have names.

    Returns
    -------
    score : float
    """
    tasks = getattr(estimator, "tasks_", None)
    return nan_r2_score(in_order_of(y, tasks), estimator.predict(X))
