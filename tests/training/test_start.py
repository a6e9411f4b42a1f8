"""Held-out rows, and where the linear path starts."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._start import start_linear_path


def started(X, Y, n_components, weights=None, seed=0):
    n_features = X.shape[1]
    network = ENCODERS["linear"](n_features, n_components).double()
    encoder = Encoder(network, X.mean(0), torch.ones(n_features).double(), n_components)
    table = TaskTable(X, DenseTargets(Y, weights))
    if weights is not None and weights.ndim == 2:
        table = TaskTable(X, ObservedTargets.of_table(Y, weights))
    start_linear_path(encoder, table, seed)
    return encoder(X).detach()


@pytest.fixture
def rows():
    g = torch.Generator().manual_seed(0)
    X = torch.randn(80, 6, generator=g).double()
    Y = X @ torch.randn(6, 2, generator=g).double() @ torch.randn(2, 9, generator=g).double()
    return X, Y


def unexplained(Z, Y):
    Z, Y = Z - Z.mean(0), Y - Y.mean(0)
    left = Y - Z @ torch.linalg.lstsq(Z, Y).solution
    return float(left.square().sum() / Y.square().sum())


def test_the_start_spans_the_best_linear_prediction(rows):
    X, Y = rows
    assert unexplained(started(X, Y, 2), Y) < 1e-6
    assert unexplained(started(X, Y, 1), Y) > 0.01


def test_components_beyond_the_rank_are_directions_of_the_features(rows):
    X, Y = rows
    assert torch.linalg.matrix_rank(started(X, Y, 5)) == 5


@pytest.mark.parametrize(("n", "d", "n_tasks"), [(40, 90, 6), (90, 6, 40)])
def test_more_features_than_rows_and_more_tasks_than_features(n, d, n_tasks):
    g = torch.Generator().manual_seed(0)
    X = torch.randn(n, d, generator=g).double()
    Y = X[:, :2] @ torch.randn(2, n_tasks, generator=g).double()
    # with more features than rows ridge shrinks, which turns the directions a little
    assert unexplained(started(X, Y, 2), Y) < (0.02 if d > n else 1e-4)


def test_missing_labels_are_not_looked_at(rows):
    X, Y = rows
    weights = (torch.rand(Y.shape, generator=torch.Generator().manual_seed(1)) < 0.7).double()
    Z = started(X, torch.where(weights > 0, Y, 0.0), 2, weights)
    assert unexplained(Z, Y) < 1e-4
    np.testing.assert_array_equal(Z, started(X, torch.where(weights > 0, Y, 9.0), 2, weights))


def test_a_row_of_weight_two_is_two_rows(rows):
    X, Y = rows
    noisy = Y + torch.randn(Y.shape, generator=torch.Generator().manual_seed(2)).double()
    twice = torch.cat([X, X[:20]]), torch.cat([noisy, noisy[:20]])
    weights = torch.ones(80).double()
    weights[:20] = 2
    projections = []
    for Z in (started(X, noisy, 2, weights), started(*twice, 2)[:80]):
        Z = Z - Z[:1]
        projections.append(Z @ torch.linalg.pinv(Z))
    np.testing.assert_allclose(projections[0], projections[1], atol=1e-8)
