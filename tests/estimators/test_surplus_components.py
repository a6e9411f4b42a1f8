"""More components than the rows have independent directions: the surplus is zero, and said."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation

SAID = {
    "l0": r"components \[3, 4, 5\] are constant zero, as the features have rank 3",
    "l1": r"rank of X, 3, .* components \[3, 4, 5\] are constant zero\. Set n_components=3",
}


def model(penalty, **parameters):
    defaults = {"n_components": 6, "encoder": "linear", "max_iter": 10, "random_state": 0}
    return SparseDisentangledRepresentation(penalty=penalty, **{**defaults, **parameters})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 3))
    W = rng.standard_normal((40, 3)) * (rng.random((40, 3)) < 0.5)
    return Z @ rng.standard_normal((3, 8)), Z @ W.T + 0.1 * rng.standard_normal((300, 40))


def assert_zero(fitted, X):
    """Of rows that were seen, of one alone and of others, the last three components are zero."""
    Z = fitted.transform(X)
    assert (Z[:, 3:] == 0).all()
    assert (fitted.transform(10 * X + 1)[:, 3:] == 0).all()
    one = np.vstack([fitted.transform(X[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(one, Z[:5], atol=100 * np.finfo(X.dtype).eps)
    np.testing.assert_allclose(Z[:, :3].std(0), 1, rtol=1e-3)
    assert (fitted.coef_[:, 3:] == 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [8, 3])
@pytest.mark.parametrize("penalty", ["l0", "l1", "l2", "mcp"])
def test_of_a_linear_encoder(data, penalty, columns, dtype):
    X, Y = data[0][:, :columns].astype(dtype), data[1]
    with pytest.warns(UserWarning, match=SAID["l0" if penalty == "l0" else "l1"]):
        fitted = model(penalty).fit(X, Y)
    assert_zero(fitted, X)
    assert fitted.score(X, Y) > 0.8
    if penalty == "l0":
        assert "constant zero" in fitted.confidence_.problems[0]
        assert fitted.confidence_.identified.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_of_a_rotation(data, dtype):
    X, Y = data[0].astype(dtype), data[1]
    with pytest.warns(UserWarning, match=SAID["l0"]):
        fitted = SparseRotation(6, random_state=0).fit(X, Y)
    assert_zero(fitted, X)
    assert (fitted.rotation_[3:] == 0).all()
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), X, atol=1e-5)


@pytest.mark.parametrize("missing_labels", [False, True])
@pytest.mark.parametrize("estimator", [SparseRotation(6), model("l0"), model("l1")])
def test_of_constant_rows(data, estimator, missing_labels):
    Y = np.where(np.eye(300, 40, dtype=bool), np.nan, data[1]) if missing_labels else data[1]
    X = np.full((300, 6), 3.0)
    said = r"components \[0, 1, 2, 3, 4, 5\] are constant zero"
    with pytest.warns(UserWarning, match=said) as record:
        fitted = clone(estimator).fit(X, Y)
    assert len(record) == 1
    assert (fitted.transform(X) == 0).all()
    np.testing.assert_allclose(fitted.intercept_, np.nanmean(Y, axis=0))
    assert (fitted.coef_ == 0).all()


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@pytest.mark.parametrize("penalty", ["l0", "l1"])
def test_the_first_rows_of_partial_fit_do_not_decide_the_rank(data, penalty):
    X, Y = data
    fitted = model(penalty, n_components=3).partial_fit(X[:3], Y[:3])
    for _ in range(3):
        fitted.partial_fit(X, Y)
    assert np.linalg.matrix_rank(fitted.transform(X), tol=1e-3) == 3
    assert fitted.score(X, Y) > 0.6


def test_an_mlp_has_more_components_than_columns(data):
    X, Y = data
    fitted = model("l1", encoder="mlp", hidden_layer_sizes=(10,)).fit(X[:, :3], Y)
    assert (fitted.transform(X[:, :3]).std(0) > 0.9).all()


def test_tasks_that_share_no_component_are_said_to():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 6))
    Y = X @ random.normal(size=(6, 2)) + 0.1 * random.normal(size=(300, 2))
    model = SparseDisentangledRepresentation(random_state=0)
    with pytest.warns(UserWarning, match="No component is used by two of the 2 tasks"):
        model.fit(X, Y)
    assert (model.support_.sum(axis=0) <= 1).all()
    with warnings.catch_warnings():  # nor of new tasks, which are few as a rule
        warnings.simplefilter("error")
        model.adapt(X[:50], Y[:50])
