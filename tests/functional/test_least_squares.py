"""Soft-thresholding, Gram statistics and restricted systems."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import (
    centred_gram,
    lasso_alpha_max,
    lasso_duality_gap,
    lasso_objective,
    solve_support,
)
from sklearn_sparsedis.functional._gram import centre_targets
from sklearn_sparsedis.functional._lasso import residual_square
from sklearn_sparsedis.functional._support import factor_regular, factor_support


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


@pytest.mark.parametrize("shape", [None, (6,), (3, 6)])
@pytest.mark.parametrize("centre", [True, False])
def test_gram_is_differentiable(shape, centre):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 2, generator=g).double().requires_grad_()
    y = torch.randn(3, 6, generator=g).double().requires_grad_()
    weight = None if shape is None else torch.rand(shape, generator=g).double()
    if centre:
        assert gradcheck(lambda Z, y: centred_gram(Z, y, weight), (Z, y))
    else:
        assert gradcheck(lambda Z, y: centred_gram(Z, y, weight, centre=False)[:3], (Z, y))


@pytest.mark.parametrize("weighted", [False, True])
def test_targets_may_be_centred_before(weighted):
    g = torch.Generator().manual_seed(0)
    Z, y = torch.randn(6, 2, generator=g).double(), torch.randn(3, 6, generator=g).double() + 4
    weight = torch.rand(6, generator=g).double() if weighted else None
    found = centred_gram(Z, centre_targets(y, weight), weight)
    for a, b in zip(found, centred_gram(Z, y, weight), strict=True):
        np.testing.assert_array_equal(a, b)


def test_regular_systems_are_solved_and_singular_ones_named():
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 30, 5, generator=g).double()
    Z[1, :, 4] = Z[1, :, 0]
    gram = Z.mT @ Z / 30
    support = torch.tensor([[True, False, True, True, True]] * 2)
    rhs = torch.randn(2, 5, generator=g).double()
    factor, regular = factor_regular(gram, support)
    assert regular.tolist() == [True, False]
    expected = torch.zeros(5).double()
    expected[support[0]] = torch.linalg.solve(
        gram[0][support[0]][:, support[0]], rhs[0, support[0]]
    )
    np.testing.assert_allclose(factor.solve(rhs)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("m", [5, 40])
@pytest.mark.parametrize("shared", [True, False])
def test_restricted_systems_are_solved(m, shared):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 80, m, generator=g).double()
    gram = Z[0].T @ Z[0] if shared else Z.mT @ Z
    support = torch.rand(6, m, generator=g) < 0.4
    support[0] = False
    rhs = torch.randn(6, m, generator=g).double()
    x = solve_support(factor_support(gram, support), rhs)
    assert (x[~support] == 0).all()
    for t in range(6):
        S = support[t]
        own = gram if shared else gram[t]
        expected = torch.linalg.solve(own[S][:, S], rhs[t, S])
        np.testing.assert_allclose(x[t, S], expected, atol=1e-12)


@pytest.mark.parametrize("m", [5, 40])
def test_singular_systems_get_the_solution_of_least_norm(m):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 40, m, generator=g).double()
    Z[..., 1] = Z[..., 0]
    Z[..., 3] = Z[..., 0] - 2 * Z[..., 2]
    Z = Z / Z.square().mean(-2, keepdim=True).sqrt()
    gram = Z.mT @ Z / 40
    rhs = torch.randn(6, m, generator=g).double()  # no solution: not in the range
    factor = factor_support(gram, torch.ones(6, m, dtype=torch.bool))
    x = solve_support(factor, rhs, least_norm=True)
    expected = (torch.linalg.pinv(gram, hermitian=True, rtol=1e-10) @ rhs[..., None])[..., 0]
    # rounding of the null space, 1e-16, over the shift of 1e-10
    np.testing.assert_allclose(x, expected, atol=1e-5 * float(expected.abs().max()))


def test_ill_conditioned_systems_are_solved_to_the_stated_accuracy():
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 40, 5, generator=g).double()
    Z[..., 1] = Z[..., 0] + 1e-3 * Z[..., 1]
    Z = Z / Z.square().mean(-2, keepdim=True).sqrt()
    gram = Z.mT @ Z / 40
    rhs = torch.randn(6, 5, generator=g).double()
    factor = factor_support(gram, torch.ones(6, 5, dtype=torch.bool))
    expected = torch.linalg.solve(gram, rhs)
    share = 1e-10 / float(torch.linalg.eigvalsh(gram).min())  # delta / e, about 3e-4
    # the solve that is compared with is itself off by rounding times the condition, 1e-9
    for least_norm, error in ((False, share**2), (True, (4 * share) ** 4)):
        x = solve_support(factor, rhs, least_norm=least_norm)
        assert (x - expected).norm() <= (2 * error + 1e-8) * expected.norm()


def test_systems_do_not_depend_on_the_scale_of_features():
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(6, 40, 5, generator=g).double()
    rhs = torch.randn(6, 5, generator=g).double()
    scale = torch.tensor([1e-4, 1e-2, 1.0, 1e2, 1e4]).double()
    everything = torch.ones(6, 5, dtype=torch.bool)
    x = solve_support(factor_support(Z.mT @ Z, everything), rhs)
    scaled = Z * scale
    found = solve_support(factor_support(scaled.mT @ scaled, everything), rhs * scale)
    np.testing.assert_allclose(found * scale, x, rtol=1e-10)


def test_refinement_keeps_what_a_singular_system_does_not_see():
    gram = torch.ones(1, 2, 2).double()
    factor = factor_support(gram, torch.ones(1, 2, dtype=torch.bool))
    start, rhs = torch.tensor([[3.0, -1.0]]).double(), torch.tensor([[4.0, 4.0]]).double()
    np.testing.assert_allclose(solve_support(factor, rhs, start), [[4.0, 0.0]], atol=1e-5)


def test_gap_is_primal_minus_dual_and_zero_weights_solve_at_alpha_max():
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(4, 20, 6, generator=g).double()
    y = torch.randn(4, 20, generator=g).double()
    w = torch.randn(4, 6, generator=g).double()
    gram, corr, y_sq, _, _ = centred_gram(Z, y, centre=False)
    alpha = 0.3 * lasso_alpha_max(corr)
    gradient = corr - (gram @ w[..., None])[..., 0]
    square = residual_square(corr, y_sq, w, gradient)
    residual = y - (Z @ w[..., None])[..., 0]
    scale = (alpha / (Z.mT @ residual[..., None] / 20).abs().amax((-2, -1))).clamp_max(1)
    dual = 0.5 * (y.square() - (y - scale[:, None] * residual).square()).mean(-1)
    expected = lasso_objective(square, w, alpha) - dual
    np.testing.assert_allclose(lasso_duality_gap(square, w, gradient, alpha), expected, rtol=1e-10)
    zeros = torch.zeros_like(w)
    at_max = lasso_duality_gap(y_sq, zeros, corr, lasso_alpha_max(corr))
    np.testing.assert_allclose(at_max, 0, atol=1e-15)
    assert (lasso_duality_gap(y_sq, zeros, corr, 0.99 * lasso_alpha_max(corr)) > 0).all()


def test_weight_zero_leaves_a_row_out_and_one_gram_serves_all():
    g = torch.Generator().manual_seed(0)
    Z, y = torch.randn(20, 3, generator=g).double(), torch.randn(4, 20, generator=g).double()
    weight = (torch.arange(20) < 15).double()
    found, expected = centred_gram(Z, y, weight), centred_gram(Z[:15], y[:, :15])
    assert found.gram.shape == (3, 3)
    per_task = centred_gram(Z, y, weight.expand(4, 20))
    assert per_task.gram.shape == (4, 3, 3)
    for a, b, c in zip(found, expected, per_task, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
        np.testing.assert_allclose(c, b.expand_as(c), atol=1e-14)
