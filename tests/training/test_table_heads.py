"""Heads of a table, refitted on their supports."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.inputs._targets import check_targets
from sklearn_sparsedis.losses import Huber, SquaredError
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import L1
from sklearn_sparsedis.training._table_heads import refit_heads, settle_losses, solve_heads


@pytest.mark.parametrize("missing", [False, True])
def test_refitted_heads_are_least_squares_on_the_supports(missing):
    random = np.random.default_rng(0)
    Z, weight = random.normal(size=(80, 5)), random.uniform(0.5, 2, 80)
    Y = Z @ (random.normal(size=(5, 6)) * (random.random((5, 6)) < 0.5)) + 1
    if missing:
        Y[::7, 0] = Y[1::5, 3:] = np.nan
    targets = check_targets(Y, 80, caller="", sample_weight=weight)
    table = targets.table(torch.from_numpy(Z), torch.float64)
    problem = HeadProblem(L1(), 0.3, relative=True, tol=1e-10)
    heads = solve_heads(problem, table.X, table)
    refitted = refit_heads(heads, table.X, table)
    assert 0 < (heads.coef == 0).float().mean() < 1
    for t in range(6):
        support, seen = (heads.coef[t] != 0).numpy(), ~np.isnan(Y[:, t])
        columns = np.hstack([Z[seen][:, support], np.ones((seen.sum(), 1))])
        root = np.sqrt(weight[seen])
        found = np.linalg.lstsq(root[:, None] * columns, root * Y[seen, t], rcond=None)[0]
        expected = np.zeros(5)
        expected[support] = found[:-1]
        np.testing.assert_allclose(refitted.coef[t], expected, atol=1e-8)
        np.testing.assert_allclose(refitted.intercept[t], found[-1], atol=1e-8)


def test_heads_of_other_losses_stay():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    targets = check_targets((Z @ Z[:2].T + 1).numpy(), 60, caller="")
    table = targets.table(Z, torch.float64)._replace(losses=(SquaredError(), Huber()))
    table = settle_losses(Z, table)
    heads = solve_heads(HeadProblem(L1(), 0.3, relative=True, tol=1e-6), Z, table)
    refitted = refit_heads(heads, Z, table)
    assert (refitted.coef[0] - heads.coef[0]).abs().max() > 0.1
    torch.testing.assert_close(refitted.coef[1], heads.coef[1])
    torch.testing.assert_close(refitted.intercept[1], heads.intercept[1])
