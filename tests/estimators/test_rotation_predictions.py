"""SparseRotation as a model: predictions, scores, weights of rows, heads of new tasks."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from sklearn_sparsedis import SparseRotation, load_model, save_model
from sklearn_sparsedis.metrics import nan_r2_score
from tests.sparse_heads import make_tasks

QUICK = {"n_init": 8, "min_effect": 0, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    F, Y, _, _ = make_tasks(0, n_samples=400)
    return F, Y, SparseRotation(**QUICK).fit(F[:300], Y[:300, :50])


def test_predictions_are_those_of_the_heads(data):
    F, Y, model = data
    predicted = model.predict(F)
    np.testing.assert_allclose(predicted, model.transform(F) @ model.coef_.T + model.intercept_)
    np.testing.assert_allclose(
        predicted, F @ model.coef_features_.T + model.intercept_features_, atol=1e-9
    )
    assert model.score(F[300:], Y[300:, :50]) > 0.98
    assert model.score(F, Y[:, :50]) == pytest.approx(nan_r2_score(Y[:, :50], predicted))
    assert model.predict(F.astype(np.float32)).dtype == np.float32


def test_layouts_of_tasks_predict_alike(data):
    F, Y, model = data
    row, task = np.nonzero(np.random.default_rng(0).random((400, 50)) < 0.9)
    names = np.array([f"task {t:02d}" for t in range(50)])
    long = SparseRotation(**QUICK).fit(F[row], Y[row, task], task_id=names[task])
    all_ = long.predict(F)
    chosen = long.predict(F[row], task_id=names[task])
    np.testing.assert_allclose(chosen, all_[row, task], atol=1e-9)
    assert long.score(F[row], Y[row, task], task_id=names[task]) > 0.98
    with pytest.raises(ValueError, match="task_id must be passed to score"):
        long.score(F[row], Y[row, task])


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
def test_one_target_is_predicted_in_one_dimension(data):
    F, Y, _ = data
    model = SparseRotation(**QUICK).fit(F, Y[:, 0])
    assert model.predict(F).shape == (400,)
    scores = cross_val_score(SparseRotation(**QUICK), F, Y[:, 0], cv=2)
    assert (scores > 0.98).all()


def test_a_weight_of_two_is_two_rows_and_one_of_zero_none(data):
    F, Y, _ = data
    weight = np.random.default_rng(0).integers(0, 3, len(F))
    weighted = SparseRotation(**QUICK).fit(F, Y, sample_weight=weight)
    again = SparseRotation(**QUICK).fit(np.repeat(F, weight, 0), np.repeat(Y, weight, 0))
    np.testing.assert_allclose(weighted.mean_, again.mean_, atol=1e-12)
    np.testing.assert_allclose(weighted.predict(F), again.predict(F), atol=1e-8)
    of_labels = np.repeat(weight[:, None], Y.shape[1], 1).astype(float)
    of_labels[0, 0] = 3  # so that tasks have rows of their own
    each = SparseRotation(**QUICK).fit(F, Y, sample_weight=of_labels)
    assert np.abs(each.predict(F) - weighted.predict(F)).max() < 0.1


def test_labels_of_weight_zero_are_missing_ones(data):
    F, Y, _ = data
    there = np.random.default_rng(0).random(Y.shape) < 0.8
    weighted = SparseRotation(**QUICK).fit(F, Y, sample_weight=there.astype(float))
    row, task = np.nonzero(there)
    missing = csr_array((Y[row, task], (row, task)), shape=Y.shape)
    expected = SparseRotation(**QUICK).fit(F, missing)
    # rows with more labels weigh more in the covariance of the features
    assert np.abs(weighted.predict(F) - expected.predict(F)).max() < 0.1


def test_bad_weights_are_refused(data):
    F, Y, _ = data
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(400,\) or that of Y"):
        SparseRotation().fit(F, Y, sample_weight=np.ones(3))


def test_heads_of_new_tasks_come_from_few_rows(data):
    F, Y, model = data
    few, new = slice(0, 12), slice(50, 60)
    adapted = model.adapt(F[few], Y[few, new])
    assert adapted is not model
    assert adapted.coef_.shape == (10, 4)
    assert model.coef_.shape == (50, 4)
    np.testing.assert_array_equal(adapted.rotation_, model.rotation_)
    assert adapted.score(F[300:], Y[300:, new]) > 0.9
    plain = model.adapt(F[few], Y[few, new], prior=None)
    assert plain.coef_residual_ is None
    np.testing.assert_allclose(
        adapted.predict(F), F @ adapted.coef_features_.T + adapted.intercept_features_, atol=1e-9
    )
    within = model.adapt(F[few], Y[few, new], residual=False)
    assert not within.coef_residual_.any()


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
def test_the_old_heads_help_where_labels_are_noisy():
    F, Y, _, _ = make_tasks(1, n_samples=600, noise=1.0)
    model = SparseRotation(**QUICK).fit(F[:400], Y[:400, :50])
    of_prior, alone = (
        model.adapt(F[:15], Y[:15, 50:], prior=prior).score(F[400:], Y[400:, 50:])
        for prior in ("learned", None)
    )
    assert of_prior > max(alone, 0.2)


def test_heads_alone_have_a_prior_too(data):
    F, Y, model = data
    mean, scale = F[:300].mean(0), F[:300].std(0)
    covariance = np.cov(F[:300].T, bias=True)
    of_heads = SparseRotation(**QUICK).fit_heads(
        model.coef_features_, n_samples=None, feature_covariance=covariance
    )
    adapted = of_heads.adapt(F[:12] - mean, Y[:12, 50:])
    assert adapted.score(F[300:] - mean, Y[300:, 50:]) > 0.9
    assert scale.shape == adapted.coef_residual_.shape[1:]


def test_a_clone_of_an_adapted_model_is_unfitted(data):
    _, _, model = data
    assert not hasattr(clone(model), "coef_")


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
def test_labels_of_new_tasks_lie_in_their_intervals_as_often_as_asked_for(data, tmp_path):
    F, Y, model = data
    noisy = Y + 0.5 * Y.std(axis=0) * np.random.default_rng(0).standard_normal(Y.shape)
    model = clone(model).fit(F[:300], noisy[:300, :50])
    new = model.adapt(F[:40], noisy[:40, 50:])
    predicted, std = new.predict(F[300:], return_std=True)
    np.testing.assert_array_equal(predicted, new.predict(F[300:]))
    error = (noisy[300:, 50:] - predicted) / std
    assert 0.8 < np.sqrt(np.square(error).mean()) < 1.2
    ends = new.predict_interval(F[300:], confidence_level=0.8)[1]
    inside = (ends[..., 0] <= noisy[300:, 50:]) & (noisy[300:, 50:] <= ends[..., 1])
    assert inside.mean() == pytest.approx(0.8, abs=0.05)
    # more labels say more
    more = model.adapt(F[:200], noisy[:200, 50:]).predict(F[300:], return_std=True)[1]
    assert more.mean() < std.mean()
    task = new.tasks_[np.arange(100) % len(new.tasks_)]
    own = new.predict(F[300:], task_id=task, return_std=True)[1]
    np.testing.assert_allclose(own, std[np.arange(100), np.arange(100) % len(new.tasks_)])
    save_model(new, tmp_path / "new.safetensors")
    again = load_model(tmp_path / "new.safetensors").predict(F[300:], return_std=True)[1]
    np.testing.assert_array_equal(again, std)


def test_heads_without_a_prior_have_no_deviations(data):
    F, Y, model = data
    for heads in (model, model.adapt(F[:40], Y[:40, 50:], prior=None)):
        with pytest.raises(ValueError, match="Those have one that adapt"):
            heads.predict(F, return_std=True)
        with pytest.raises(ValueError, match="Those have one that adapt"):
            heads.predict_interval(F)
