"""Intervals of targets, from rows that no training has seen."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._residuals import HeldOutResiduals, factor_of
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets


@pytest.fixture(scope="module")
def data():
    drawn = make_sparse_multitask(900, 14, n_latents=3, n_features=6, random_state=0)
    noise = np.random.default_rng(0).laplace(size=drawn.Y.shape)
    drawn.Y = (drawn.Y / drawn.Y.std(0) + noise) * np.arange(1, 15)
    return drawn


def model(encoder="linear", **parameters):
    fixed = {"max_iter": 60, "random_state": 0}
    return SparseDisentangledRepresentation(3, encoder=encoder, **{**fixed, **parameters})


@pytest.mark.parametrize("encoder", ["linear", "mlp", Ridge()])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_labels_lie_in_their_intervals_as_often_as_asked_for(data, encoder, level):
    fitted = model(encoder).fit(data.X[:300], data.Y[:300, :12])
    predicted, ends = fitted.predict_interval(data.X[300:], confidence_level=level)
    np.testing.assert_array_equal(predicted, fitted.predict(data.X[300:]))
    inside = (ends[..., 0] <= data.Y[300:, :12]) & (data.Y[300:, :12] <= ends[..., 1])
    assert inside.mean() == pytest.approx(level, abs=0.04)
    task = np.arange(600) % 12
    np.testing.assert_allclose(
        fitted.predict_interval(data.X[300:], confidence_level=level, task_id=task)[1],
        ends[np.arange(600), task],
    )


def test_intervals_of_new_tasks_are_those_of_normal_targets(data):
    new = model().fit(data.X[:300], data.Y[:300, :12]).adapt(data.X[:40], data.Y[:40, 12:])
    predicted, std = new.predict(data.X[300:], return_std=True)
    ends = new.predict_interval(data.X[300:], confidence_level=0.95)[1]
    np.testing.assert_allclose(ends[..., 1], predicted + 1.959964 * std, rtol=1e-6)


def test_one_target_in_one_dimension(data):
    fitted = model().fit(data.X[:200], data.Y[:200, 0])
    predicted, ends = fitted.predict_interval(data.X[:5])
    assert (predicted.shape, ends.shape) == ((5,), (5, 2))
    assert fitted.predict(data.X[:5], return_std=True)[1].shape == (5,)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n", [3, 10])
def test_few_residuals_of_a_task_make_up_for_the_error_of_its_scale(n, missing):
    random = np.random.default_rng(0)
    scale = np.exp(0.5 * random.normal(size=800))
    residual = torch.from_numpy(scale * random.normal(size=(n, 800)))
    values = DenseTargets(residual)
    if missing:
        values = values.observed()
        assert isinstance(values, ObservedTargets)
    found = HeldOutResiduals.of(values.value, values, np.ones(800, dtype=bool))
    new = scale * random.normal(size=(1000, 800))
    for level in (0.5, 0.9):
        inside = np.abs(new) < factor_of(found.quantiles, level) * found.std
        assert inside.mean() == pytest.approx(level, abs=0.03)


def test_what_has_no_interval_is_refused(data):
    labels = (data.Y[:200] > 0).astype(float)
    fitted = model(loss="logistic", max_iter=3).fit(data.X[:200], labels)
    with pytest.raises(ValueError, match=r"Labels 0 and 1 have no interval, and task 0 has such"):
        fitted.predict_interval(data.X)
    fitted = model(early_stopping=False, max_iter=3).fit(data.X[:200], data.Y[:200])
    with pytest.raises(ValueError, match="these heads have no distribution"):
        fitted.predict_interval(data.X)
    with pytest.raises(ValueError, match="confidence_level must be"):
        fitted.predict_interval(data.X, confidence_level=90)
