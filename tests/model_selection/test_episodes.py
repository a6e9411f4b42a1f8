"""Evaluation on episodes: any classifier, the same episodes, intervals and paired differences."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.model_selection import (
    ClassDisjointKFold,
    EpisodeScorer,
    EpisodeScores,
    evaluate_episodes,
    sample_episodes,
)

OPTIONS = {"n_way": 3, "n_shot": 2, "n_query": 4, "n_episodes": 25, "random_state": 0}


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(140, centers=7, n_features=5, cluster_std=4, random_state=0)
    return X, np.array(list("abcdefg"))[y]


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers, for all clones together, what it was fitted and asked for."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen.append((X, y))
        return self

    def predict(self, X):
        self.seen.append(X)
        return np.repeat(self.classes_[:1], len(X))


def test_a_classifier_is_fitted_on_each_episodes_support(blobs):
    X, y = blobs
    Recorder.seen.clear()
    model = Recorder()
    scores = evaluate_episodes(model, X, y, **OPTIONS)
    episodes = sample_episodes(y, **OPTIONS)
    assert not hasattr(model, "classes_")
    assert len(Recorder.seen) == 50
    for e in range(25):
        (support, labels), query = Recorder.seen[2 * e : 2 * e + 2]
        np.testing.assert_array_equal(support, X[episodes.support[e]])
        np.testing.assert_array_equal(labels, y[episodes.support[e]])
        np.testing.assert_array_equal(query, X[episodes.query[e]])
    # one class is always right
    np.testing.assert_allclose(scores.accuracies, 1 / 3)
    assert scores.features_used is None


def test_all_models_meet_the_same_episodes(blobs):
    models = {
        "a": LogisticRegression(),
        "b": make_pipeline(StandardScaler(), NearestCentroid()),
    }
    random = np.random.RandomState(0)  # drawn from once, not once a model
    both = evaluate_episodes(models, *blobs, **{**OPTIONS, "random_state": random})
    for name, model in models.items():
        alone = evaluate_episodes(model, *blobs, **OPTIONS)
        np.testing.assert_array_equal(alone.accuracies, both[name].accuracies)


def test_a_meta_classifier_is_batched_and_agrees_with_adapt(blobs):
    X, y = blobs
    model = GroupLassoSVMMetaClassifier(8, max_iter=5, random_state=0).fit(X, y)
    scores = evaluate_episodes(model, X, y, **OPTIONS)
    episodes = sample_episodes(y, **OPTIONS)
    for e in range(25):
        adapted = model.adapt(X[episodes.support[e]], y[episodes.support[e]])
        query = episodes.query[e]
        assert adapted.score(X[query], y[query]) == scores.accuracies[e]
        assert adapted.support_.mean() == scores.features_used[e]
    same = model.score_episodes(X, y, **OPTIONS)
    np.testing.assert_array_equal(same.accuracies, scores.accuracies)


def test_parallel_jobs_give_the_same(blobs):
    one = evaluate_episodes(NearestCentroid(), *blobs, **OPTIONS)
    two = evaluate_episodes(NearestCentroid(), *blobs, **OPTIONS, n_jobs=2)
    np.testing.assert_array_equal(one.accuracies, two.accuracies)


def test_mean_and_interval():
    values = np.array([0.2, 0.4, 0.9, 0.5])
    scores = EpisodeScores(values)
    assert scores.mean == pytest.approx(0.5)
    assert scores.ci95 == pytest.approx(1.96 * values.std(ddof=1) / 2)
    assert np.isnan(EpisodeScores(values[:1]).ci95)


def test_paired_differences_are_narrower_than_unpaired_ones():
    random = np.random.default_rng(0)
    common = random.normal(0.6, 0.1, 400)
    a = EpisodeScores(common + 0.01 + random.normal(0, 0.01, 400))
    b = EpisodeScores(common)
    difference = a.difference(b)
    assert difference.mean == pytest.approx(0.01, abs=0.003)
    assert difference.ci95 < 0.2 * a.ci95
    with pytest.raises(ValueError, match="the same 400 episodes, got 3"):
        a.difference(EpisodeScores(common[:3]))


def test_intervals_cover():
    # the interval of 100 episodes holds the mean of all in about 95 of 100 draws
    accuracies = np.random.default_rng(0).binomial(75, 0.8, (300, 100)) / 75
    covered = [abs(EpisodeScores(a).mean - 0.8) <= EpisodeScores(a).ci95 for a in accuracies]
    # standard error of the share: 0.013
    assert 0.91 < np.mean(covered) < 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_way": 8}, "n_way=8 classes .* y has 7 classes"),
        ({"n_way": 1}, "n_way must be at least 2"),
        ({"n_shot": 17}, r"n_shot \+ n_query = 17 \+ 4 = 21 rows; 7 of 7 have fewer"),
        ({"n_episodes": 0}, "n_episodes must be at least 1"),
    ],
)
def test_bad_requests(blobs, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_episodes(NearestCentroid(), *blobs, **{**OPTIONS, **options})


def test_bad_estimators_and_data(blobs):
    X, y = blobs
    with pytest.raises(TypeError, match="estimator 'r' must be a classifier, got Ridge"):
        evaluate_episodes({"r": Ridge()}, X, y, **OPTIONS)
    with pytest.raises(TypeError, match="estimator must be a classifier, got Ridge"):
        evaluate_episodes(Ridge(), X, y, **OPTIONS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        evaluate_episodes(GroupLassoSVMMetaClassifier(), X, y, **OPTIONS)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        evaluate_episodes(NearestCentroid(), bad, y, **OPTIONS)


def test_grid_search_over_class_disjoint_folds():
    X, y = load_digits(return_X_y=True)
    X, y = X[:800], y[:800]
    scorer = EpisodeScorer(n_way=3, n_shot=1, n_query=5, n_episodes=40)
    search = GridSearchCV(
        GroupLassoSVMMetaClassifier(16, input_shape=(8, 8), max_iter=5, random_state=0),
        {"head": ["prototype", "ridge"]},
        cv=ClassDisjointKFold(3),
        scoring=scorer,
        error_score="raise",
    )
    search.fit(X, y)
    # chance is a third
    assert search.best_score_ > 0.6
    assert search.best_estimator_.classes_.tolist() == list(range(10))
