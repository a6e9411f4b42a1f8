"""Scores of each task on its own, for scikit-learn's model selection."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score

from sklearn_sparsedis.inputs._arrays import in_order_of
from sklearn_sparsedis.metrics._protocols import Predictor

__all__ = ["TaskScorer"]


class TaskScorer(BaseEstimator):
    """Score of each task on its observed labels, and their mean, as a dict.

    For ``scoring=`` of `cross_validate`, and of searches with ``refit="mean"``; their results then
    have an entry a task, such as ``"test_mean"`` and ``"test_aspirin"``.

    Parameters
    ----------
    score_func : callable, default=sklearn.metrics.r2_score
        ``score_func(y_true, y_pred) -> float`` on the labels of one task, larger being better;
        with sample weights it gets ``sample_weight`` too. Logistic tasks are predicted by
        probabilities, as `sklearn.metrics.roc_auc_score` wants them.

    Notes
    -----
    The score of a task is NaN, which the mean leaves out, if fewer than two different targets are
    observed or `score_func` raises ValueError. In the wide layout tasks have the names of the
    estimator's `tasks_`, also in a pipeline's last step, and otherwise the numbers of the columns.
    For rows with a `task_id`, enable metadata routing and request it by
    ``set_score_request(task_id=True)`` of the scorer and by
    ``set_predict_request(task_id=True)`` of the estimator.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> from sklearn_sparsedis.metrics import TaskScorer
    >>> data = make_sparse_multitask(100, 3, random_state=0)
    >>> found = cross_validate(Ridge(), data.X, data.Y, scoring=TaskScorer(), cv=2)
    >>> sorted(found)
    ['fit_time', 'score_time', 'test_0', 'test_1', 'test_2', 'test_mean']
    """

    def __init__(self, score_func: Callable[..., float] = r2_score) -> None:
        self.score_func = score_func

    def score(
        self,
        estimator: Predictor,
        X: ArrayLike,
        y: Any,
        *,
        task_id: Any = None,
        sample_weight: Any = None,
    ) -> dict[str, float]:
        """Return the scores of the tasks by name, and their mean as "mean".

        Parameters
        ----------
        estimator : fitted estimator
            With `predict`.
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels, NaN where missing; columns of a data frame are matched with the estimator's
            `tasks_` by name, where both have names.
        task_id : array-like of shape (n_samples,), optional
            Task of each row; y is one-dimensional then.
        sample_weight : array-like of shape (n_samples,) or the shape of y, optional

        Returns
        -------
        scores : dict of str to float
        """
        last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        tasks = getattr(last, "tasks_", None)
        true = np.asarray(in_order_of(y, tasks), dtype=np.float64)
        options = {} if task_id is None else {"task_id": task_id}
        predicted = np.asarray(estimator.predict(X, **options), dtype=np.float64)
        if predicted.shape != true.shape:
            raise ValueError(
                f"y has shape {true.shape}, but predictions have shape {predicted.shape}. For "
                "rows with a task_id, pass it in params and request it by set_score_request("
                "task_id=True) of the scorer and set_predict_request(task_id=True) of the "
                "estimator."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if weight is not None and weight.ndim < true.ndim:
            weight = np.broadcast_to(weight[:, None], true.shape)
        scores = {
            name: self._score_task(
                true[part], predicted[part], None if weight is None else weight[part]
            )
            for name, part in _parts(tasks, true, task_id).items()
        }
        known = [score for score in scores.values() if not np.isnan(score)]
        return {"mean": float(np.mean(known)) if known else np.nan, **scores}

    __call__ = score

    def _score_task(
        self, true: NDArray[Any], predicted: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        observed = ~np.isnan(true) if weight is None else ~np.isnan(true) & (weight > 0)
        options = {} if weight is None else {"sample_weight": weight[observed]}
        if len(np.unique(true[observed])) < 2:  # scores of a constant are not informative
            return np.nan
        try:
            return float(self.score_func(true[observed], predicted[observed], **options))
        except ValueError:
            return np.nan


def _parts(tasks: NDArray[Any] | None, true: NDArray[Any], task_id: Any) -> dict[str, Any]:
    """Index into y of the targets of each task, by name."""
    if task_id is not None:
        ids = np.asarray(task_id)
        return {str(task): np.flatnonzero(ids == task) for task in np.unique(ids).tolist()}
    if true.ndim == 1:
        return {"0": np.s_[:]}
    if tasks is None or len(tasks) != true.shape[1]:
        tasks = np.arange(true.shape[1])
    return {str(name): np.s_[:, t] for t, name in enumerate(tasks)}
