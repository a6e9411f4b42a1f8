"""SparseRotation.fit_correlation: common factors of a correlation matrix, and their pattern."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import FactorAnalysis

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.basis._factor_analysis import CommonFactors, extract_factors, most_factors

DOUBT = "ignore:Not every component is determined:UserWarning"


def _model(seed, n_factors=3, per_factor=4, correlation=0.4):
    """Pattern, factor correlations, and the correlation matrix of variables."""
    rng = np.random.default_rng(seed)
    pattern = np.kron(np.eye(n_factors), np.ones((per_factor, 1)))
    pattern *= rng.uniform(0.5, 0.9, (len(pattern), 1))
    Phi = (1 - correlation) * np.eye(n_factors) + correlation
    R = pattern @ Phi @ pattern.T
    np.fill_diagonal(R, 1.0)
    return pattern, Phi, R


def test_extraction_is_exact_on_a_correlation_matrix_with_common_factors():
    pattern, Phi, R = _model(0)
    found = extract_factors(R, 3)
    common = found.loadings @ found.loadings.T
    np.testing.assert_allclose(common, pattern @ Phi @ pattern.T, atol=1e-5)
    np.testing.assert_allclose(found.uniqueness, 1 - common.diagonal(), atol=1e-5)


def test_extraction_has_the_likelihood_of_factor_analysis_on_rows():
    _, _, R = _model(1)
    X = np.random.default_rng(0).standard_normal((400, 12)) @ np.linalg.cholesky(R).T
    X = (X - X.mean(0)) / X.std(0)
    reference = FactorAnalysis(3, tol=1e-10, max_iter=10_000, svd_method="lapack").fit(X)
    found = extract_factors(np.corrcoef(X.T), 3)
    covariance = found.loadings @ found.loadings.T + np.diag(found.uniqueness)
    np.testing.assert_allclose(covariance, reference.get_covariance(), atol=1e-4)
    np.testing.assert_allclose(
        X @ found.scores().T @ found.loadings.T,
        reference.transform(X) @ reference.components_,
        atol=1e-3,
    )


def test_errors_of_loadings_are_those_of_samples():
    pattern, Phi, _ = _model(2, n_factors=1, per_factor=6)
    loadings, n = pattern, 500
    factors = CommonFactors(loadings, 1 - np.square(loadings[:, 0]))
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        X = rng.standard_normal((n, 1)) @ loadings.T
        X += rng.standard_normal(X.shape) * np.sqrt(factors.uniqueness)
        L = extract_factors(np.corrcoef(X.T), 1).loadings[:, 0]
        found.append(L * np.sign(L.sum()))
    claimed = np.sqrt(factors.errors(n)[:, 0, 0])
    # standard deviations of 300 draws are known to 4 %; the formula leaves out that the others'
    # loadings are estimated too, and that variables are standardised
    assert (np.abs(np.std(found, axis=0) / claimed - 1) < 0.4).all()


@pytest.mark.parametrize("n_components", ["auto", 3])
def test_pattern_and_factor_correlations_come_back(n_components):
    pattern, Phi, R = _model(3)
    model = SparseRotation(n_init=8, random_state=0).fit_correlation(R, 2000, n_components)
    order = np.abs(model.coef_).argmax(0) // 4
    assert sorted(order) == [0, 1, 2]
    assert (model.support_ == (pattern[:, order] != 0)).all()
    np.testing.assert_allclose(model.coef_, pattern[:, order], atol=0.01)
    np.testing.assert_allclose(model.component_covariance_, Phi[np.ix_(order, order)], atol=0.01)
    np.testing.assert_allclose(model.structure_, model.coef_ @ model.component_covariance_)


def test_scores_of_rows_are_those_of_factor_analysis():
    pattern, Phi, R = _model(4)
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((5000, 3)) @ np.linalg.cholesky(Phi).T
    X = factors @ pattern.T
    X += rng.standard_normal(X.shape) * np.sqrt(1 - (pattern @ Phi * pattern).sum(1))
    X = (X - X.mean(0)) / X.std(0)
    model = SparseRotation(n_init=8, random_state=0).fit_correlation(np.corrcoef(X.T), len(X))
    Z = model.transform(X)
    order = np.abs(model.coef_).argmax(0) // 4
    # as well as twelve variables can tell them: the regression of the factors on the variables
    best = X @ np.linalg.solve(R, pattern @ Phi)
    for j, k in enumerate(order):
        assert np.corrcoef(Z[:, j], best[:, k])[0, 1] > 0.99
    explained = 1 - np.square(X - model.inverse_transform(Z)).mean(0)
    assert (explained > 0.3).all()


def test_variables_have_the_names_of_a_data_frame():
    _, _, R = _model(5)
    names = [f"item {i}" for i in range(12)]
    frame = pd.DataFrame(R, index=names, columns=names)
    model = SparseRotation(n_init=8, random_state=0).fit_correlation(frame, 2000)
    assert model.tasks_.tolist() == model.feature_names_in_.tolist() == names
    unnamed = SparseRotation(n_init=8, random_state=0).fit_correlation(R, 2000)
    assert unnamed.tasks_.tolist() == list(range(12))


@pytest.mark.filterwarnings(DOUBT)
def test_the_parameter_of_the_estimator_says_how_many():
    _, _, R = _model(6)
    model = SparseRotation(2, n_init=8, random_state=0)
    assert model.fit_correlation(R, 2000).coef_.shape == (12, 2)
    assert model.fit_correlation(R, 2000, 3).coef_.shape == (12, 3)


@pytest.mark.parametrize(("p", "most"), [(2, 0), (3, 1), (5, 2), (6, 3), (9, 5)])
def test_as_many_factors_as_the_correlations_determine(p, most):
    assert most_factors(p) == most


BROKEN = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])


@pytest.mark.parametrize(
    ("R", "arguments", "message"),
    [
        (np.ones((3, 4)), (100,), "must be a square correlation matrix, got shape"),
        (2 * np.eye(4), (100,), r"ones on the diagonal, but R\[0, 0\] is 2"),
        (np.triu(np.full((4, 4), 0.5)) + 0.5 * np.eye(4), (100,), "which is symmetric, but"),
        (BROKEN, (100,), "no data have it: it has the negative eigenvalue -0.8"),
        (np.ones((4, 4)), (100,), "of full rank, but its least eigenvalue"),
        (np.eye(9), (100, 6), "n_components=6 must not exceed 5"),
        (np.eye(9), (100, 0), "n_components must be at least 1"),
        (np.eye(2), (100,), "R has 2 variables, but a common factor needs three"),
        (np.eye(9), (9,), "n_samples must be at least 10, got 9"),
    ],
)
def test_refuses_what_is_no_correlation_matrix(R, arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseRotation().fit_correlation(R, *arguments)


@pytest.mark.filterwarnings(DOUBT)
@pytest.mark.parametrize(("name", "n_samples"), [("holzinger_9", 145), ("thurstone", 213)])
def test_ability_tests_are_on_their_own_factors(shared, name, n_samples):
    with open(shared / "data" / "rotation" / f"{name}.csv") as file:
        R = np.array([row[1:] for row in list(csv.reader(file))[1:]], dtype=float)
    model = SparseRotation(random_state=0).fit_correlation(R, n_samples)
    own = np.abs(model.coef_).argmax(1)
    assert (own.reshape(3, 3) == own[::3, None]).all()
    assert len(set(own)) == 3
    truth = own[:, None] == np.arange(3)
    assert 2 * (model.support_ & truth).sum() / (model.support_.sum() + 9) >= 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings(DOUBT)
def test_items_of_a_questionnaire_are_on_their_own_scales(shared):
    with gzip.open(shared / "data" / "rotation" / "bfi.csv.gz", "rt") as file:
        rows = [row[:25] for row in list(csv.reader(file))[1:]]
    X = np.array([row for row in rows if all(row)], dtype=float)
    model = SparseRotation(random_state=0).fit_correlation(np.corrcoef(X.T), len(X))
    own = np.abs(model.coef_).argmax(1)
    assert (own.reshape(5, 5) == own[::5, None]).all()
    assert len(set(own)) == 5
