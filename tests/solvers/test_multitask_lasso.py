"""The Lasso of several outputs: references, certificates, degenerate problems."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.linear_model import MultiTaskLasso
from torch.linalg import vector_norm

from sklearn_sparsedis.functional import _support, multitask_lasso_alpha_max
from sklearn_sparsedis.solvers import (
    solve_lasso,
    solve_multitask_lasso,
    solve_multitask_lasso_gram,
)

KINDS = ["plain", "correlated", "sums", "duplicates", "near copies", "scales"]


def problems(T=7, n=40, m=8, q=3, seed=0, dtype=torch.float64, kind="plain", fraction=0.1):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=dtype)
    if kind == "correlated":
        Z = 0.99 * Z[..., :1] + 0.1 * Z
    if kind == "sums":
        Z = Z.cumsum(-1)
    if kind == "duplicates":
        Z[..., m // 2 :] = Z[..., : m // 2]
    if kind == "near copies":
        Z[..., m // 2 :] = Z[..., : m // 2] + 1e-5 * Z[..., m // 2 :]
    W = torch.randn(T, m, q, generator=g, dtype=dtype) * (torch.rand(T, m, 1, generator=g) < 0.5)
    Y = Z @ W + 0.3 * torch.randn(T, n, q, generator=g, dtype=dtype)
    if kind == "scales":
        Z = Z * torch.logspace(-3, 3, m).to(dtype)
    return Z, Y, fraction * multitask_lasso_alpha_max(Z.mT @ Y / n)


def statistics(Z, Y):
    n = Z.shape[-2]
    return Z.mT @ Z / n, Z.mT @ Y / n, Y.square().mean(-2)


def test_is_scikit_learns():
    Z, Y, alpha = problems(m=20)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-12)
    assert result.converged.all()
    assert 0 < (result.coef == 0).double().mean() < 1
    for t in range(len(Z)):
        peer = MultiTaskLasso(alpha=float(alpha[t]), fit_intercept=False, tol=1e-14, max_iter=10000)
        np.testing.assert_allclose(result.coef[t].T, peer.fit(Z[t], Y[t]).coef_, atol=1e-7)


def test_stationary_in_every_variable_and_objective_as_defined():
    Z, Y, alpha = problems(n=15, m=20)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-13)
    residual = Y - Z @ result.coef
    gradient, norm = Z.mT @ residual / 15, vector_norm(result.coef, dim=-1)
    used = norm > 0
    assert 0 < used.double().mean() < 1
    direction = result.coef / torch.where(used, norm, 1.0)[..., None]
    slope = alpha[:, None, None] * direction
    np.testing.assert_allclose(gradient[used], slope[used], atol=1e-10)
    bound = vector_norm(gradient, dim=-1) <= alpha[:, None] * (1 + 1e-10)
    assert bound.all()
    objective = 0.5 * residual.square().sum((-2, -1)) / 15 + alpha * norm.sum(-1)
    np.testing.assert_allclose(result.objective, objective, rtol=1e-13)


def test_one_output_is_the_lasso_with_and_without_outputs_of_zeros():
    Z, Y, alpha = problems(q=1, m=20)
    expected = solve_lasso(Z, Y[..., 0], alpha, tol=1e-13)
    one = solve_multitask_lasso(Z, Y, alpha, tol=1e-13)
    np.testing.assert_array_equal(one.coef[..., 0], expected.coef)
    filled = torch.cat([torch.zeros_like(Y), Y, torch.zeros_like(Y)], -1)
    for start in (None, torch.ones(7, 20, 3).double()):
        more = solve_multitask_lasso(Z, filled, alpha, tol=1e-13, coef_init=start)
        assert (more.coef[..., ::2] == 0).all()
        np.testing.assert_allclose(more.coef[..., 1], expected.coef, atol=1e-9)
        np.testing.assert_allclose(more.objective, expected.objective, rtol=1e-12)


def test_gap_bounds_the_distance_to_the_optimum():
    Z, Y, alpha = problems(m=30)
    best = solve_multitask_lasso(Z, Y, alpha, tol=1e-13).objective
    ones = torch.ones(7, 30, 3).double()
    start = solve_multitask_lasso(Z, Y, alpha, max_iter=0, coef_init=ones)
    scale = start.objective.maximum(0.5e-3 * Y.square().sum((-2, -1)) / 40)
    assert (start.gap * scale >= start.objective - best - 1e-12).all()
    assert not start.converged.any()
    assert (start.n_iter == 0).all()
    np.testing.assert_array_equal(start.coef, ones)


@pytest.mark.parametrize("tol", [1e-6, 1e-10])
@pytest.mark.parametrize("size", [(50, 20), (15, 30)], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", KINDS)
def test_hard_designs_reach_the_tolerance(kind, size, tol):
    for fraction in (0.3, 0.01, 1e-4):
        Z, Y, alpha = problems(32, *size, kind=kind, fraction=fraction)
        result = solve_multitask_lasso(Z, Y, alpha, tol=tol)
        assert result.converged.all()
        assert (result.n_iter < 100).all()


@pytest.mark.parametrize("tol", [1e-6, 1e-9, 1e-11, 1e-13])
def test_what_is_not_in_use_is_exactly_zero(tol):
    for kind in ("plain", "correlated"):
        Z, Y, alpha = problems(16, 8, 10, kind=kind, fraction=0.01)
        coef = solve_multitask_lasso(Z, Y, alpha, tol=tol).coef
        slack = alpha[:, None] - vector_norm(Z.mT @ (Y - Z @ coef) / 8, dim=-1)
        # of a weight and its slack one is zero: at rounding level it must be the exact one
        assert (coef[slack > 1e-3 * alpha[:, None]] == 0).all()
        np.testing.assert_array_equal((coef != 0).any(-1), vector_norm(coef, dim=-1) > 1e-9)


def test_the_gap_of_a_hard_problem_is_that_of_its_residuals():
    Z, Y, alpha = problems(n=15, m=30, kind="sums", fraction=0.01)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-10)
    residual = Y - Z @ result.coef
    largest = vector_norm(Z.mT @ residual / 15, dim=-1).amax(-1)
    dual = residual * (alpha / largest).clamp_max(1)[:, None, None]
    value = 0.5 * (Y.square() - (Y - dual).square()).sum((-2, -1)) / 15
    scale = result.objective.maximum(0.5e-3 * Y.square().sum((-2, -1)) / 15)
    assert ((result.objective - value) / scale < 1.1e-10).all()


@pytest.mark.parametrize("fraction", [0.0, 1e-6, 0.1, 1.0, 2.0])
def test_degenerate_designs(fraction):
    Z, Y, _ = problems(n=12, m=20)
    Z[0, :, 1] = Z[0, :, 0]  # a duplicate
    Z[1, :, 2] = 0  # a dead feature
    Z[2] = 0
    Y[3] = 0
    alpha = fraction * multitask_lasso_alpha_max(Z.mT @ Y / 12)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-7)
    assert result.coef.isfinite().all()
    assert result.converged.all()
    assert (result.coef[1:3, 2] == 0).all()
    assert (result.coef[3] == 0).all()
    if fraction >= 1:
        assert (result.coef == 0).all()


def test_zero_just_from_alpha_max_on():
    Z, Y, alpha = problems(fraction=1.0)
    assert (solve_multitask_lasso(Z, Y, alpha * (1 + 1e-12)).coef == 0).all()
    below = solve_multitask_lasso(Z, Y, alpha * (1 - 1e-6), tol=1e-12).coef
    assert ((below != 0).all(-1).sum(-1) == 1).all()


def test_without_penalty_every_output_is_least_squares_by_the_rule_of_one_output():
    Z, Y, _ = problems(n=6, m=10)
    alpha = torch.tensor([0.0, 0.01, 0, 0, 0, 0, 0]).double()
    free, start = alpha == 0, torch.ones(7, 10, 3).double()
    result = solve_multitask_lasso(Z, Y, alpha, coef_init=start)
    assert result.converged.all()
    for k in range(3):
        expected = solve_lasso(Z, Y[..., k], 0.0).coef
        np.testing.assert_allclose(result.coef[free][..., k], expected[free], atol=1e-8)
    shared = solve_multitask_lasso(Z[0], Y, alpha, coef_init=start)
    assert shared.converged.all()
    np.testing.assert_allclose(shared.coef[free], (torch.linalg.pinv(Z[0]) @ Y)[free], atol=1e-8)


def test_batched_equals_looped_and_one_gram_serves_all():
    Z, Y, alpha = problems()
    gram, corr, y_sq = statistics(Z[0], Y)
    assert gram.shape == (8, 8)
    expected = solve_multitask_lasso_gram(gram, corr, y_sq, alpha, tol=1e-12)
    for layout in (gram[None], gram.expand(7, 8, 8)):
        found = solve_multitask_lasso_gram(layout, corr, y_sq, alpha, tol=1e-12)
        np.testing.assert_allclose(found.coef, expected.coef, atol=1e-12)
    for t in range(7):
        alone = solve_multitask_lasso(Z[0], Y[t], alpha[t], tol=1e-12)
        assert alone.gap.shape == ()
        np.testing.assert_allclose(alone.coef, expected.coef[t], atol=1e-9)


def test_batches_have_any_shape():
    Z, Y, alpha = problems(T=6)
    expected = solve_multitask_lasso(Z, Y, alpha, tol=1e-12)
    shaped = solve_multitask_lasso(
        Z.view(2, 3, 40, 8), Y.view(2, 3, 40, 3), alpha.view(2, 3), tol=1e-12
    )
    assert shaped.gap.shape == shaped.n_iter.shape == (2, 3)
    np.testing.assert_allclose(shaped.coef.view(6, 8, 3), expected.coef, atol=1e-12)
    assert solve_multitask_lasso(Z[:0], Y[:0], alpha[:0]).coef.shape == (0, 8, 3)


def test_a_hard_problem_beside_easy_ones():
    Z, Y, alpha = problems(n=60, m=40)
    Z[3] = Z[3].cumsum(-1)  # neighbours are almost collinear
    alpha[3] = 1e-4 * multitask_lasso_alpha_max(Z[3].T @ Y[3] / 60)
    alpha[3] *= 50
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-8)
    assert result.converged.all()
    assert result.n_iter[3] > result.n_iter.median()
    alone = solve_multitask_lasso(Z[:3], Y[:3], alpha[:3], tol=1e-8)
    np.testing.assert_allclose(result.coef[:3], alone.coef, atol=1e-6)


def test_warm_start_needs_fewer_iterations():
    Z, Y, alpha = problems(m=40, n=200)
    cold = solve_multitask_lasso(Z, Y, alpha, tol=1e-10)
    warm = solve_multitask_lasso(Z, Y, alpha * 1.0001, tol=1e-10, coef_init=cold.coef)
    assert warm.converged.all()
    assert warm.n_iter.sum() < cold.n_iter.sum()


def test_float32_reaches_what_float32_can():
    Z, Y, alpha = problems(m=20, n=200, dtype=torch.float32)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-5)
    assert result.coef.dtype == torch.float32
    assert result.converged.all()
    exact = solve_multitask_lasso(Z.double(), Y.double(), alpha.double(), tol=1e-12)
    # rounding of the Gram matrix, 1e-7, times its condition
    np.testing.assert_allclose(result.coef, exact.coef, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_solves_hard_designs_to_a_gap_of_1e_5(kind):
    for fraction in (0.3, 0.1):
        Z, Y, alpha = problems(32, 15, 30, kind=kind, fraction=fraction, dtype=torch.float32)
        result = solve_multitask_lasso(Z, Y, alpha, tol=1e-5)
        assert result.converged.all()


def test_a_tolerance_out_of_reach_ends_with_the_honest_gap():
    Z, Y, alpha = problems(m=20, n=200, dtype=torch.float32)
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-12, max_iter=100_000)
    assert not result.converged.any()
    assert (result.gap < 1e-5).all()
    assert (result.n_iter < 1000).all()


def test_solution_does_not_depend_on_units():
    Z, Y, alpha = problems()
    result = solve_multitask_lasso(Z, Y, alpha, tol=1e-12)
    scaled = solve_multitask_lasso(1e-6 * Z, 1e5 * Y, 1e-1 * alpha, tol=1e-12)
    np.testing.assert_allclose(1e-11 * scaled.coef, result.coef, atol=1e-10)
    np.testing.assert_array_equal(scaled.n_iter, result.n_iter)


def test_nan_stays_in_its_problem_and_is_not_converged():
    Z, Y, alpha = problems()
    Y[2, 0, 1] = torch.nan
    for design in (Z, Z[0]):
        result = solve_multitask_lasso(design, Y, alpha)
        good = torch.arange(7) != 2
        assert result.converged[good].all()
        assert not result.converged[2]


@pytest.mark.parametrize("warm", [False, True])
def test_parts_that_fit_the_cache_give_the_same_solutions(monkeypatch, warm):
    Z, Y, alpha = problems(T=11, m=20)
    start = torch.ones(11, 20, 3).double() if warm else None
    whole = solve_multitask_lasso(Z, Y, alpha, tol=1e-12, coef_init=start)
    monkeypatch.setattr(_support, "CACHED", 3 * 20**2)
    parts = solve_multitask_lasso(Z, Y, alpha, tol=1e-12, coef_init=start)
    np.testing.assert_allclose(parts.coef, whole.coef, atol=1e-9)
    np.testing.assert_array_equal(parts.converged, whole.converged)


def test_gathered_supports_give_the_same_solutions(monkeypatch):
    Z, Y, alpha = problems(T=11, m=20)
    plain = solve_multitask_lasso(Z, Y, alpha, tol=1e-12)
    monkeypatch.setattr(_support, "GATHER_WORK", 0)
    gathered = solve_multitask_lasso(Z, Y, alpha, tol=1e-12)
    np.testing.assert_allclose(gathered.coef, plain.coef, atol=1e-9)
    np.testing.assert_array_equal(gathered.coef == 0, plain.coef == 0)


@pytest.mark.parametrize("shared_design", [True, False])
@pytest.mark.parametrize("max_iter", [9, 60])
def test_stays_on_the_device_and_looks_once_a_block(shared_design, max_iter):
    with FakeTensorMode(), SyncCounter(answer=True) as counter:
        gram = fake_cuda(4, 4) if shared_design else fake_cuda(9, 4, 4)
        result = solve_multitask_lasso_gram(
            gram,
            fake_cuda(9, 4, 3),
            fake_cuda(9, 3),
            fake_cuda(9),
            max_iter=max_iter,
            coef_init=fake_cuda(9, 4, 3),
        )
        assert result.coef.device.type == ACCELERATOR
    # zero alphas are looked for once; a block of 9 iterations, two of 8, and one of 48 with a
    # look every 8 steps of the interior-point method
    assert counter.count == 1 + {9: 1, 60: 4 + 5}[max_iter]
