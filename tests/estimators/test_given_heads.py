"""SparseRotation.fit_heads: the model of the rows from heads, errors and covariance alone."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import PoissonRegressor

from sklearn_sparsedis import SparseRotation
from tests.sparse_heads import make_tasks, match

FITTED = (
    "rotation_",
    "mixing_",
    "coef_",
    "coef_average_",
    "structure_",
    "component_covariance_",
    "support_",
)
TRUST = ("scores_", "support_probability_", "head_spectrum_")
# the few starts of a small search, without one for a misfit
QUICK = {"n_init": 8, "min_effect": 0, "random_state": 0}
DOUBT = "ignore:Not every component is determined:UserWarning"


def _least_squares(F, Y):
    """Heads, covariance matrices of their errors, and the covariance of the features."""
    F, Y = F - F.mean(0), Y - Y.mean(0)
    gram = F.T @ F
    coef = np.linalg.solve(gram, F.T @ Y).T
    variance = np.square(Y - F @ coef.T).sum(0) / (len(F) - F.shape[1] - 1)
    return coef, variance[:, None, None] * np.linalg.inv(gram), gram / len(F)


def _assert_equal(found, expected):
    assert found.n_latents_ == expected.n_latents_
    assert found.min_effect_ == expected.min_effect_
    for name in (*FITTED, *TRUST):
        a, b = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8, err_msg=name)
    # cross-validation and rivals end before they have converged
    np.testing.assert_allclose(found.chance_, expected.chance_, rtol=0.1)
    np.testing.assert_allclose(found.margin_, expected.margin_, rtol=5e-2)
    np.testing.assert_allclose(found.stability_, expected.stability_, atol=0.05)


@pytest.fixture(scope="module")
def data():
    F, Y, Z, _ = make_tasks(0, n_samples=400)
    return F, Y, Z, SparseRotation(**QUICK).fit(F, Y)


@pytest.mark.parametrize("form", ["numbers", "each", "matrices"])
def test_equals_fit_on_the_rows(data, form):
    F, Y, _, expected = data
    coef, errors, covariance = _least_squares(F, Y)
    stderr = {
        "numbers": np.sqrt(errors[:, 0, 0] / np.linalg.inv(covariance)[0, 0]),
        "each": np.sqrt(errors.diagonal(axis1=1, axis2=2)),
        "matrices": errors,
    }[form]
    model = SparseRotation(**QUICK)
    assert model.fit_heads(coef, stderr=stderr, feature_covariance=covariance) is model
    _assert_equal(model, expected)
    np.testing.assert_allclose(model.transform(F - F.mean(0)), expected.transform(F), atol=1e-8)


def test_rows_alone_tell_the_errors_of_targets_of_unit_variance(data):
    F, Y, _, _ = data
    Y = Y / Y.std(0)
    coef, _, covariance = _least_squares(F, Y)
    # searches of folds end early: with other numbers of starts rounding decides where
    settings = {**QUICK, "n_init": 12}
    model = SparseRotation(**settings)
    model.fit_heads(coef, n_samples=len(F), feature_covariance=covariance)
    _assert_equal(model, SparseRotation(**settings).fit(F, Y))


def test_structure_and_covariance_are_those_of_the_components(data):
    F, Y, _, model = data
    Z = model.transform(F)
    np.testing.assert_allclose(np.cov(Z.T, bias=True), model.component_covariance_, atol=1e-9)
    np.testing.assert_allclose(model.component_covariance_.diagonal(), 1)
    np.testing.assert_allclose(model.structure_, model.coef_ @ model.component_covariance_)
    # heads without zeros would have the covariances of targets and components exactly
    covariances = (Y - Y.mean(0)).T @ Z / len(Z)
    assert np.abs(model.structure_ - covariances).max() < 0.1 * np.abs(covariances).max()


@pytest.mark.filterwarnings(DOUBT)
def test_loadings_go_both_ways():
    rng = np.random.default_rng(0)
    pattern = np.kron(np.eye(3), np.ones((4, 1))) * rng.uniform(0.5, 0.9, (12, 1))
    mixing = np.linalg.cholesky(0.6 * np.eye(3) + 0.4)
    loadings = pattern @ mixing
    model = SparseRotation(**QUICK).fit_heads(loadings)
    order = np.abs(model.coef_).argmax(0) // 4
    np.testing.assert_allclose(model.coef_, pattern[:, order], atol=1e-6)
    np.testing.assert_allclose(
        model.component_covariance_, (mixing @ mixing.T)[np.ix_(order, order)], atol=1e-6
    )
    np.testing.assert_allclose(model.coef_features_, loadings, atol=1e-6)
    F = rng.standard_normal((7, 3))
    np.testing.assert_allclose(model.inverse_transform(model.transform(F)), F, atol=1e-9)
    assert not model.intercept_.any()


@pytest.mark.filterwarnings(DOUBT)
def test_errors_that_differ_by_entry_are_used():
    _, _, Z, W = make_tasks(1, n_samples=3000, correlation=0.5)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    F, coef = Z @ turn, W @ turn
    covariance = np.cov(F.T)
    stderr = 0.005 * np.ones_like(coef)
    stderr[np.arange(len(coef)), rng.integers(4, size=len(coef))] = 0.3
    noisy = coef + stderr * rng.standard_normal(coef.shape)
    errors = np.square(stderr)[:, :, None] * np.eye(4)
    given = {"feature_covariance": covariance}
    each = SparseRotation(**QUICK).fit_heads(noisy, stderr=errors, **given)
    mean = np.sqrt(np.square(stderr).mean(1) / np.linalg.inv(covariance).diagonal().mean())
    one = SparseRotation(**QUICK).fit_heads(noisy, stderr=mean, **given)
    missed = [1 - match(Z, model.transform(F))[0] for model in (each, one)]
    assert missed[0] < 5e-3
    assert missed[0] < 0.3 * missed[1]
    # refitted heads weigh coefficients by their errors
    for t in range(0, 60, 7):
        used, weight = each.support_[t], np.linalg.inv(errors[t])
        design = each.rotation_[used]
        expected = np.linalg.solve(design @ weight @ design.T, design @ weight @ noisy[t])
        np.testing.assert_allclose(each.coef_[t, used], expected, rtol=1e-6)


@pytest.mark.filterwarnings(DOUBT)
def test_heads_of_counts_with_their_information_find_the_latents():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((800, 3))
    latents = latents + rng.standard_normal((800, 1))  # correlated
    heads = 0.3 * rng.standard_normal((40, 3)) * (rng.random((40, 3)) < 0.5)
    F = latents @ rng.standard_normal((3, 3))
    counts = rng.poisson(np.exp(1 + latents @ heads.T))
    columns, coef, errors = np.column_stack([np.ones(800), F]), [], []
    for count in counts.T:
        model = PoissonRegressor(alpha=0, solver="newton-cholesky").fit(F, count)
        coef.append(model.coef_)
        information = (columns.T * model.predict(F)) @ columns
        errors.append(np.linalg.inv(information)[1:, 1:])
    rotation = SparseRotation(3, random_state=0)
    rotation.fit_heads(coef, stderr=errors, feature_covariance=np.cov(F.T))
    assert match(latents, rotation.transform(F))[0] > 0.995


def test_names_come_from_data_frames():
    heads = pd.DataFrame(np.eye(3)[[0, 0, 1, 1, 2, 2] * 2], columns=["f", "g", "h"])
    assert SparseRotation(**QUICK).fit_heads(heads).tasks_.tolist() == list(range(12))
    heads.index = [f"item {i}" for i in range(12)]
    model = SparseRotation(**QUICK).fit_heads(heads)
    assert model.tasks_.tolist() == heads.index.tolist()
    assert model.feature_names_in_.tolist() == ["f", "g", "h"]
    assert model.get_feature_names_out().tolist() == [f"sparserotation{i}" for i in range(3)]


HEADS = np.eye(2)[[0, 1, 0, 1, 0]]
NEGATIVE = np.array([[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stderr": np.ones(4)}, r"stderr must have shape \(5,\).* got \(4,\)"),
        ({"stderr": np.ones((2, 5))}, r"\(5, 2\), that of coef, or \(5, 2, 2\).* got \(2, 5\)"),
        ({"stderr": -np.ones(5)}, "stderr of shape .* must be nonnegative"),
        ({"stderr": np.zeros((5, 2))}, "stderr of shape .* must be positive"),
        ({"stderr": np.full(5, np.nan)}, "stderr contains NaN"),
        ({"stderr": np.array([NEGATIVE] * 5)}, r"stderr\[0\] must be .* negative eigenvalue -1"),
        ({"feature_covariance": np.eye(3)}, r"feature_covariance must have shape \(2, 2\)"),
        ({"feature_covariance": NEGATIVE}, "feature_covariance must be .* negative eigenvalue"),
        ({"feature_covariance": np.ones((2, 2))}, "of full rank, but its least eigenvalue"),
        ({"feature_covariance": [[1.0, 0.5], [0.4, 1.0]]}, "which is symmetric, but"),
        ({"n_samples": 3}, "n_samples must be at least 4, got 3"),
        ({"n_samples": 50, "feature_covariance": 2 * np.eye(2)}, "5 of 5 heads explain more"),
    ],
)
def test_refuses_what_is_no_error_and_no_covariance(arguments, message):
    model = SparseRotation(**QUICK)
    with pytest.raises(ValueError, match=message):
        model.fit_heads(HEADS, **arguments)
    assert not hasattr(model, "n_features_in_")


def test_a_number_of_rows_is_a_number():
    with pytest.raises(TypeError, match="n_samples must be a number of rows, got 'many'"):
        SparseRotation().fit_heads(HEADS, n_samples="many")


def test_more_components_than_features_are_refused():
    with pytest.raises(ValueError, match="must not exceed the number of features, 2"):
        SparseRotation(3).fit_heads(HEADS)


@pytest.mark.filterwarnings(DOUBT)
def test_rows_do_not_join_heads():
    model = SparseRotation(**QUICK).fit_heads(np.eye(2)[[0, 1] * 6])
    with pytest.raises(ValueError, match="was fitted to tasks with rows of their own, or to heads"):
        model.partial_fit(np.eye(2), np.eye(2))


def test_auto_takes_as_many_components_as_the_heads_use(data):
    F, Y, _, expected = data
    wide = np.column_stack([F, np.random.default_rng(0).standard_normal((len(F), 3))])
    assert SparseRotation("auto", **QUICK).fit(wide, Y).rotation_.shape == (4, 7)
    auto = SparseRotation("auto", **QUICK).fit(F, Y)
    np.testing.assert_array_equal(auto.rotation_, expected.rotation_)


def _nearly_sparse(seed, leak, n_tasks=25, m=5):
    """True heads on components of correlation .5, and estimates from two samples on others."""
    rng = np.random.default_rng(seed)
    W = leak * rng.standard_normal((n_tasks, m))
    W[np.arange(n_tasks), np.arange(n_tasks) % m] = rng.uniform(0.5, 1, n_tasks)
    white = W @ np.linalg.cholesky(np.full((m, m), 0.5) + 0.5 * np.eye(m))
    return W, [white + 0.02 * rng.standard_normal(white.shape) for _ in range(2)]


def _congruence(A, B):
    found = np.abs((A / np.linalg.norm(A, axis=0)).T @ (B / np.linalg.norm(B, axis=0)))
    return np.median(found[linear_sum_assignment(-found)])


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@pytest.mark.parametrize("seed", range(2))
def test_averages_over_supports_are_nearer_and_steadier_where_heads_are_nearly_sparse(seed):
    W, samples = _nearly_sparse(seed, 0.2)
    one, two = (
        SparseRotation(random_state=0).fit_heads(coef, stderr=np.full(25, 0.02)) for coef in samples
    )
    means = one.coef_average_, two.coef_average_
    assert _congruence(*means) > _congruence(one.coef_, two.coef_)
    assert _congruence(means[0], W) > _congruence(one.coef_, W) + 0.01


def test_averages_over_supports_are_the_heads_where_zeros_are_exact():
    W, samples = _nearly_sparse(0, 0.0)
    model = SparseRotation(random_state=0).fit_heads(samples[0], stderr=np.full(25, 0.02))
    assert np.abs(model.coef_average_ - model.coef_).max() < 0.05
    assert _congruence(model.coef_average_, W) > 0.999
    few = SparseRotation(3, random_state=0)
    with pytest.warns(UserWarning, match="only the 3 components"):
        few.fit_heads(samples[0], stderr=np.full(25, 0.02))
    assert few.coef_average_.shape == (25, 3)
