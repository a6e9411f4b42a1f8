"""Targets of tasks that share their rows are the same as observations of all of them."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.tasks._dense import DenseTargets

N, N_TASKS = 12, 4


@pytest.fixture(params=["equal weights", "weights"])
def both(request):
    """The same targets as a table and as observations; task 2 does not vary."""
    g = torch.Generator().manual_seed(0)
    value = torch.randn(N, N_TASKS, generator=g, dtype=torch.float64)
    value[:, 2] = 5.0
    dense = DenseTargets(value)
    if request.param == "weights":
        weight = torch.rand(N, generator=g, dtype=torch.float64) * 3
        weight[[0, 7]] = 0.0
        dense = DenseTargets(value, weight).with_value(value)
    return dense, dense.observed()


def assert_same_table(dense, observed):
    """A row without weight has no observations."""
    (Y, weight), (values, weights) = (x.dense(torch.device("cpu")) for x in (dense, observed))
    assert torch.equal(Y, values)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight
    assert torch.equal(weight[:, None].expand_as(Y), weights)


@pytest.mark.parametrize("name", ["shape", "labelled", "count", "n_labels", "varied"])
def test_what_they_say_of_themselves(both, name):
    dense, observed = (getattr(x, name) for x in both)
    torch.testing.assert_close(torch.as_tensor(dense), torch.as_tensor(observed))


def test_what_numbers_of_tasks_say(both):
    for jointly in (False, True):
        means = [x.mean(x.value, jointly=jointly) for x in both]
        torch.testing.assert_close(*means)
    assert torch.equal(*(x.any(x.value > 1) for x in both))
    assert torch.equal(*(x.labels_of(3) for x in both))
    offset = np.arange(N_TASKS)
    residuals = (x.with_value(x.value - torch.from_numpy(x.at(offset))) for x in both)
    assert_same_table(*residuals)


def test_parts(both):
    assert_same_table(*both)
    index = torch.tensor([3, 0, 7, 11])
    assert_same_table(*(x.of_rows(index) for x in both))
    assert_same_table(*(x.of_tasks(torch.tensor([2, 0])) for x in both))
    assert_same_table(*(x.cast(torch.float32).cast(torch.float64) for x in both))


def test_functions_of_rows_and_predictions(both):
    Z = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def products(y, weight, Z):
        weight = torch.ones(N, dtype=torch.float64) if weight is None else weight
        return [((weight * y)[..., None] * Z).sum(-2)]

    torch.testing.assert_close(*(next(iter(x.apply(products, Z))) for x in both))
    coef, intercept = Z[:N_TASKS], Z[:N_TASKS, 0]
    predicted = [x.with_value(x.predictions(Z, coef, intercept)) for x in both]
    torch.testing.assert_close(*(x.dense(torch.device("cpu"))[0] for x in predicted))


def test_tasks_on_the_same_rows_are_one_problem(both):
    ((tasks, rows, Y, weight),), ((same, own, values, weights),) = (x.same_rows() for x in both)
    assert list(tasks) == list(same)
    assert np.arange(N)[rows].tolist() == own.tolist()
    assert torch.equal(Y, values)
    assert torch.equal(weight, weights)
