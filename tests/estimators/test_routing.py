"""Metadata through pipelines, searches and cross-validation, with routing switched on."""

import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import TaskScorer, nan_r2_score


@pytest.fixture(scope="module")
def long():
    """Rows of five tasks of uneven sizes with string ids, in random order."""
    data = make_sparse_multitask(200, 5, n_latents=3, n_features=6, random_state=0)
    random = np.random.default_rng(0)
    task = random.choice(5, size=200, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    return data.X, data.Y[np.arange(200), task], np.array([f"task {t}" for t in task])


def model(**parameters):
    defaults = {"encoder": "linear", "max_iter": 15, "random_state": 0, "device": "cpu"}
    return SparseDisentangledRepresentation(3, **{**defaults, **parameters})


def requesting():
    return (
        model()
        .set_fit_request(task_id=True)
        .set_predict_request(task_id=True)
        .set_score_request(task_id=True)
    )


def test_task_id_reaches_the_last_step_of_a_pipeline(long):
    X, y, task = long
    scaler = StandardScaler().fit(X)
    alone = model().fit(scaler.transform(X), y, task_id=task)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), requesting()).fit(X, y, task_id=task)
        predicted = pipeline.predict(X, task_id=task)
        score = pipeline.score(X, y, task_id=task)
        every = clone(pipeline).set_params(
            sparsedisentangledrepresentation=model().set_fit_request(task_id=True)
        )
        wide = every.fit(X, y, task_id=task).predict(X)
    np.testing.assert_array_equal(predicted, alone.predict(scaler.transform(X), task_id=task))
    assert score == alone.score(scaler.transform(X), y, task_id=task)
    assert wide.shape == (200, 5)  # each task on each row


def test_cross_validate_splits_the_ids_with_the_rows(long):
    X, y, task = long
    cv = KFold(3, shuffle=True, random_state=0)
    with config_context(enable_metadata_routing=True):
        found = cross_validate(
            make_pipeline(StandardScaler(), requesting()),
            X,
            y,
            params={"task_id": task},
            cv=cv,
            scoring=TaskScorer().set_score_request(task_id=True),
            return_estimator=True,
            error_score="raise",
        )
    assert {"test_mean", "test_task 0", "test_task 4"} <= set(found)
    for (train, test), fitted, mean in zip(
        cv.split(X), found["estimator"], found["test_mean"], strict=True
    ):
        scaler = StandardScaler().fit(X[train])
        alone = model().fit(scaler.transform(X[train]), y[train], task_id=task[train])
        np.testing.assert_array_equal(fitted[-1].coef_, alone.coef_)
        predicted = alone.predict(scaler.transform(X[test]), task_id=task[test])
        each = [
            r2_score(y[test][task[test] == name], predicted[task[test] == name])
            for name in np.unique(task[test])
        ]
        assert mean == pytest.approx(np.mean(each))


def test_grid_search_over_the_long_layout(long):
    X, y, task = long
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            Pipeline([("scale", StandardScaler()), ("model", requesting())]),
            {"model__alpha": [0.05, 0.9]},
            scoring=TaskScorer().set_score_request(task_id=True),
            refit="mean",
            cv=KFold(2, shuffle=True, random_state=0),
            error_score="raise",
        ).fit(X, y, task_id=task)
        # a search's own predict takes nothing but X
        predicted = search.best_estimator_.predict(X, task_id=task)
    assert search.best_params_ == {"model__alpha": 0.05}
    assert predicted.shape == (200,)
    assert "mean_test_task 3" in search.cv_results_


