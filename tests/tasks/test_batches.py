"""Batches of rows and tasks."""

import pytest
import torch

from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable


def table(n=10, n_tasks=5, weights=None):
    X = torch.arange(n).float()[:, None]
    Y = X + 100 * torch.arange(n_tasks)
    return TaskTable(X, DenseTargets(Y, weights))


def batches(rows, **options):
    defaults = {"batch_size": 4, "tasks_per_batch": None, "query_fraction": None}
    defaults |= {"n_batches": 5, "n_total": 5, "seed": 0}
    return TaskBatches(rows, **{**defaults, **options})


def test_no_row_comes_twice_in_a_pass():
    drawn = list(batches(table(n=12), n_batches=3, n_total=3))
    rows = torch.cat([batch.X[:, 0] for batch in drawn])
    assert sorted(rows.tolist()) == list(range(12))


def sparse_table(weights):
    """Tasks t with targets x + 100 t on the rows x that have a weight."""
    n, n_tasks = weights.shape
    rows = table(n, n_tasks)
    return rows._replace(Y=ObservedTargets.of_table(rows.Y.value, weights))


def test_rows_keep_their_targets_and_weights():
    weights = torch.arange(50).reshape(10, 5).float()
    for batch in batches(sparse_table(weights)):
        rows = batch.X[:, 0].long()
        labelled = weights[rows] > 0
        assert torch.equal(batch.Y[labelled], (batch.X + 100 * batch.tasks)[labelled])
        assert torch.equal(batch.weights, weights[rows])
        assert torch.equal(batch.row_weights, weights[rows].mean(1))


@pytest.mark.parametrize("fraction", [None, 0.3])
def test_tasks_that_are_drawn_come_with_rows_of_their_own(fraction):
    g = torch.Generator().manual_seed(0)
    weights = torch.rand(300, 60, generator=g) * (torch.rand(300, 60, generator=g) < 0.1)
    options = {"tasks_per_batch": 4, "batch_size": 20, "n_batches": 40, "n_total": 40}
    for batch in batches(sparse_table(weights), query_fraction=fraction, **options):
        assert len(batch.tasks.unique()) == 4
        x = batch.X[batch.rows, 0]
        filled = batch.weights > 0
        assert torch.equal(batch.weights[filled], weights[x.long(), batch.tasks][filled])
        assert torch.equal(batch.Y[filled], (x + 100 * batch.tasks)[filled])
        assert (batch.Y[~filled] == 0).all()
        assert len(batch.X.unique()) == len(batch.X), "no row is encoded twice"
        count = (weights[:, batch.tasks] > 0).sum(0)
        assert torch.equal(filled.sum(0), count.clamp_max(20))
        for task in range(4):
            assert len(x[filled[:, task], task].unique()) == filled[:, task].sum()
        total = torch.zeros(len(batch.X)).index_add_(
            0, batch.rows.flatten(), batch.weights.flatten()
        )
        torch.testing.assert_close(batch.row_weights, total / 4)
        if fraction is None:
            assert batch.n_support == len(batch.Y)
        else:
            query = filled[batch.n_support :].sum(0)
            assert torch.equal(query, (0.3 * count.clamp_max(20)).round().long())


@pytest.mark.parametrize(("labels", "apart"), [(10, True), (200, False)])
def test_all_tasks_come_with_rows_of_their_own_where_random_rows_would_hold_few_labels(
    labels, apart
):
    weights = torch.zeros(1000, 30)
    g = torch.Generator().manual_seed(1)  # not that of the batches
    for task in range(30):
        weights[torch.randperm(1000, generator=g)[:labels], task] = 1
    for batch in batches(sparse_table(weights), batch_size=50):
        assert (batch.rows is not None) == apart
        assert (batch.weights > 0).any(0).all()
        assert sorted(batch.tasks.tolist()) == list(range(30))


def test_tasks_of_a_size_come_together():
    weights = torch.zeros(200, 2000)
    for task in range(2000):
        weights[: 2 + task % 150, task] = 1
    rows = sparse_table(weights)
    assert rows.Y.row_weights.sum() * 2000 == weights.sum()
    drawn = list(batches(rows, tasks_per_batch=10, batch_size=99, n_batches=100, n_total=100))
    share = [float((batch.weights > 0).double().mean()) for batch in drawn]
    assert min(share) > 0.5
    assert sum(share) / 100 > 0.9


def test_a_sequence_of_drawn_tasks_goes_on_where_it_stood():
    weights = (torch.rand(50, 100, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    options = {"tasks_per_batch": 2, "batch_size": 9, "n_batches": 9, "n_total": 9}
    whole = list(batches(sparse_table(weights), **options))
    again = batches(sparse_table(weights), **options)
    iterator = iter(again)
    for _ in range(4):
        next(iterator)
    state = again.state_dict()
    resumed = batches(sparse_table(weights), **options, seed=5)
    resumed.load_state_dict(state)
    for one, other in zip(whole[4:], resumed, strict=True):
        assert torch.equal(one.tasks, other.tasks)
        assert torch.equal(one.Y, other.Y)


def test_tasks_are_drawn_in_proportion_to_their_labels():
    weights = torch.zeros(60, 4)
    for task, labels in enumerate((60, 30, 20, 10)):
        weights[:labels, task] = 2.0 if task % 2 else 0.5
    drawn = batches(
        sparse_table(weights), tasks_per_batch=1, n_batches=6000, n_total=6000, batch_size=2
    )
    counts = torch.bincount(torch.cat([batch.tasks for batch in drawn]), minlength=4)
    expected = 6000 * torch.tensor([60, 30, 20, 10]) / 120
    # four standard deviations of a count
    assert ((counts - expected).abs() < 4 * expected.sqrt()).all()


def test_a_table_no_larger_than_a_batch_comes_whole_and_as_it_is():
    rows = table()
    first, second = batches(rows, batch_size=99, n_batches=2, n_total=2)
    assert first.X.data_ptr() == rows.X.data_ptr()
    assert torch.equal(first.X, rows.X)
    assert second.Y is rows.Y.value, "its targets are prepared once"
    assert first.n_support == 10


@pytest.mark.parametrize(("fraction", "support"), [(0.25, 3), (0.01, 3), (0.99, 2)])
def test_some_rows_are_kept_from_the_heads(fraction, support):
    assert all(b.n_support == support for b in batches(table(), query_fraction=fraction))


def test_seeds_decide_the_order_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (torch.cat([b.X for b in batches(table(), seed=seed)]) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_epochs_share_out_the_steps():
    passes = batches(table(), n_batches=3, n_total=7)
    assert [len(list(passes)) for _ in range(4)] == [3, 3, 1, 0]


@pytest.mark.parametrize("size", [4, 99])
def test_processes_get_their_part_of_the_rows_and_all_targets(size):
    parts = [lambda n: slice(0, n // 3), lambda n: slice(n // 3, n)]
    pairs = zip(*(batches(table(), batch_size=size, part=part) for part in parts), strict=True)
    for (first, second), whole in zip(pairs, batches(table(), batch_size=size), strict=True):
        assert torch.equal(torch.cat([first.X, second.X]), whole.X)
        for batch in (first, second):
            assert torch.equal(batch.Y, whole.Y)
            assert batch.n_support == whole.n_support
