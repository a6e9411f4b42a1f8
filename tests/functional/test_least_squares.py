"""Soft-thresholding, Gram statistics and restricted systems."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import (
    centred_gram,
    factor_support,
    soft_threshold,
    solve_support,
)


def test_soft_threshold_minimises_its_objective():
    x = torch.linspace(-2, 2, 41).double()
    grid = torch.linspace(-3, 3, 6001).double()
    objective = 0.5 * (grid - x[:, None]).square() + 0.7 * grid.abs()
    np.testing.assert_allclose(soft_threshold(x, 0.7), grid[objective.argmin(1)], atol=1e-3)


def test_soft_threshold_and_its_conjugate_sum_to_the_identity():
    x = torch.randn(100, generator=torch.Generator().manual_seed(0)).double()
    np.testing.assert_allclose(soft_threshold(x, 0.5) + x.clamp(-0.5, 0.5), x, atol=1e-15)


def test_soft_threshold_is_safe_at_zero():
    x = torch.tensor([0.0, 0.0, 2.0]).double().requires_grad_()
    soft_threshold(x, torch.tensor([0.0, 1.0, 1.0]).double()).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[2] == 1


@pytest.mark.parametrize("layout", ["shared", "rows", "labels", "own"])
@pytest.mark.parametrize("centre", [True, False])
def test_gram_statistics_give_the_squared_error(layout, centre):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(4, 20, 3, generator=g).double() + 5
    y = torch.randn(4, 20, generator=g).double() - 3
    w = torch.randn(4, 3, generator=g).double()
    weight = {"rows": torch.rand(20, generator=g), "labels": torch.rand(4, 20, generator=g)}
    weight = {"own": weight["labels"], **weight}.get(layout)
    design = Z if layout == "own" else Z[0]
    gram, corr, y_sq, z_mean, y_mean = centred_gram(design, y, weight, centre=centre)
    fitted = (gram @ w[..., None])[..., 0]
    found = y_sq + (w * (fitted - 2 * corr)).sum(-1)
    share = torch.full((20,), 1 / 20) if weight is None else weight / weight.sum(-1, keepdim=True)
    residual = y - (design @ w[..., None])[..., 0]
    if centre:
        intercept = y_mean - (w * z_mean).sum(-1)
        residual = residual - intercept[:, None]
    else:
        assert (z_mean == 0).all()
    np.testing.assert_allclose(found, (share * residual.square()).sum(-1), rtol=1e-6)


def test_a_problem_without_weight_counts_all_rows():
    Z, y = torch.ones(5, 2).double(), torch.zeros(2, 5).double()
    weight = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]).double()
    statistics = centred_gram(Z, y, weight)
    assert all(s.isfinite().all() for s in statistics)


def test_gram_is_differentiable():
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 2, generator=g).double().requires_grad_()
    y = torch.randn(3, 6, generator=g).double().requires_grad_()
    weight = torch.rand(3, 6, generator=g).double()
    assert gradcheck(lambda Z, y: centred_gram(Z, y, weight), (Z, y))


@pytest.mark.parametrize("m", [5, 40])
@pytest.mark.parametrize("shared", [True, False])
def test_restricted_systems_are_solved(m, shared):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 80, m, generator=g).double()
    gram = Z[0].T @ Z[0] if shared else Z.mT @ Z
    support = torch.rand(6, m, generator=g) < 0.4
    support[0] = False
    rhs = torch.randn(6, m, generator=g).double()
    x = solve_support(gram, factor_support(gram, support), rhs)
    assert (x[~support] == 0).all()
    for t in range(6):
        S = support[t]
        own = gram if shared else gram[t]
        expected = torch.linalg.solve(own[S][:, S], rhs[t, S])
        np.testing.assert_allclose(x[t, S], expected, atol=1e-12)