@pytest.mark.skipif(
    Version(sklearn.__version__) < Version("1.8"),
    reason="pipelines route no weights to their scores before scikit-learn 1.8",
)
def test_weights_of_single_labels_are_routed():
    data = make_sparse_multitask(90, 4, n_latents=3, n_features=6, random_state=1)
    random = np.random.default_rng(1)
    weights = random.integers(0, 3, size=data.Y.shape).astype(float)
    cv = KFold(3)
    with config_context(enable_metadata_routing=True):
        weighted = model().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), weighted)
        found = cross_validate(
            pipeline,
            data.X,
            data.Y,
            params={"sample_weight": weights},
            cv=cv,
            return_estimator=True,
            error_score="raise",
        )
    for (train, test), fitted, score in zip(
        cv.split(data.X), found["estimator"], found["test_score"], strict=True
    ):
        scaler = StandardScaler().fit(data.X[train])
        X_train, X_test = scaler.transform(data.X[train]), scaler.transform(data.X[test])
        alone = model().fit(X_train, data.Y[train], sample_weight=weights[train])
        np.testing.assert_array_equal(fitted[-1].coef_, alone.coef_)
        expected = nan_r2_score(data.Y[test], alone.predict(X_test), sample_weight=weights[test])
        assert score == pytest.approx(expected)


def test_an_id_that_nobody_requested_is_an_error(long):
    X, y, task = long
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="task_id"),
    ):
        make_pipeline(StandardScaler(), model()).fit(X, y, task_id=task)


def test_rotation_gets_its_ids_in_a_pipeline(long):
    X, y, task = long
    keep = np.isin(task, ["task 0", "task 1", "task 2", "task 3"])
    X, y, task = X[keep], y[keep], task[keep]
    with config_context(enable_metadata_routing=True):
        rotation = SparseRotation(2, random_state=0).set_fit_request(task_id=True)
        ridge = Ridge()
        pipeline = make_pipeline(StandardScaler(), rotation, ridge)
        with pytest.warns(UserWarning, match="Not every component is determined"):
            pipeline.fit(X, y, task_id=task)
    assert list(pipeline[1].tasks_) == ["task 0", "task 1", "task 2", "task 3"]


def test_scorer_names_the_tasks_of_a_frame():
    pd = pytest.importorskip("pandas")
    data = make_sparse_multitask(80, 2, n_latents=3, n_features=6, random_state=1)
    Y = pd.DataFrame(data.Y, columns=["weight", "height"])
    Y.loc[::2, "height"] = np.nan
    fitted = make_pipeline(StandardScaler(), model()).fit(data.X, Y)
    scores = TaskScorer()(fitted, data.X, Y)
    seen = slice(1, None, 2)
    predicted = fitted.predict(data.X)
    assert scores["weight"] == pytest.approx(r2_score(Y["weight"], predicted[:, 0]))
    assert scores["height"] == pytest.approx(r2_score(Y["height"][seen], predicted[seen, 1]))
    assert scores["mean"] == pytest.approx((scores["weight"] + scores["height"]) / 2)


def test_scorer_of_labels_leaves_out_tasks_of_one_kind():
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 4))
    Y = (X[:, :2] + random.normal(size=(120, 2)) > 0).astype(float)
    fitted = model(loss="logistic").fit(X, Y)
    Y[:, 1] = 1.0
    scores = TaskScorer(roc_auc_score)(fitted, X, Y)
    assert scores["0"] == pytest.approx(roc_auc_score(Y[:, 0], fitted.predict(X)[:, 0]))
    assert np.isnan(scores["1"])
    assert scores["mean"] == scores["0"]


def test_scorer_says_how_the_ids_are_routed(long):
    X, y, task = long
    fitted = model().fit(X, y, task_id=task)
    with pytest.raises(ValueError, match=r"set_score_request\(task_id=True\) of the scorer"):
        TaskScorer()(fitted, X, y)


@pytest.mark.slow
# some checks fit noise, on which these warnings are right
@pytest.mark.filterwarnings("ignore:No feature is in use:UserWarning")
@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        model(hidden_layer_sizes=(20,)),
        SparseRotation(random_state=0),
        GroupLassoSVC(),
        GroupLassoSVMMetaClassifier(8, hidden_layer_sizes=(20,), max_iter=20, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_all_checks_with_routing_switched_on(estimator):
    with config_context(enable_metadata_routing=True):
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert [r["check_name"] for r in results if r["status"] in ("failed", "xfail")] == []
