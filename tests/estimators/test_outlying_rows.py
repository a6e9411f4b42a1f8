"""Rows far from those of the fit: a network's components of them are not let loose."""

import numpy as np
import pytest

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.datasets import make_sparse_multitask


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(200, 12, random_state=0)


def fit(data, encoder, rows=slice(None)):
    model = SparseDisentangledRepresentation(4, encoder=encoder, max_iter=20, random_state=0)
    return model.fit(data.X[rows], data.Y[rows])


def lengths(model, X):
    return np.linalg.norm(model.transform(X), axis=1)


def test_components_of_a_network_are_no_longer_than_those_of_the_fit(data, tmp_path):
    model = fit(data, "mlp")
    far = 100 * data.X[:5]
    longest = lengths(model, data.X).max()
    np.testing.assert_allclose(lengths(model, far), longest, rtol=2e-3)
    free = model.encoder_.reach
    model.encoder_.reach = None
    Z = model.transform(far)
    assert (np.linalg.norm(Z, axis=1) > 5 * longest).all()
    before = model.transform(data.X)
    model.encoder_.reach = free
    assert (model.transform(data.X) == before).all()  # rows of the fit are as they were
    shortened = model.transform(far)  # the direction is kept
    scale = np.linalg.norm(shortened, axis=1) / np.linalg.norm(Z, axis=1)
    np.testing.assert_allclose(shortened, Z * scale[:, None], rtol=1e-6)
    save_model(model, tmp_path / "model.safetensors")
    assert (load_model(tmp_path / "model.safetensors").transform(far) == shortened).all()


def test_a_linear_encoder_goes_on_as_it_is(data):
    model = fit(data, "linear")
    centre = model.transform(np.zeros_like(data.X[:5]))
    expected = 100 * (model.transform(data.X[:5]) - centre) + centre
    np.testing.assert_allclose(model.transform(100 * data.X[:5]), expected, rtol=1e-6)


def test_more_rows_reach_further(data):
    near = np.linalg.norm(data.X, axis=1).argsort()[:100]
    model = fit(data, "mlp", near)
    reach = model.encoder_.reach.item()
    model.partial_fit(3 * data.X, data.Y)
    assert model.encoder_.reach.item() > reach
    model.partial_fit(data.X[near[:20]], data.Y[near[:20]])
    assert model.encoder_.reach.item() > reach
