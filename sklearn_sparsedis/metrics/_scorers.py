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
    """Score a transformer by its recovery of known latents.

    A scorer for ``scoring=`` of scikit-learn's searches and cross-validation: it transforms X and
    compares the result with the true latents of the same rows, which reach it by metadata routing.

    Parameters
    ----------
    score_func : callable
        ``score_func(Z_true, Z_pred) -> float``, larger being better, such as `mean_corrcoef_score`;
        bind options by `functools.partial`.

    Notes
    -----
    Choosing settings by the true latents shows what a method can reach. Without known latents this
    is not possible: select by a score of the tasks then.

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

    with :math:`O_t` the rows on which task t is observed; with weights, sums and mean are weighted.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples, n_tasks) or (n_samples,)
        Targets, NaN or masked where missing.
    Y_pred : array-like of the same shape
    sample_weight : array-like of shape (n_samples,) or the shape of Y_true, optional
        Weights of rows or targets, not negative; a target of weight zero counts as missing.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"

    Returns
    -------
    score : float, or ndarray of shape (n_tasks,)
        A task with fewer than two observed targets has no R^2: its score is NaN, which the mean
        leaves out. A task whose observed targets are constant scores 1 if they are predicted
        exactly and 0 otherwise, as in `sklearn.metrics.r2_score`.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is NaN, `multioutput` is unknown, or no task has two observed
        targets.

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
        raise ValueError(
            "Y_true and Y_pred must have the same shape, (n_samples,) or (n_samples, n_tasks), got "
            f"{true.shape} and {pred.shape}."
        )
    if np.isnan(pred).any():
        raise ValueError(
            f"Y_pred must not contain NaN, got {int(np.isnan(pred).sum())}; only targets in Y_true "
            "may be missing."
        )
    true, pred = true.reshape(len(true), -1), pred.reshape(len(pred), -1)
    weights = np.ones((len(true), 1))
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64).reshape(len(true), -1)
    columns = zip(true.T, pred.T, np.broadcast_to(weights, true.shape).T, strict=True)
    scores = np.array([_observed_r2(*column) for column in columns])
    if multioutput == "raw_values":
        return scores
    if np.isnan(scores).all():
        raise ValueError("Y_true must have a task with two observed targets, or there is no R^2.")
    return float(np.nanmean(scores))


def _observed_r2(true: np.ndarray, pred: np.ndarray, weight: np.ndarray) -> float:
    observed = ~np.isnan(true) & (weight > 0)
    if observed.sum() < 2:
        return np.nan
    return r2_score(true[observed], pred[observed], sample_weight=weight[observed])


def nan_r2_scorer(estimator: Predictor, X: ArrayLike, y: Any) -> float:
    """Score predictions by `nan_r2_score`, as ``scoring=`` for targets that are partly missing.

    Parameters
    ----------
    estimator : fitted estimator
        With `predict`.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples, n_tasks) or (n_samples,)
        Targets, NaN where missing; columns of a data frame are matched with `tasks_` of the
        estimator by name, if both have names.

    Returns
    -------
    score : float
    """
    tasks = getattr(estimator, "tasks_", None)
    return nan_r2_score(in_order_of(y, tasks), estimator.predict(X))
