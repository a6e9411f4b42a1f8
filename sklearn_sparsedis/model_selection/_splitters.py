"""Splitters that keep classes or tasks apart."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

__all__ = ["ClassDisjointKFold", "ClassDisjointShuffleSplit", "TaskDisjointKFold"]

_Split = Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]


class ClassDisjointKFold(GroupKFold):
    """K folds such that no class is in both the training and the test rows.

    Use it as `cv=` together with `scoring=EpisodeScorer(...)`: a classifier knows none of the test
    classes, so that its own accuracy on them is zero.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds; at least as many classes are needed.
    shuffle : bool, default=False
        Whether to shuffle the classes; otherwise folds are balanced by their numbers of rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling.
    """

    def split(self, X: ArrayLike, y: ArrayLike | None = None, groups: None = None) -> _Split:
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.
        groups : None
            Not used.
        """
        return super().split(X, y, _classes(y))


class ClassDisjointShuffleSplit(GroupShuffleSplit):
    """Random splits such that no class is in both the training and the test rows.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : float, int or None, default=None
        Share or number of the classes, not of the rows, in the test part; 0.2 when None.
    train_size : float, int or None, default=None
        The same for the training part; all other classes when None.
    random_state : int, RandomState instance or None, default=None
        Seed.
    """

    def split(self, X: ArrayLike, y: ArrayLike | None = None, groups: None = None) -> _Split:
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.
        groups : None
            Not used.
        """
        return super().split(X, y, _classes(y))


def _classes(y: Any) -> NDArray[Any]:
    if y is None:
        raise ValueError(
            "y must be given, as the labels by which classes are kept apart, got None. Pass y to "
            "split, or to the function that gets this splitter as cv."
        )
    return np.asarray(y)


class TaskDisjointKFold(GroupKFold):
    """K folds of rows in the long layout such that no task is in both parts.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds; at least as many tasks are needed.
    shuffle : bool, default=False
        Whether to shuffle the tasks.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling.
    """

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> _Split:
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), optional
            Targets; not used.
        groups : array-like of shape (n_samples,)
            The `task_id` of each row.
        """
        if groups is None:
            raise ValueError(
                "groups must be the task_id of each row, got None. Pass groups=task_id, or "
                'params={"groups": task_id} to cross_validate.'
            )
        return super().split(X, y, groups)
