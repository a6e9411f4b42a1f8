"""GroupLassoSVC: scikit-learn's contract, its solution, its warnings."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from sklearn_sparsedis import GroupLassoSVC
from sklearn_sparsedis.estimators import _margin_problem


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X), np.array(["red", "rosé", "white"])[y]


# some checks fit noise, on which the warning about an empty support is right
@pytest.mark.filterwarnings("ignore:No feature is in use:UserWarning")
@parametrize_with_checks([GroupLassoSVC()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_feature_names_check():
    check_dataframe_column_names_consistency("GroupLassoSVC", GroupLassoSVC())


def test_without_group_penalty_it_is_linear_svc(wine):
    X, y = wine
    ours = GroupLassoSVC(0.0, l2_reg=2.0, tol=1e-10).fit(X, y)
    peer = LinearSVC(multi_class="crammer_singer", C=0.5, tol=1e-10, max_iter=10**6).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-6)
    assert ours.support_.all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fitted_attributes(wine, dtype):
    X, y = wine
    model = GroupLassoSVC(0.3).fit(X.astype(dtype), y)
    assert model.classes_.tolist() == ["red", "rosé", "white"]
    assert model.coef_.shape == (3, 13)
    assert model.coef_.dtype == model.intercept_.dtype == model.dual_coef_.dtype == dtype
    assert model.intercept_.shape == (3,)
    assert model.dual_coef_.shape == (len(X), 3)
    assert model.dual_gap_ <= 1e-6
    assert 0 < model.support_.sum() < 13
    np.testing.assert_array_equal(model.support_, np.any(model.coef_ != 0, axis=0))
    assert model.decision_function(X).shape == (len(X), 3)
    assert model.score(X, y) > 0.95


def test_support_shrinks_with_group_reg(wine):
    sizes = [GroupLassoSVC(share).fit(*wine).support_.sum() for share in (0.0, 0.2, 0.5, 0.8)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] > 0


def test_absolute_and_relative_strength_agree(wine):
    relative = GroupLassoSVC(0.3).fit(*wine)
    absolute = GroupLassoSVC(relative.group_reg_, group_reg_mode="absolute").fit(*wine)
    np.testing.assert_array_equal(absolute.coef_, relative.coef_)


def test_two_classes_have_one_score():
    X, y = make_blobs(40, centers=2, n_features=4, random_state=0)
    model = GroupLassoSVC().fit(scale(X), y)
    scores = model.decision_function(scale(X))
    assert scores.shape == (40,)
    np.testing.assert_array_equal(model.predict(scale(X)), (scores > 0).astype(int))
    np.testing.assert_allclose(model.coef_[0], -model.coef_[1], atol=1e-10)


def test_weights_of_classes_and_samples_multiply(wine):
    X, y = wine
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    by_class = {"red": 1.0, "rosé": 3.0, "white": 0.5}
    both = GroupLassoSVC(class_weight=by_class).fit(X, y, sample_weight=weight)
    product = weight * np.array([by_class[label] for label in y])
    alone = GroupLassoSVC().fit(X, y, sample_weight=product)
    np.testing.assert_allclose(both.coef_, alone.coef_, atol=1e-6)


def test_samples_of_weight_zero_do_not_count(wine):
    X, y = wine
    weight = np.ones(len(X))
    weight[::3] = 0
    model = GroupLassoSVC().fit(X, y, sample_weight=weight)
    kept = GroupLassoSVC().fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(model.coef_, kept.coef_, atol=1e-10)
    assert (model.dual_coef_[::3] == 0).all()


def test_balanced_weights_move_the_boundary_towards_the_large_class():
    X, y = make_blobs([60, 6], centers=[[0, 0], [1.5, 0]], random_state=0)
    plain = GroupLassoSVC(0.0).fit(X, y)
    balanced = GroupLassoSVC(0.0, class_weight="balanced").fit(X, y)
    assert (balanced.predict(X) == 1).sum() > (plain.predict(X) == 1).sum()


def test_tools_of_scikit_learn_work(wine):
    X, y = wine
    selected = SelectFromModel(GroupLassoSVC(0.5), threshold=1e-10).fit(X, y)
    np.testing.assert_array_equal(selected.get_support(), GroupLassoSVC(0.5).fit(X, y).support_)
    pipeline = make_pipeline(StandardScaler(), GroupLassoSVC())
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    search = GridSearchCV(GroupLassoSVC(), {"group_reg": [0.0, 0.3]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9
    model = GroupLassoSVC().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).coef_, model.coef_)


def test_an_empty_support_is_announced(wine):
    with pytest.warns(UserWarning, match=r"No feature is in use: group_reg=1.5 \(relative\)"):
        model = GroupLassoSVC(1.5).fit(*wine)
    assert not model.support_.any()
    assert len(set(model.predict(wine[0]))) == 1


def test_a_gap_above_tol_is_announced(wine):
    with pytest.warns(ConvergenceWarning, match="relative duality gap of .* above tol=1e-06"):
        model = GroupLassoSVC(max_iter=1).fit(*wine)
    assert model.dual_gap_ > 1e-6


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"group_reg": -1.0}, ValueError, "group_reg must be in"),
        ({"group_reg": "a"}, TypeError, "group_reg must be a number or .auto."),
        ({"group_reg": None}, TypeError, "group_reg must be a number"),
        ({"group_reg_mode": "share"}, ValueError, "group_reg_mode must be one of"),
        ({"l2_reg": 0.0}, ValueError, "l2_reg must be in"),
        ({"tol": 0}, ValueError, "tol must be in"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"device": "no such"}, ValueError, "cannot be used here"),
        ({"class_weight": {"green": 1.0}}, ValueError, "class_weight|classes"),
    ],
)
def test_invalid_parameters_are_refused_and_nothing_is_fitted(parameters, error, match):
    X, y = load_iris(return_X_y=True)
    model = GroupLassoSVC(**parameters)
    with pytest.raises(error, match=match):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes .* contain 1 class"):
        GroupLassoSVC().fit(np.eye(3), ["a", "a", "a"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse_rows_are_as_good_as_dense_ones(dtype):
    X, y = make_blobs(300, centers=4, n_features=30, random_state=0)
    X = scale(X).astype(dtype)
    X[np.abs(X) < 0.8] = 0
    dense = GroupLassoSVC(0.2).fit(X, y)
    rows = sparse.csr_matrix(X)
    model = GroupLassoSVC(0.2).fit(rows, y)
    np.testing.assert_allclose(model.coef_, dense.coef_, atol=2e-2 * np.abs(dense.coef_).max())
    np.testing.assert_array_equal(model.predict(rows), dense.predict(X))
    assert model.coef_.dtype == dtype
    assert model.dual_gap_ <= 1e-6


def test_features_are_neither_changed_nor_copied(monkeypatch):
    X, y = make_blobs(400, centers=3, n_features=5, random_state=0)
    X = scale(X)
    X.flags.writeable = False
    given = []
    solve = _margin_problem.group_lasso_svm_path
    monkeypatch.setattr(
        _margin_problem,
        "group_lasso_svm_path",
        lambda F, *arguments, **options: given.append(F) or solve(F, *arguments, **options),
    )
    GroupLassoSVC().fit(X, y)
    assert given[0].data_ptr() == X.__array_interface__["data"][0]


def test_a_strength_is_chosen_by_cross_validation(wine):
    X, y = wine
    model = GroupLassoSVC("auto", cv=3).fit(X, y)
    assert model.cv_accuracies_.shape == (3, len(model.group_regs_))
    best = model.group_regs_[model.cv_accuracies_.mean(axis=0).argmax()]
    alone = GroupLassoSVC(best).fit(X, y)
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-5)
    np.testing.assert_allclose(model.group_reg_, alone.group_reg_)
    accuracy = cross_val_score(GroupLassoSVC(best), X, y, cv=3).mean()
    np.testing.assert_allclose(model.cv_accuracies_.mean(axis=0).max(), accuracy, atol=0.02)


def test_probabilities_are_refused_and_calibration_gives_them(wine):
    model = GroupLassoSVC().fit(*wine)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="CalibratedClassifierCV"):
        model.predict_proba(wine[0])
    calibrated = CalibratedClassifierCV(GroupLassoSVC(), cv=3).fit(*wine)
    assert calibrated.predict_proba(wine[0]).shape == (178, 3)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_scales_that_differ_by_orders_of_magnitude_are_announced(container):
    X, y = load_wine(return_X_y=True)
    with pytest.warns(UserWarning, match="ranges of the features differ .* StandardScaler"):
        GroupLassoSVC(max_iter=300).fit(container(X * [*[1] * 12, 10]), y)


@pytest.mark.slow
def test_more_dense_features_than_rows():
    random = np.random.default_rng(600)
    X = random.normal(size=(600, 1200))
    y = (X[:, :20] @ random.normal(size=(20, 4)) + random.gumbel(size=(600, 4))).argmax(1)
    assert GroupLassoSVC(0.1, tol=1e-6).fit(X, y).dual_gap_ <= 1e-6
