"""Heads that adapt gives new tasks, with what the old ones say of them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators import _old_tasks
from sklearn_sparsedis.metrics import match_latents

SETTINGS = {"encoder": "linear", "max_iter": 30, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    drawn = make_sparse_multitask(400, 30, n_latents=4, n_features=10, noise=0.5, random_state=0)
    # columns that the tasks have nothing to do with
    drawn.X = np.hstack([drawn.X, np.random.default_rng(0).normal(size=(400, 20))])
    return drawn


@pytest.fixture(scope="module")
def fitted(data):
    model = SparseDisentangledRepresentation(4, alpha=0.2, **SETTINGS)
    return model.fit(data.X[:300], data.Y[:300, :20])


@pytest.mark.parametrize(("n_rows", "gain"), [(10, 0.1), (20, 0.1), (50, 0.03)])
def test_few_rows_predict_better_than_with_ridge_or_the_penalty_alone(data, fitted, n_rows, gain):
    rows, test = slice(300, 300 + n_rows), slice(350, 400)
    scores = {}
    for prior in ("learned", None):
        new = fitted.adapt(data.X[rows], data.Y[rows, 20:], prior=prior)
        scores[prior] = new.score(data.X[test], data.Y[test, 20:])
    ridge = RidgeCV(np.logspace(-3, 3, 13), alpha_per_target=True)
    ridge.fit(data.X[rows], data.Y[rows, 20:])
    alone = r2_score(data.Y[test, 20:], ridge.predict(data.X[test]))
    assert scores["learned"] > alone + gain
    assert scores["learned"] > scores[None]


@pytest.mark.parametrize("encoder", ["linear", "mlp"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_of_components_columns_and_similar_rows(data, encoder, dtype):
    X, Y = data.X.astype(dtype), data.Y.astype(dtype)
    model = SparseDisentangledRepresentation(4, **{**SETTINGS, "encoder": encoder})
    model.fit(X[:200], Y[:200, :5])
    new = model.adapt(X[200:240], Y[200:240, 20:23])
    by_hand = new.transform(X) @ new.coef_.T + X @ new.coef_residual_.T + new.intercept_
    distance = np.abs(X[:, None] - new.landmarks_) / new.prior_.scale
    similarity = np.exp(-distance.sum(-1) / new.prior_.distance)
    by_hand = by_hand + similarity @ new.coef_landmarks_.T
    np.testing.assert_allclose(new.predict(X), by_hand, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(new.landmarks_, X[200:240].astype(np.float64))
    assert new.predict(X).dtype == dtype
    assert ((new.residual_share_ > 0) & (new.residual_share_ < 1)).all()
    without = model.adapt(X[200:240], Y[200:240, 20:23], residual=False)
    assert not without.coef_residual_.any()
    assert not without.residual_share_.any()
    assert model.coef_residual_ is None
    assert model.landmarks_ is None


def test_heads_on_columns_alone_are_linear_in_them(data):
    model = SparseDisentangledRepresentation(4, **SETTINGS).fit(data.X[:200], data.Y[:200, :5])
    X, Y = data.X[200:240], data.Y[200:240, 20:23]
    linear = model.adapt(X, Y, residual="linear")
    assert linear.coef_landmarks_ is None
    predicted = data.X @ linear.coef_features_.T + linear.intercept_features_
    np.testing.assert_allclose(predicted, linear.predict(data.X))
    with pytest.raises(AttributeError, match="adapt.X, Y, residual='linear'"):
        model.adapt(X, Y).coef_features_  # noqa: B018
    with pytest.raises(ValueError, match="residual must be"):
        model.adapt(X, Y, residual="curved")


def test_what_bends_outside_the_components_is_found(data, fitted):
    outside = np.abs(data.X[:, 12]) + np.abs(data.X[:, 17])
    scores = {}
    for residual in (True, "linear"):
        new = fitted.adapt(data.X[:300], outside[:300], residual=residual)
        scores[residual] = new.score(data.X[300:], outside[300:])
    assert scores[True] > scores["linear"] + 0.15


def test_what_lies_outside_the_components_is_found(data, fitted):
    outside = data.X[:, 10:] @ np.random.default_rng(0).normal(size=20)
    new = fitted.adapt(data.X[:300], outside[:300])
    assert new.score(data.X[300:], outside[300:]) > 0.99
    assert new.residual_share_ > 0.5
    alone = fitted.adapt(data.X[:300], outside[:300], residual=False)
    assert alone.score(data.X[300:], outside[300:]) < 0.9


def test_both_layouts_give_the_same_heads_and_deviations(data, fitted):
    X, Y = data.X[300:315], data.Y[300:315, 20:24]
    wide = fitted.adapt(X, Y)
    task = np.tile(np.arange(4), 15)
    long = fitted.adapt(X.repeat(4, 0), Y.ravel(), task_id=task)
    np.testing.assert_allclose(long.coef_, wide.coef_)
    np.testing.assert_allclose(long.coef_residual_, wide.coef_residual_, atol=1e-10)
    Y_wide, std = wide.predict(data.X[:9], return_std=True)
    for predicted, expected in zip(
        long.predict(data.X[:9].repeat(4, 0), task_id=np.tile(np.arange(4), 9), return_std=True),
        (Y_wide, std),
        strict=True,
    ):
        np.testing.assert_allclose(predicted, expected.ravel())


@pytest.mark.parametrize("n_rows", [10, 20, 50])
def test_intervals_cover(data, fitted, n_rows):
    random = np.random.default_rng(1)
    signal = data.Z @ random.normal(size=(4, 200))
    Y = signal + 0.5 * signal.std(0) * random.normal(size=signal.shape) + random.normal(size=200)
    new = fitted.adapt(data.X[300 : 300 + n_rows], Y[300 : 300 + n_rows])
    predicted, std = new.predict(data.X[350:], return_std=True)
    covered = (np.abs(predicted - Y[350:]) < 1.645 * std).mean()
    assert 0.87 < covered < 0.94


@pytest.mark.parametrize("common_head", [False, True])
def test_a_file_keeps_the_prior_and_the_labels(data, tmp_path, common_head):
    model = SparseDisentangledRepresentation(4, common_head=common_head, **SETTINGS)
    model.fit(data.X[:300], data.Y[:300, :20])
    new = model.adapt(data.X[:20], data.Y[:20, 20:])
    for name, saved in {"model": model, "new": new}.items():
        save_model(saved, tmp_path / name)
        loaded = load_model(tmp_path / name)
        again = loaded.adapt(data.X[:20], data.Y[:20, 20:])
        for one, other in zip(
            again.predict(data.X, return_std=True),
            new.predict(data.X, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(
        loaded.predict(data.X, return_std=True), new.predict(data.X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_many_tasks_at_once_have_nearly_the_heads_of_few(data, fitted):
    # the first of many say with which strengths the others need not be tried
    random = np.random.default_rng(3)
    truth = data.Z @ random.normal(size=(4, 120))
    Y = truth[300:320] + 0.5 * random.normal(size=(20, 120))
    together = fitted.adapt(data.X[300:320], Y).predict(data.X)
    parts = [fitted.adapt(data.X[300:320], Y[:, half]) for half in (slice(60), slice(60, 120))]
    apart = np.hstack([new.predict(data.X) for new in parts])
    assert (together != apart).any()
    # a task that is unlike the others may differ by more
    assert np.abs(together - apart).mean() < 0.01 * truth.std()
    assert r2_score(truth, together) > r2_score(truth, apart) - 0.001


def test_labels_that_say_little_leave_what_the_prior_says(data, fitted):
    X, y = data.X[:6], data.Y[:6, 20]
    for rows, labels in ((X[:1], y[:1]), (X, np.full(6, 3.0))):
        with pytest.warns(UserWarning, match="one label or labels that are all equal"):
            new = fitted.adapt(rows, labels)
        np.testing.assert_allclose(new.predict(data.X), labels[0], atol=1e-9)
        assert np.isfinite(new.predict(data.X, return_std=True)[1]).all()
    new = fitted.adapt(np.repeat(X[:1], 6, 0), y)  # equal rows say what the mean is there
    np.testing.assert_allclose(new.predict(X[:1]), y.mean(), atol=0.1 * y.std())
    assert np.isfinite(new.predict(data.X)).all()


def test_a_common_head_is_the_prediction_from_one_label(data):
    random = np.random.default_rng(0)
    coef = np.array([1.0, 2.0, -1.0, 0.0])[:, None] + 0.1 * random.normal(size=(4, 30))
    Y = data.Z @ coef + 0.3 * random.normal(size=(400, 30))
    model = SparseDisentangledRepresentation(4, common_head=True, **SETTINGS)
    model.fit(data.X[:300], Y[:300, :20])
    with pytest.warns(UserWarning, match="one label"):
        new = model.adapt(data.X[:1], Y[:1, 20:])
    assert new.score(data.X[300:], Y[300:, 20:]) > 0.8


def test_probabilities_of_use_are_right_as_often_as_they_say():
    drawn = make_sparse_multitask(
        500, 200, n_latents=5, n_features=10, support_prob=0.3, random_state=1
    )
    model = SparseDisentangledRepresentation(5, penalty="l0", **SETTINGS)
    model.fit(drawn.X, drawn.Y[:, :40])
    new = model.adapt(drawn.X[:12], drawn.Y[:12, 40:])
    order = match_latents(drawn.Z, model.transform(drawn.X)).permutation
    used, p = drawn.support[40:], new.support_probability_[:, order]
    assert used[p > 0.9].mean() > 0.9
    assert used[p < 0.1].mean() < 0.1
    assert ((p > 0.9) | (p < 0.1)).mean() > 0.4
    np.testing.assert_array_equal(new.support_, new.support_probability_ > 0.5)
    dense = model.adapt(drawn.X[:12], drawn.Y[:12, 40:], prior=None)
    assert dense.support_probability_ is None


def test_rows_that_are_looked_at_need_not_have_labels(monkeypatch):
    # of many rows only some are looked at, among which tasks may have no labels to speak of
    monkeypatch.setattr(_old_tasks, "MOST_ROWS", 64)
    drawn = make_sparse_multitask(9000, 6, n_latents=3, n_features=6, random_state=0)
    Y = np.full((9000, 3), np.nan)
    for task in range(3):
        rows = np.random.default_rng(task).choice(9000, 200, replace=False)
        Y[rows, task] = drawn.Y[rows, task]
    model = SparseDisentangledRepresentation(3, **SETTINGS).fit(drawn.X, Y)
    assert model.prior_.squared_error.used_share is None
    assert model.adapt(drawn.X[:20], drawn.Y[:20, 3:]).score(drawn.X, drawn.Y[:, 3:]) > 0.5


def test_heads_without_a_distribution_say_so(data, fitted):
    model = fitted.adapt(data.X[:20], data.Y[:20, 20:], prior=None)
    for predict in (lambda X: model.predict(X, return_std=True), model.predict_interval):
        with pytest.raises(ValueError, match="these heads have no distribution"):
            predict(data.X)
    with pytest.raises(ValueError, match="prior must be"):
        fitted.adapt(data.X[:20], data.Y[:20, 20:], prior="flat")


def test_without_a_prior_heads_are_those_of_the_penalty(data, fitted):
    new = fitted.adapt(data.X[:30], data.Y[:30, 20:], prior=None)
    assert new.coef_residual_ is None
    np.testing.assert_array_equal(new.support_, new.coef_ != 0)
    assert not new.support_.all()
    robust = clone(fitted).set_params(loss="huber").fit(data.X[:300], data.Y[:300, :20])
    assert robust.prior_ is None
    with pytest.raises(ValueError, match="these heads have no distribution"):
        robust.adapt(data.X[:60], data.Y[:60, 20:]).predict(data.X, return_std=True)


@pytest.fixture(scope="module")
def labelled(data):
    """Labels of tasks whose heads scatter about one that they share."""
    random = np.random.default_rng(0)
    coef = np.array([2.0, -1.0, 1.0, 0.0])[:, None] + 0.7 * random.normal(size=(4, 30))
    odds = data.Z @ coef - 1 + random.normal(size=30)
    return (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)


@pytest.fixture(scope="module")
def of_labels(data, labelled):
    model = SparseDisentangledRepresentation(4, loss="logistic", **{**SETTINGS, "max_iter": 10})
    return model.fit(data.X[:300], labelled[:300, :20])


def test_labels_of_new_tasks_are_told_from_few(data, labelled, of_labels):
    rows, test, scores = slice(300, 320), slice(320, 400), {"alone": []}
    for prior in ("learned", None):
        new = of_labels.adapt(data.X[rows], labelled[rows, 20:], prior=prior)
        scores[prior] = roc_auc_score(labelled[test, 20:], new.predict(data.X[test]))
    for y in labelled[:, 20:].T[[0, 1, 3, 4]]:
        alone = LogisticRegression(C=0.1).fit(data.X[rows], y[rows])
        odds = alone.decision_function(data.X[test])
        scores["alone"].append(roc_auc_score(y[test], odds))
    assert scores["learned"] > np.mean(scores["alone"]) + 0.1
    assert scores["learned"] > scores[None] + 0.02
    new = of_labels.adapt(data.X[rows], labelled[rows, 20:])
    predicted, std = new.predict(data.X[test], return_std=True)
    np.testing.assert_allclose(std**2, predicted * (1 - predicted))
    likely = predicted > 0.7  # labels are as frequent as their probabilities say
    assert abs(labelled[test, 20:][likely].mean() - predicted[likely].mean()) < 0.07


def test_a_file_keeps_priors_of_both_losses(data, labelled, tmp_path):
    Y = np.hstack([data.Y[:, :8], labelled[:, :8]])
    losses = ["squared_error"] * 8 + ["logistic"] * 8
    model = SparseDisentangledRepresentation(4, loss=losses, **SETTINGS)
    model.fit(data.X[:300], Y[:300])
    kinds = {"loss": ["logistic", "squared_error"]}
    new = model.adapt(data.X[300:330], Y[300:330, [8, 0]], **kinds)
    for task in (0, 1):
        one = model.adapt(
            data.X[300:330], Y[300:330, [8, 0][task]], loss=kinds["loss"][task : task + 1]
        )
        np.testing.assert_allclose(one.coef_[0], new.coef_[task])
    save_model(new, tmp_path / "new")
    loaded = load_model(tmp_path / "new")
    for one, other in zip(
        loaded.predict(data.X, return_std=True), new.predict(data.X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_labels_of_one_kind_are_predicted_by_the_prior(data, labelled, of_labels):
    with pytest.warns(UserWarning, match="one label or labels that are all equal"):
        new = of_labels.adapt(data.X[300:304], np.ones((4, 1)))
    assert roc_auc_score(labelled[:, 20], new.predict(data.X)) > 0.7
