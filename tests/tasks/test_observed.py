"""Targets that are observed on some rows."""

import pytest
import torch

from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._packs import similar_sizes


def tables(n=40, n_tasks=7, share=0.3, seed=0):
    """Targets and weights, zero where there is no target; the last task has none."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand(n, n_tasks, generator=g, dtype=torch.float64)
    weights *= torch.rand(n, n_tasks, generator=g) < share
    weights[:, -1] = 0
    values = torch.randn(n, n_tasks, generator=g, dtype=torch.float64)
    return torch.where(weights > 0, values, 0.0), weights


def assert_same(observed, values, weights):
    for found, expected in zip(observed.dense(torch.device("cpu")), (values, weights), strict=True):
        assert torch.equal(found, expected)


def test_a_table_there_and_back():
    values, weights = tables()
    observed = ObservedTargets.of_table(values, weights)
    assert observed.shape == (40, 7)
    assert_same(observed, values, weights)
    assert torch.equal(observed.count, (weights > 0).sum(0))


@pytest.mark.parametrize("mask", [True, False])
def test_some_rows_in_any_order(mask):
    values, weights = tables()
    index = torch.randperm(40, generator=torch.Generator().manual_seed(1))[:15]
    if mask:
        index = torch.zeros(40, dtype=torch.bool).index_fill_(0, index, value=True)
    part = ObservedTargets.of_table(values, weights).of_rows(index)
    assert_same(part, values[index], weights[index])


def test_some_tasks_in_any_order():
    values, weights = tables()
    tasks = torch.tensor([5, 6, 0])
    assert_same(
        ObservedTargets.of_table(values, weights).of_tasks(tasks),
        values[:, tasks],
        weights[:, tasks],
    )


def test_observations_that_a_mask_keeps():
    values, weights = tables()
    observed = ObservedTargets.of_table(values, weights)
    positive = observed.where(observed.value > 0)
    assert_same(
        positive, torch.where(values > 0, values, 0.0), torch.where(values > 0, weights, 0.0)
    )


def test_sums_and_means():
    values, weights = tables()
    observed = ObservedTargets.of_table(values, weights)
    torch.testing.assert_close(observed.total(observed.value), values.sum(0))
    mean = (weights * values).sum(0)[:-1] / weights.sum(0)[:-1]
    torch.testing.assert_close(observed.mean(observed.value)[:-1], mean)
    assert observed.mean(observed.value)[-1] == 0
    torch.testing.assert_close(observed.row_weights, weights.mean(1))


def test_packs_hold_every_observation_once_and_are_nearly_full():
    values, weights = tables(400, 300, share=0.5)
    weights *= torch.rand(400, 1, generator=torch.Generator().manual_seed(2)) < torch.linspace(
        0, 1, 300
    )
    values = torch.where(weights > 0, values, 0.0)
    observed = ObservedTargets.of_table(values, weights)
    found, found_weights, places = torch.zeros_like(values), torch.zeros_like(weights), 0
    tasks = []
    for pack in observed.packs(3):
        filled = pack.weight > 0
        columns = pack.tasks[:, None].expand_as(pack.row)[filled]
        found[pack.row[filled], columns] += pack.value[filled]
        found_weights[pack.row[filled], columns] += pack.weight[filled]
        assert (pack.value[~filled] == 0).all()
        tasks += pack.tasks.tolist()
        places += filled.numel()
    assert sorted(tasks) == list(range(300))
    assert torch.equal(found, values)
    assert torch.equal(found_weights, weights)
    # no pack is less than nine tenths full, but for those of the tasks without observations
    assert places <= len(observed.row) / 0.9 + int((observed.count == 0).sum())


def test_of_many_observations_some_are_drawn_each_as_often_as_the_others():
    n = 11
    values = torch.arange(1.0, n + 1)[:, None]
    observed = ObservedTargets.of_table(values, torch.ones(n, 1))
    g = torch.Generator().manual_seed(0)
    times = torch.zeros(n)
    for _ in range(3000):
        pack = observed.pack(torch.tensor([0]), 4, g)
        assert len(pack.row.unique()) == 4
        assert torch.equal(pack.value[0], values[pack.row[0], 0])
        times[pack.row[0]] += 1
    expected = 3000 * 4 / n
    # four standard deviations of a count
    assert ((times - expected).abs() < 4 * expected**0.5).all()


@pytest.mark.parametrize("fraction", [0.01, 0.4, 0.99])
def test_part_of_each_task_apart(fraction):
    values, weights = tables(share=0.5)
    observed = ObservedTargets.of_table(values, weights)
    pack, n_before = observed.pack(torch.arange(7)).split(fraction)
    filled = pack.weight > 0
    count = observed.count
    after = (fraction * count).round().clamp_min(1).minimum((count - 2).clamp_min(0))
    assert torch.equal(filled[:, n_before:].sum(1), after.long())
    assert torch.equal(filled.sum(1), count)
    for task in range(7):
        rows = pack.row[task][filled[task]]
        assert sorted(rows.tolist()) == weights[:, task].nonzero()[:, 0].tolist()
        assert torch.equal(pack.value[task][filled[task]], values[rows, task])


def test_groups_of_similar_sizes_waste_little():
    g = torch.Generator().manual_seed(0)
    count = torch.poisson(torch.logspace(0, 3, 500), generator=g).long()
    groups = similar_sizes(count)
    assert sorted(torch.cat(groups).tolist()) == list(range(500))
    assert all(count[group].min() >= 0.9 * count[group].max() for group in groups)
    assert sum(len(group) * int(count[group].max()) for group in groups) <= count.sum() / 0.9
    assert len(groups) < 70
