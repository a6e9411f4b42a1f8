"""Rows far from the others: whether a linear model goes on along its line there."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.estimators import _encoder_training
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._far_rows import goes_on_linearly
from sklearn_sparsedis.training._start import start_linear_path


def heavy_tails(n, seed=0):
    """Rows of which a tenth lies far out, and targets of the linear model but for noise."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 5)) * np.where(np.arange(n) % 10, 1.0, 8.0)[:, None]
    Y = X @ random.normal(size=(5, 6))
    return X, Y, random.normal(size=Y.shape)


def linear_encoder(X, Y):
    """The start of a linear encoder, and its table."""
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    table = TaskTable(X, DenseTargets(Y))
    encoder = Encoder(LinearNetwork(5, 3).double(), X.mean(0), X.std(0), 3)
    start_linear_path(encoder, table, seed=0)
    encoder.calibrate(encoder.raw(X))
    return encoder.eval(), table


@pytest.mark.parametrize("bent", [False, True])
def test_far_rows_tell_a_line_from_what_ends(bent):
    X, Y, noise = heavy_tails(200)
    Y = 3 * np.tanh(Y / 3) if bent else Y
    assert goes_on_linearly(*linear_encoder(X, Y + 0.5 * noise)) != bent


def test_no_row_beyond_the_others_decides_nothing():
    X, Y, noise = heavy_tails(200)
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert not goes_on_linearly(*linear_encoder(X, 0 * Y + noise))
    assert not goes_on_linearly(*linear_encoder(X[:4], Y[:4]))


@pytest.mark.parametrize("free", [False, True])
def test_a_network_that_is_as_at_its_start_is_free_where_far_rows_follow_it(monkeypatch, free):
    monkeypatch.setattr(_encoder_training, "goes_on_linearly", lambda *_: free)
    random = np.random.default_rng(0)
    X, noise = random.normal(size=(150, 80)), random.normal(size=(150, 12))
    Y = X @ random.normal(size=(80, 2)) @ random.normal(size=(2, 12)) / 10 + noise
    model = SparseDisentangledRepresentation(hidden_layer_sizes=(20,), random_state=0).fit(X, Y)
    assert model.n_iter_ == 0
    assert (model.encoder_.reach is None) == free
    before = model.encoder_.reach
    model.partial_fit(X[:20], Y[:20])  # these rows bound no others
    assert model.encoder_.reach is None if free else model.encoder_.reach >= before
