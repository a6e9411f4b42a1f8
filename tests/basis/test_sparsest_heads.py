"""penalty="l0" and "mcp" of SparseDisentangledRepresentation."""

import pickle

import numpy as np
import pytest
from torch import nn

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import mean_corrcoef_score

DOUBT = "ignore:Not every component is determined:UserWarning"


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(
        1000, 60, n_latents=4, n_features=8, correlation=0.9, random_state=0
    )


def model(**parameters):
    defaults = {"encoder": "linear", "penalty": "l0", "max_iter": 40, "random_state": 0}
    return SparseDisentangledRepresentation(4, **{**defaults, **parameters})


@pytest.fixture(scope="module")
def mcp(data):
    return model(penalty="mcp", max_iter=200).fit(data.X, data.Y)


@pytest.fixture(scope="module")
def stored(data):
    """A fit to all of the data, as bytes, because tests may change what they load."""
    return pickle.dumps(model().fit(data.X, data.Y))


def mcc(fitted, data):
    return mean_corrcoef_score(data.Z, fitted.transform(data.X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correlated_latents_are_recovered(data, dtype):
    X = data.X.astype(dtype)
    fitted = model().fit(X, data.Y)
    Z = fitted.transform(X)
    assert Z.dtype == dtype
    assert mean_corrcoef_score(data.Z, Z) > 0.999
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-4)
    assert fitted.confidence_.identified.all()
    assert fitted.confidence_.n_latents == 4
    assert 2 <= fitted.confidence_.n_found <= fitted.confidence_.n_starts
    assert (fitted.coef_.sum(0) > 0).all()


def test_supports_are_the_true_ones(data, stored):
    fitted = pickle.loads(stored)
    order = np.abs(np.corrcoef(data.Z.T, fitted.transform(data.X).T)[:4, 4:]).argmax(1)
    wrong = (fitted.support_[:, order] != data.support).mean()
    assert wrong < 0.05  # weights near zero cannot be told from zero
    assert (fitted.coef_[~fitted.support_] == 0).all()


def test_alpha_of_the_training_does_not_decide_the_zeros(data):
    weak, strong = (model(alpha=alpha).fit(data.X, data.Y) for alpha in (0.001, 0.2))
    np.testing.assert_array_equal(weak.support_, strong.support_)


@pytest.mark.parametrize(
    "encoder", ["mlp", nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))]
)
def test_other_encoders_pickle(data, encoder):
    fitted = model(encoder=encoder, max_iter=100).fit(data.X, data.Y)
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.predict(data.X), fitted.predict(data.X))
    assert isinstance(fitted.encoder_, nn.Module)
    assert fitted.score(data.X, data.Y) > 0.9


def test_missing_labels_and_the_long_layout(data):
    Y = data.Y.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.7] = np.nan
    wide = model().fit(data.X, Y)
    assert mcc(wide, data) > 0.999
    rows, tasks = np.nonzero(~np.isnan(Y))
    long = model(max_iter=0).fit(data.X[rows], Y[rows, tasks], task_id=tasks)
    assert mcc(long, data) > 0.999
    assert long.score(data.X[rows], Y[rows, tasks], task_id=tasks) > 0.95


def test_adapt_finds_the_supports_of_new_tasks(data):
    fitted = model().fit(data.X, data.Y[:, :50])
    before = fitted.predict(data.X)
    new = fitted.adapt(data.X[:60], data.Y[:60, 50:])
    assert new.encoder_ is fitted.encoder_
    assert new.score(data.X[60:], data.Y[60:, 50:]) > 0.97
    order = np.abs(np.corrcoef(data.Z.T, fitted.transform(data.X).T)[:4, 4:]).argmax(1)
    assert (new.support_[:, order] == data.support[50:]).mean() > 0.7
    np.testing.assert_array_equal(fitted.predict(data.X), before)


@pytest.mark.filterwarnings(DOUBT)
def test_partial_fit_keeps_the_basis_where_rows_determine_none(data, stored):
    fitted = pickle.loads(stored)
    few = pickle.loads(stored).partial_fit(data.X, data.Y[:, :3])
    assert mcc(few, data) > 0.99
    assert few.coef_.shape == (3, 4)
    more = fitted.partial_fit(data.X, data.Y)
    assert mcc(more, data) > 0.999


@pytest.mark.parametrize("penalty", ["l0", "mcp"])
def test_restarts_and_warm_starts(data, penalty):
    fitted = model(penalty=penalty, n_init=2, max_iter=20, warm_start=True).fit(data.X, data.Y)
    first = fitted.encoder_
    assert fitted.fit(data.X, data.Y).encoder_ is not first
    assert fitted.score(data.X, data.Y) > 0.9


def test_too_few_tasks_are_said(data):
    with pytest.warns(UserWarning, match="no more tasks than directions"):
        fitted = model().fit(data.X, data.Y[:, :3])
    assert not fitted.confidence_.identified.any()
    assert fitted.score(data.X, data.Y[:, :3]) > 0.95


