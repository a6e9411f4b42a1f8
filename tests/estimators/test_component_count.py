"""n_components="auto" with penalty="l0": as many as heads use directions beyond their errors."""

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation

pytestmark = pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
N_LATENTS = 4
LINEAR = SparseDisentangledRepresentation(
    "auto", encoder="linear", penalty="l0", max_iter=100, random_state=0
)
MLP = clone(LINEAR).set_params(encoder="mlp")


def draw(n, d, *, noise=0.3, bent=False, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, N_LATENTS))
    signal = Z @ (rng.standard_normal((40, N_LATENTS)) * (rng.random((40, N_LATENTS)) < 0.5)).T
    Y = signal + noise * signal.std(axis=0) * rng.standard_normal(signal.shape)
    X = np.hstack([Z, rng.standard_normal((n, max(d - N_LATENTS, 0)))])
    for _ in range(2):
        X = X @ np.linalg.qr(rng.standard_normal((X.shape[1], X.shape[1])))[0]
        X = np.where(X > 0, X, 0.3 * X) if bent else X
    return X, Y


@pytest.mark.parametrize(
    ("n", "d", "noise"), [(600, 12, 0.3), (600, 60, 1.0), (300, 400, 0.3)], ids=str
)
def test_of_a_linear_encoder_it_is_that_of_a_rotation(n, d, noise):
    X, Y = draw(n, d, noise=noise)
    rotation = SparseRotation("auto", random_state=0).fit(X, Y)
    fitted = clone(LINEAR).fit(X, Y)
    assert fitted.transform(X).shape[1] == rotation.n_latents_ == N_LATENTS


@pytest.mark.parametrize("early_stopping", ["auto", False])
def test_of_a_network_it_is_that_of_heads_that_fit_no_noise(early_stopping):
    X, Y = draw(500, 10, bent=True)
    fitted = clone(MLP).set_params(early_stopping=early_stopping, max_iter=400).fit(X, Y)
    assert fitted.transform(X).shape[1] == N_LATENTS


@pytest.mark.parametrize("estimator", [LINEAR, MLP], ids=["linear", "mlp"])
def test_it_gives_what_the_number_gives(estimator):
    X, Y = draw(400, 10)
    counted = clone(estimator).fit(X, Y)
    given = clone(estimator).set_params(n_components=N_LATENTS).fit(X, Y)
    np.testing.assert_array_equal(counted.coef_, given.coef_)
    assert "no component carries" not in str(counted.confidence_.problems)
    few = clone(estimator).set_params(n_components=N_LATENTS - 1)
    with pytest.warns(UserWarning, match="1 direction that no component carries"):
        few.fit(X, Y)


def test_noise_gets_one_component_that_is_said_to_be_arbitrary():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((300, 6)), rng.standard_normal((300, 10))
    with pytest.warns(UserWarning, match="the heads use 0 directions"):
        fitted = clone(LINEAR).fit(X, Y)
    assert fitted.coef_.shape == (10, 1)


def test_missing_labels_and_rows_in_a_file(tmp_path):
    X, Y = draw(600, 12)
    Y = np.where(np.random.default_rng(1).random(Y.shape) < 0.3, np.nan, Y)
    stored = np.memmap(tmp_path / "X", dtype=np.float64, mode="w+", shape=X.shape)
    stored[:] = X
    assert clone(LINEAR).fit(stored, Y).coef_.shape == (40, N_LATENTS)


def test_going_on_keeps_the_number():
    X, Y = draw(300, 8)
    fitted = clone(LINEAR).set_params(warm_start=True).fit(X, Y)
    fitted.partial_fit(X[:200, :], Y[:200])
    assert fitted.fit(X, Y[:, :2]).coef_.shape == (2, N_LATENTS)
    with pytest.raises(ValueError, match="partial_fit gets some: call fit first"):
        clone(LINEAR).partial_fit(X, Y)


def test_callbacks_see_one_training():
    class Count(Callback):
        n_trainings = 0

        def on_train_begin(self, *_, **__):
            Count.n_trainings += 1

    X, Y = draw(300, 8)
    clone(MLP).set_params(max_iter=10, callbacks=[Count()]).fit(X, Y)
    assert Count.n_trainings == 1


def test_a_module_has_a_number_of_its_own():
    X, Y = draw(100, 8)
    with pytest.raises(ValueError, match="encoder is a module with one number: give a callable"):
        clone(LINEAR).set_params(encoder=nn.Linear(8, 4)).fit(X, Y)
    made = clone(LINEAR).set_params(encoder=nn.Linear, max_iter=200).fit(X, Y)
    assert made.transform(X).shape[1] == N_LATENTS
