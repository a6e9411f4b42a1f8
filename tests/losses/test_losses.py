"""The contract of losses that training relies on, for every loss in the registry."""

import pytest
import torch

from sklearn_sparsedis.losses import LOSSES, Huber, Logistic

N, T = 30, 3


@pytest.fixture
def tasks():
    """Scores, targets that every loss allows, and weights, of which the last task has none."""
    random = torch.Generator().manual_seed(0)
    score = torch.randn(N, T, generator=random, dtype=torch.float64)
    Y = (torch.rand(N, T, generator=random) < 0.4).double()
    weights = torch.rand(N, T, generator=random, dtype=torch.float64)
    weights[:10] = 0
    weights[:, -1] = 0
    return score, Y, weights


def of_tasks(name, n_tasks):
    """The loss of several tasks, with parameters that data would give."""
    kind = type(LOSSES[name])
    return kind.join([Huber(0.7) if kind is Huber else kind()] * n_tasks)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_mean_ignores_rows_of_weight_zero_and_is_zero_without_any(name, tasks):
    score, Y, weights = tasks
    loss = of_tasks(name, T)
    mean = loss.mean(score, Y, weights, balanced=False)
    rest = loss.mean(score[10:], Y[10:], weights[10:], balanced=False)
    torch.testing.assert_close(mean, rest)
    assert (mean[:-1] > 0).all()
    assert mean[-1] == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_mean_of_tasks_is_that_of_each_task(name, tasks):
    score, Y, weights = tasks
    together = of_tasks(name, T).mean(score, Y, weights, balanced=False)
    each = [
        of_tasks(name, 1).mean(*(x[:, [t]] for x in (score, Y, weights)), balanced=False)
        for t in range(T)
    ]
    torch.testing.assert_close(together, torch.cat(each))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_mean_without_weights_is_one_with_equal_weights(name, tasks):
    score, Y, _ = tasks
    loss = of_tasks(name, T)
    mean = loss.mean(score, Y, None, balanced=False)
    torch.testing.assert_close(mean, loss.mean(score, Y, torch.full((N,), 2.0), balanced=False))


def test_balanced_classes_have_equal_weight_and_the_total_of_their_task(tasks):
    _, Y, weights = tasks
    y, weight = Y[:, :-1].T, weights[:, :-1].T
    balanced = Logistic().balance(y, weight)
    torch.testing.assert_close((balanced * y).sum(-1), (balanced * (1 - y)).sum(-1))
    torch.testing.assert_close(balanced.sum(-1), weight.sum(-1))


def test_a_task_of_one_class_keeps_its_weights():
    weight = torch.tensor([[1.0, 2.0, 3.0]])
    assert Logistic().balance(torch.ones(1, 3), weight).equal(weight)
