"""Splitters that keep classes or tasks apart."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_validate
from sklearn.neighbors import NearestCentroid

from sklearn_sparsedis.model_selection import (
    ClassDisjointKFold,
    ClassDisjointShuffleSplit,
    TaskDisjointKFold,
)

Y = np.repeat(list("abcdefghij"), [3, 9, 4, 5, 6, 2, 8, 7, 3, 3])
X = np.zeros((len(Y), 1))


@pytest.mark.parametrize(
    "splitter",
    [
        ClassDisjointKFold(4),
        ClassDisjointKFold(4, shuffle=True, random_state=0),
        ClassDisjointShuffleSplit(6, test_size=0.3, random_state=0),
    ],
)
def test_no_class_is_on_both_sides(splitter):
    splits = list(splitter.split(X, Y))
    assert len(splits) == splitter.get_n_splits()
    for train, test in splits:
        assert not set(Y[train]) & set(Y[test])
        assert set(train) | set(test) == set(range(len(Y)))


def test_folds_cover_every_row_once():
    tests = np.concatenate([test for _, test in ClassDisjointKFold(5).split(X, Y)])
    np.testing.assert_array_equal(np.sort(tests), np.arange(len(Y)))


def test_test_size_is_a_share_of_the_classes():
    for _, test in ClassDisjointShuffleSplit(5, test_size=0.3, random_state=0).split(X, Y):
        assert len(set(Y[test])) == 3


def test_tasks_are_kept_apart():
    for train, test in TaskDisjointKFold(3).split(X, np.arange(len(Y)), groups=Y):
        assert not set(Y[train]) & set(Y[test])


def test_usable_as_cv():
    X, y = load_iris(return_X_y=True)
    found = cross_validate(NearestCentroid(), X, y, cv=ClassDisjointKFold(3), return_indices=True)
    # one class is left out, two can be fitted: the classes of the test part are not known
    np.testing.assert_array_equal(found["test_score"], 0)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="y must be given"):
        next(ClassDisjointKFold(3).split(X))
    with pytest.raises(ValueError, match="y must be given"):
        next(ClassDisjointShuffleSplit(3).split(X))
    with pytest.raises(ValueError, match="groups must be the task_id"):
        next(TaskDisjointKFold(3).split(X, Y))
    with pytest.raises(ValueError, match="n_splits=11 greater than the number of groups: 10"):
        next(ClassDisjointKFold(11).split(X, Y))