def test_equal_heads_are_said(data):
    Y = np.repeat(data.Y[:, :1], 20, axis=1)
    with pytest.warns(UserWarning, match="use 1 directions of the features beyond their errors"):
        fitted = model().fit(data.X, Y)
    assert fitted.confidence_.identified.sum() <= 1


@pytest.mark.parametrize("encoder", ["linear", "mlp"])
@pytest.mark.parametrize("law", ["uniform", "laplace"])
def test_dense_heads_are_resolved_by_laws_that_are_not_normal(encoder, law):
    dense = make_sparse_multitask(
        2000, 30, 4, 8, support_prob=0.8, latent_distribution=law, random_state=0
    )
    fitted = model(encoder=encoder).fit(dense.X, dense.Y)
    assert mcc(fitted, dense) > 0.99
    assert fitted.confidence_.identified.all()
    assert "non-Gaussianity" in fitted.confidence_.identified_by
    assert not fitted.confidence_.problems
    # of which the rows of one call know too little
    passed = model(encoder=encoder)
    with pytest.warns(UserWarning, match="Not every component is determined"):
        passed.partial_fit(dense.X, dense.Y)
    assert "non-Gaussianity" not in passed.confidence_.identified_by


def test_dense_heads_of_normal_latents_are_said_to_be_open():
    dense = make_sparse_multitask(2000, 30, 4, 8, support_prob=0.8, random_state=0)
    with pytest.warns(UserWarning, match="fit heads without zeros as well"):
        fitted = model().fit(dense.X, dense.Y)
    assert "non-Gaussianity" not in fitted.confidence_.identified_by


def test_zero_heads_are_said(data):
    noise = np.random.default_rng(0).normal(size=(1000, 20))
    with pytest.warns(UserWarning, match="use 0 directions of the features beyond their errors"):
        fitted = model().fit(data.X, noise)
    assert not fitted.confidence_.identified.any()
    assert fitted.support_.mean() < 0.2
    with pytest.warns(UserWarning, match="use 0 directions"):
        constant = model(early_stopping=False).fit(data.X, np.ones((1000, 20)))
    np.testing.assert_allclose(constant.predict(data.X), 1)


def test_constant_features_are_harmless(data):
    X = np.c_[data.X, np.full(1000, 3.0)]
    assert mean_corrcoef_score(data.Z, model().fit(X, data.Y).transform(X)) > 0.999
    with pytest.warns(UserWarning, match="use 0 directions"):
        fitted = model().fit(np.ones((1000, 3)), data.Y)
    assert np.isfinite(fitted.predict(np.ones((5, 3)))).all()


def test_too_few_rows_are_said(data):
    with pytest.warns(UserWarning, match="too few rows for a head"):
        fitted = model().fit(data.X[:5], data.Y[:5])
    assert np.isfinite(fitted.predict(data.X)).all()


def test_more_components_than_latents_are_said(data):
    with pytest.warns(UserWarning, match="use 4 directions of the features beyond their errors, 6"):
        fitted = model().set_params(n_components=6).fit(data.X, data.Y)
    assert mcc(fitted, data) > 0.999
    assert fitted.confidence_.identified.sum() == 4


def test_confidence_goes_with_the_basis(data, stored):
    fitted = pickle.loads(stored)
    assert fitted.set_params(penalty="l2").fit(data.X, data.Y).confidence_ is None


def test_mcp_heads_are_sparser_than_the_lassos(data, mcp):
    l1 = model(penalty="l1", max_iter=200).fit(data.X, data.Y)
    assert mcp.support_.mean() < l1.support_.mean() + 0.05
    assert mcp.score(data.X, data.Y) > l1.score(data.X, data.Y)
    assert (mcp.dual_gap_ <= mcp.tol).all()


def test_early_stopping_keeps_no_encoder_of_the_schedule(data):
    fitted = model(penalty="mcp", max_iter=100, n_iter_no_change=1).fit(data.X, data.Y)
    assert fitted.n_iter_ >= 80


@pytest.mark.parametrize("missing_labels", [False, True])
@pytest.mark.parametrize("n_components", [2, 3])
def test_missing_latents_are_said(data, n_components, missing_labels):
    Y = data.Y.copy()
    if missing_labels:
        Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    fitted = model().set_params(n_components=n_components)
    n_missing = {2: "2 directions", 3: "1 direction"}[n_components]
    with pytest.warns(UserWarning, match=f"through {n_missing} that no component carries"):
        fitted.fit(data.X, Y)


@pytest.mark.filterwarnings(DOUBT)
def test_no_latents_are_missing_where_targets_share_their_noise(data):
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((len(data.X), 2)) @ rng.standard_normal((2, data.Y.shape[1]))
    fitted = model().fit(data.X, data.Y + shared)
    assert not any("no component carries" in problem for problem in fitted.confidence_.problems)


def test_mcp_is_not_caught_in_the_local_minima_of_correlated_latents(data, mcp):
    assert mcc(mcp, data) > 0.99
