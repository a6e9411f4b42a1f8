"""Coefficient of determination with missing labels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score

__all__ = ["task_r2_scores"]


def task_r2_scores(
    Y_true: ArrayLike, Y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """R^2 of each task on the labels that are there.

    Parameters
    ----------
    Y_true : array-like of shape (n,) or (n, n_tasks)
        Targets; NaN where a label is missing.
    Y_pred : array-like of the shape of Y_true
        Predictions.
    sample_weight : array-like of shape (n,) or the shape of Y_true, optional
        Weights of rows or labels.

    Returns
    -------
    scores : ndarray of shape (n_tasks,)
        NaN for a task with fewer than two labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import task_r2_scores
    >>> Y_true = [[1.0, np.nan], [2.0, 5.0], [3.0, 7.0]]
    >>> task_r2_scores(Y_true, [[1.0, 0.0], [2.0, 5.0], [3.0, 6.0]])
    array([1. , 0.5])
    """
    true = np.asarray(Y_true, dtype=np.float64)
    predicted = np.asarray(Y_pred, dtype=np.float64)
    if true.shape != predicted.shape:
        raise ValueError(
            f"Y_true and Y_pred must have the same shape, got {true.shape} and {predicted.shape}."
        )
    true, predicted = true.reshape(len(true), -1), predicted.reshape(len(true), -1)
    weights = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64).reshape(len(true), -1)
        weights = np.broadcast_to(weights, true.shape)
    scores = np.full(true.shape[1], np.nan)
    for task in range(true.shape[1]):
        there = ~np.isnan(true[:, task])
        if there.sum() >= 2:
            weight = None if weights is None else weights[there, task]
            scores[task] = r2_score(true[there, task], predicted[there, task], sample_weight=weight)
    return scores
