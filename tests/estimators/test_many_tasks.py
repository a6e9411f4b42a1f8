"""Many tasks that are each observed on few rows: layouts, steps, memory."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.metrics import mean_corrcoef_score, nan_r2_score
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.nn._networks import LinearNetwork
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskBatch, TaskTable
from sklearn_sparsedis.training._objective import BilevelObjective
from tests.devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

N, T = 300, 80


def model(**parameters):
    defaults = {"encoder": "linear", "tasks_per_batch": 10, "max_iter": 40, "random_state": 0}
    return SparseDisentangledRepresentation(4, **{**defaults, **parameters})


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(N, T, n_latents=4, n_features=8, noise=0.1, random_state=0)


@pytest.fixture(scope="module")
def layouts(data):
    """The same observations with NaN, sparse, and in the long layout."""
    seen = np.random.default_rng(0).random((N, T)) < 0.15
    row, task = np.nonzero(seen)
    y = data.Y[row, task]
    wide = np.where(seen, data.Y, np.nan)
    return wide, coo_array((y, (row, task)), shape=(N, T)), (row, task, y)


@pytest.fixture(scope="module")
def fitted(data, layouts):
    return model().fit(data.X, layouts[1])


def test_layouts_of_the_same_observations_give_the_same_model(data, layouts, fitted):
    wide, _, (row, task, y) = layouts
    other = model().fit(data.X, wide)
    np.testing.assert_array_equal(other.coef_, fitted.coef_)
    # in the long layout a row that two tasks see is two rows
    long = model(early_stopping=False).fit(data.X[row], y, task_id=task)
    short = model(early_stopping=False).fit(data.X, wide)
    assert long.score(data.X[row], y, task_id=task) == pytest.approx(
        short.score(data.X, wide), abs=0.05
    )


def test_scores_and_predictions_where_there_are_labels(data, layouts, fitted):
    wide, sparse, (row, task, y) = layouts
    predicted = fitted.predict(data.X)
    assert fitted.score(data.X, sparse) == pytest.approx(fitted.score(data.X, wide))
    weights = np.random.default_rng(1).random(N)
    assert fitted.score(data.X, sparse, weights) == pytest.approx(
        nan_r2_score(wide, predicted, sample_weight=weights)
    )
    np.testing.assert_allclose(
        fitted.predict(data.X[row], task_id=task), predicted[row, task], rtol=1e-9
    )
    with pytest.raises(ValueError, match="a column for each of the 80 tasks .* got 79"):
        fitted.score(data.X, sparse.tocsr()[:, 1:])


def test_targets_are_never_a_table(data, layouts, monkeypatch):
    def refuse(self):
        raise AssertionError("a table of all targets was made")

    monkeypatch.setattr(ObservedTargets, "dense", refuse)
    _, sparse, (row, task, y) = layouts
    for kind in ({}, {"penalty": "l0"}, {"common_head": True}, {"n_init": 2}):
        estimator = model(**kind, max_iter=10)
        estimator.fit(data.X, sparse).score(data.X, sparse)
        estimator.adapt(data.X, sparse)
    model(max_iter=10).fit(data.X[row], y, task_id=task).predict(data.X[row], task_id=task)


def test_tasks_of_few_labels_recover_the_latents():
    data = make_sparse_multitask(
        2000, 400, n_latents=4, n_features=8, noise=0.1, correlation=0.5, random_state=0
    )
    random = np.random.default_rng(0)
    row = np.concatenate([random.choice(2000, 12, replace=False) for _ in range(400)])
    task = np.repeat(np.arange(400), 12)
    Y = coo_array((data.Y[row, task], (row, task)), shape=data.Y.shape)
    fitted = model(tasks_per_batch=40, max_iter=600).fit(data.X, Y)
    # nearly what all labels of all tasks give
    assert mean_corrcoef_score(data.Z, fitted.transform(data.X)) > 0.98


@pytest.mark.parametrize("parameters", [{"query_fraction": 0.3}, {"class_weight": "balanced"}])
def test_labels_and_values_of_few_rows(data, layouts, parameters):
    wide, _, _ = layouts
    mixed = np.where(np.arange(T) % 2, (wide > 0) + 0 * wide, wide)
    fitted = model(alpha=0.05, loss="auto", **parameters).fit(data.X, mixed)
    assert set(fitted.losses_) == {"logistic", "squared_error"}
    assert (fitted.dual_gap_ <= fitted.tol).all()
    assert fitted.score(data.X, mixed) > 0.3


def objective(losses=None, query=None):
    torch.manual_seed(0)
    network = LinearNetwork(8, 4).double()
    encoder = Encoder(network, torch.zeros(8).double(), torch.ones(8).double(), 4)
    return BilevelObjective(encoder, HeadProblem(PENALTIES["l1"], 0.1, True, 1e-10), T, 4)


@pytest.mark.parametrize("losses", [None, (Logistic(), SquaredError()) * (T // 2)])
def test_a_step_of_tasks_with_their_own_rows_is_one_on_a_table(data, layouts, losses):
    wide, _, _ = layouts
    wide = torch.from_numpy(wide)
    weights = (~wide.isnan()).double()
    Y = torch.nan_to_num(wide)
    if losses is not None:
        Y = torch.where(torch.tensor([loss.classes for loss in losses]), (Y > 0).double(), Y)
    table = TaskTable(torch.from_numpy(data.X), ObservedTargets.of_table(Y, weights), losses)
    batches = TaskBatches(
        table,
        batch_size=N,
        tasks_per_batch=20,
        query_fraction=None,
        n_batches=1,
        n_total=1,
        seed=0,
    )
    (batch,) = batches
    one, other = objective(), objective()
    loss = one(batch)
    loss.backward()
    rows = (weights[:, batch.tasks] > 0).any(1)
    expected = other(
        TaskBatch(
            table.X[rows],
            Y[rows][:, batch.tasks],
            weights[rows][:, batch.tasks],
            batch.tasks,
            int(rows.sum()),
            batch.losses,
        )
    )
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-8, atol=0)
    torch.testing.assert_close(
        one.encoder.network.linear.weight.grad,
        other.encoder.network.linear.weight.grad,
        rtol=1e-6,
        atol=1e-9,
    )
    torch.testing.assert_close(one.coef, other.coef)


@pytest.mark.parametrize("n_support", [12, 8])
@pytest.mark.parametrize("losses", [None, (Logistic(),) * 9])
def test_a_step_of_tasks_with_their_own_rows_stays_on_the_device(n_support, losses):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            network = LinearNetwork(8, 4)
            encoder = Encoder(network, *(fake_cuda(8, dtype=torch.float32) for _ in range(2)), 4)
            model = BilevelObjective(encoder, HeadProblem(PENALTIES["l1"], 0.1, True, 1e-6), 30, 4)
        batch = TaskBatch(
            fake_cuda(60, 8, dtype=torch.float32),
            fake_cuda(12, 9),
            fake_cuda(12, 9),
            torch.arange(9, device=ACCELERATOR),
            n_support,
            losses,
            rows=torch.zeros(12, 9, dtype=torch.int64, device=ACCELERATOR),
            n_needed=60,
        )
        loss = model(batch)
        loss.backward()
        assert network.linear.weight.grad.device.type == ACCELERATOR
    assert counter.count <= 2


def test_a_step_sees_no_more_with_more_rows_and_tasks():
    def places(n, n_tasks):
        weights = (torch.rand(n, n_tasks, generator=torch.Generator().manual_seed(0)) < 0.1).float()
        Y = ObservedTargets.of_table(torch.zeros(n, n_tasks), weights)
        options = {"batch_size": 20, "tasks_per_batch": 5, "query_fraction": None}
        batches = TaskBatches(
            TaskTable(torch.zeros(n, 1), Y), **options, n_batches=3, n_total=3, seed=0
        )
        return [batch.Y.shape for batch in batches]

    assert places(4000, 400) == places(500, 50) == [(20, 5)] * 3
