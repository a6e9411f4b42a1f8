"""What held-out labels say of a training, beside ridge regression."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators import _encoder_training, _one_training
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training import _judge, _row_errors
from sklearn_sparsedis.training._judge import SHARES
from sklearn_sparsedis.training._start import predict_linearly


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def few_rows(n=150, d=80, n_tasks=5, noise=2.0):
    """A linear table with many features for its rows, and other rows of it."""
    X, coef = normal(2 * n, d), normal(d, 2, seed=1) @ normal(2, n_tasks, seed=2)
    Y = X @ coef
    Y += noise * Y.std(0) * normal(*Y.shape, seed=3)
    return X[:n], Y[:n], X[n:], Y[n:]


def encoder_for(X, n_components=2):
    network = ENCODERS["linear"](X.shape[1], n_components).double()
    return Encoder(network, X.mean(0), X.std(0), n_components)


def test_ridge_predictions_are_of_each_task_on_its_own_rows():
    X = torch.from_numpy(normal(90, 4))
    Y = X @ torch.from_numpy(normal(4, 3, seed=1)) + 5
    seen = torch.ones(90, 3).double()
    seen[:30, 1] = 0
    observed = ObservedTargets.of_table(torch.where(seen > 0, Y, 0.0), seen)
    tables = [TaskTable(X, DenseTargets(Y)), TaskTable(X, observed)]
    for table in tables:
        first, other = predict_linearly(encoder_for(X), table, [tables[0]])
        torch.testing.assert_close(first.Y.value, table.Y.value, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(other.Y.value, Y, rtol=1e-3, atol=1e-3)


@pytest.fixture
def judged(monkeypatch):
    """Judges of the fits of a test, with the losses they gave."""
    seen = []

    class Judge(_judge.LinearJudge):
        def __call__(self, objective):
            loss = super().__call__(objective)
            seen.append((self, loss, objective.held_out_loss(self.table, self.held_out)))
            return loss

    monkeypatch.setattr(_one_training, "LinearJudge", Judge)
    monkeypatch.setattr(_judge, "LinearJudge", Judge)
    return seen


@pytest.mark.parametrize("missing", [False, True])
def test_the_path_ends_at_the_loss_of_heads_of_labels(judged, missing):
    X, Y, *_ = few_rows(d=10)
    if missing:
        Y[:50, 0] = np.nan
    SparseDisentangledRepresentation(2, encoder="linear", max_iter=4, random_state=0).fit(X, Y)
    assert len(judged) > 2
    for k, (judge, loss, own) in enumerate(judged):
        assert len(judge._errors[k]) == len(SHARES)
        assert loss == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize(
    ("encoder", "n", "d"), [("linear", 150, 80), ("mlp", 150, 80), ("mlp", 40, 8)]
)
def test_where_training_fits_noise_predictions_are_those_of_ridge_regression(encoder, n, d):
    X, Y, X_new, Y_new = few_rows(n, d)
    model = SparseDisentangledRepresentation(
        encoder=encoder, hidden_layer_sizes=(20,), random_state=0
    )
    model.fit(X, Y)
    ridge = RidgeCV(np.logspace(-2, 5, 20)).fit(X, Y)
    assert len(model.loss_curve_) <= min(_encoder_training.SHORT)
    assert r2_score(Y_new, model.predict(X_new)) > r2_score(Y_new, ridge.predict(X_new)) - 0.02


def test_a_table_that_is_not_linear_is_trained_on():
    X = normal(600, 3)
    Y = np.sin(2 * X) @ normal(3, 6, seed=1)
    model = SparseDisentangledRepresentation(
        3, hidden_layer_sizes=(30,), max_iter=500, random_state=0
    )
    model.fit(X[:300], Y[:300])
    assert model.n_iter_ > min(_encoder_training.SHORT)
    assert model.score(X[300:], Y[300:]) > 0.8


def test_a_training_that_only_hurts_ends_before_its_schedule_does():
    X, Y, *_ = few_rows(150, 80)
    model = SparseDisentangledRepresentation(hidden_layer_sizes=(20,), random_state=0).fit(X, Y)
    assert len(model.loss_curve_) < min(_encoder_training.SHORT)


def test_a_rise_within_its_error_is_none():
    rows = torch.from_numpy(normal(100)).square()
    assert not _row_errors.exceeds(rows.flip(0), rows)
    assert _row_errors.exceeds(rows + 0.5, rows)


def test_copies_of_rows_are_no_rows_to_hold_out():
    X, Y, *_ = few_rows(15, 4, noise=0.1)
    model = SparseDisentangledRepresentation(2, encoder="linear", max_iter=3, random_state=0)
    assert len(model.fit(np.tile(X, (4, 1)), np.tile(Y, (4, 1))).validation_loss_curve_) == 0


@pytest.mark.parametrize("dense", [False, True])
def test_a_basis_is_taken_only_where_its_heads_have_a_lower_objective(monkeypatch, dense):
    data = make_sparse_multitask(300, 40, n_latents=3, n_features=6, random_state=0)
    find = _encoder_training.find_sparsest_basis
    mix = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])

    def found(*args, **options):
        basis = find(*args, **options)
        return replace(basis, matrix=mix @ basis.matrix) if dense else basis

    monkeypatch.setattr(_encoder_training, "find_sparsest_basis", found)
    model = SparseDisentangledRepresentation(3, encoder="linear", max_iter=3, random_state=0)
    assert (model.fit(data.X, data.Y).encoder_.rotation is None) == dense


@pytest.mark.parametrize(("noise", "kept"), [(0.1, False), (0.5, True)])
def test_of_few_rows_ridge_regression_is_kept_where_there_is_noise(monkeypatch, noise, kept):
    told, together = [], _encoder_training.judge_together

    def listening(judges, *, hurts):
        told.append((len(judges), together(judges, hurts=False)["as_at_start"]))
        return together(judges, hurts=hurts)

    monkeypatch.setattr(_encoder_training, "judge_together", listening)
    data = make_sparse_multitask(60, 20, n_latents=3, n_features=8, noise=noise, random_state=0)
    SparseDisentangledRepresentation(3, encoder="linear", random_state=0).fit(data.X, data.Y)
    assert told == [(10, kept)]
