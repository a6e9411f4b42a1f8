"""SparseDisentangledRepresentation with Huber's loss: targets with outliers."""

import numpy as np
import pytest

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._persistence import load_model, save_model

N = 240


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(N + 200, 8, noise=0.3, random_state=0)


@pytest.fixture(scope="module")
def spoilt(data):
    """Targets of which a tenth are off by thirty standard deviations."""
    rng = np.random.default_rng(0)
    Y = data.Y[:N].copy()
    off = rng.random(Y.shape) < 0.1
    Y[off] += 30 * Y.std() * rng.choice([-1, 1], off.sum())
    return Y


def model(**options):
    fixed = {"encoder": "linear", "loss": "huber", "max_iter": 60, "random_state": 0}
    return SparseDisentangledRepresentation(6, **{**fixed, **options})


@pytest.fixture(scope="module")
def fitted(data, spoilt):
    return model().fit(data.X[:N], spoilt)


def new_rows(fitted, data):
    return fitted.score(data.X[N:], data.Y[N:])


@pytest.mark.parametrize("penalty", ["l1", "l2", "elasticnet"])
def test_outliers_hardly_matter(data, spoilt, penalty):
    robust = model(penalty=penalty).fit(data.X[:N], spoilt)
    squared = model(penalty=penalty, loss="squared_error").fit(data.X[:N], spoilt)
    assert set(robust.losses_) == {"huber"}
    assert (robust.dual_gap_ <= robust.tol).all()
    assert new_rows(robust, data) > 0.88
    assert new_rows(squared, data) < 0


def test_clean_targets_cost_next_to_nothing(data):
    robust, squared = (
        model(loss=loss).fit(data.X[:N], data.Y[:N]) for loss in ("huber", "squared_error")
    )
    assert new_rows(robust, data) > new_rows(squared, data) - 0.01


def test_losses_of_other_tasks_stay_what_they_are(data, spoilt):
    Y = spoilt.copy()
    Y[:, 0] = data.Y[:N, 0] > 0
    Y[:, 1] = data.Y[:N, 1]
    mixed = model(loss={0: "logistic", **dict.fromkeys(range(2, 8), "huber")}).fit(data.X[:N], Y)
    assert mixed.losses_.tolist() == ["logistic", "squared_error"] + 6 * ["huber"]
    truth = data.Y[N:].copy()
    truth[:, 0] = truth[:, 0] > 0
    assert mixed.score(data.X[N:], truth) > 0.8
    assert 0 <= mixed.predict(data.X)[:, 0].min() <= mixed.predict(data.X)[:, 0].max() <= 1


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"alpha_mode": "relative"}, {}),
        ({"penalty": "l1"}, {"alpha": 0.4}),  # a norm weighs less in smaller units
        ({"penalty": "l2"}, {}),
        ({"penalty": "elasticnet"}, {"alpha": 0.25, "l1_ratio": 0.8}),  # 0.05 * 4, and 0.05
    ],
)
def test_units_of_targets_do_not_matter(data, spoilt, options, other):
    options = {"alpha": 0.1, "alpha_mode": "absolute", "max_iter": 0, "tol": 1e-10, **options}
    one = model(**options).fit(data.X[:N], spoilt)
    four = model(**options | other).fit(data.X[:N], 4 * spoilt)
    np.testing.assert_allclose(four.coef_, 4 * one.coef_, rtol=1e-5, atol=1e-8)


def test_missing_labels_and_weights_of_zero_are_the_same(data, spoilt):
    missing = np.random.default_rng(1).random(spoilt.shape) < 0.3
    holes = model().fit(data.X[:N], np.where(missing, np.nan, spoilt))
    weighted = model().fit(data.X[:N], spoilt, sample_weight=np.where(missing, 0.0, 1.0))
    np.testing.assert_array_equal(holes.coef_, weighted.coef_)
    assert new_rows(holes, data) > 0.85


def test_constant_targets_are_predicted(data, spoilt):
    Y = spoilt.copy()
    Y[:, 0] = 3.0
    constant = model(max_iter=5).fit(data.X[:N], Y)
    np.testing.assert_allclose(constant.predict(data.X)[:, 0], 3.0)


def test_targets_of_which_most_are_equal_vary(data, spoilt):
    Y = np.where(data.Y[:N] > np.quantile(data.Y[:N], 0.7, axis=0), data.Y[:N], 0.0)
    sparse = model(max_iter=5).fit(data.X[:N], Y)
    assert (sparse.coef_ != 0).any(1).all()


def test_adapt_and_files(data, spoilt, fitted, tmp_path):
    adapted = fitted.adapt(data.X[:100], spoilt[:100, :3])
    assert adapted.losses_.tolist() == 3 * ["huber"]
    assert adapted.score(data.X[N:], data.Y[N:, :3]) > 0.85
    save_model(fitted, tmp_path / "model.sparsedis")
    loaded = load_model(tmp_path / "model.sparsedis")
    np.testing.assert_array_equal(loaded.predict(data.X), fitted.predict(data.X))
    assert loaded.losses_.tolist() == fitted.losses_.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": "mcp"}, "'mcp' is not available with the loss 'huber', which 8 of 8 tasks"),
        ({"penalty": "l0"}, "'l0' is not available with the loss 'huber'"),
        ({"common_head": True}, "common_head=True is not available with the loss 'huber'"),
        ({"task_of_output": [0, 0, *range(1, 7)]}, "loss 'huber', which output 0 has, is not"),
        ({"alpha": 0}, "alpha must be above 0 with the loss 'huber'"),
    ],
)
def test_what_it_does_not_go_with_is_named(data, options, message):
    with pytest.raises(ValueError, match=message):
        model(**options).fit(data.X[:N], data.Y[:N])
