"""Least squares under the MCP, and the choice of a support."""

import itertools

import pytest
import torch
from devices import FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.functional import centred_gram, lasso_alpha_max, mcp_penalty
from sklearn_sparsedis.functional._mcp import mcp_threshold
from sklearn_sparsedis.implicit import mcp_gram
from sklearn_sparsedis.solvers import (
    least_squares_on,
    select_support,
    solve_lasso_gram,
    solve_mcp_gram,
)


def problem(T=8, n=200, m=5, noise=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    Z = normal(n, m) @ (torch.eye(m, dtype=torch.float64) + 0.3)
    W = normal(T, m) * (torch.rand(T, m, generator=generator) < 0.5)
    return Z, (Z @ W.T + noise * normal(n, T)).T, W


@pytest.mark.parametrize(("curvature", "width"), [(1.0, 2.0), (2.0, 0.7), (0.5, 1.5), (1.0, 1.0)])
def test_threshold_is_the_minimiser_on_a_grid(curvature, width):
    target = torch.linspace(-3, 3, 61, dtype=torch.float64)
    alpha, c, g = (torch.tensor(x, dtype=torch.float64) for x in (0.5, curvature, width))
    grid = torch.linspace(-4, 4, 160_001, dtype=torch.float64)
    found = mcp_threshold(target, alpha, g, c)

    def cost(w, x):
        return 0.5 * c * (w - x).square() + mcp_penalty(w, alpha, g)

    least = torch.stack([cost(grid, x).min() for x in target])
    # the grid's own error is half its step, squared
    torch.testing.assert_close(cost(found, target), least, rtol=0, atol=1e-8)


def test_the_slope_of_the_penalty_falls_and_vanishes_beyond_the_width():
    coef = torch.linspace(0.05, 3, 30, dtype=torch.float64, requires_grad=True)
    alpha, width = torch.tensor(0.5).double(), torch.tensor(2.0).double()
    (slope,) = torch.autograd.grad(mcp_penalty(coef, alpha, width).sum(), coef)
    torch.testing.assert_close((alpha - coef.detach() / width).clamp_min(0), slope)
    assert (slope[coef > 1] == 0).all()


def test_solution_is_stationary():
    Z, y, _ = problem()
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    alpha = 0.2 * lasso_alpha_max(corr)
    result = solve_mcp_gram(gram, corr, y_sq, alpha, tol=1e-14)
    assert result.converged.all()
    width = 2.0 / gram.diagonal()
    size = result.coef.abs()
    slope = (alpha[:, None] - size / width).clamp_min(0) * result.coef.sign()
    gradient = corr - result.coef @ gram
    used = result.coef != 0
    torch.testing.assert_close(gradient[used], slope[used], rtol=0, atol=1e-6)
    assert (gradient[~used].abs() <= alpha[:, None].expand_as(gradient)[~used] + 1e-6).all()
    residual = ((y - y.mean(1, keepdim=True)) - result.coef @ (Z - Z.mean(0)).T).square().mean(1)
    expected = 0.5 * residual + mcp_penalty(result.coef, alpha[:, None], width).sum(1)
    torch.testing.assert_close(result.objective, expected)


def test_large_gamma_is_the_lasso():
    Z, y, _ = problem()
    statistics = centred_gram(Z, y)[:3]
    alpha = 0.2 * lasso_alpha_max(statistics[1])
    lasso = solve_lasso_gram(*statistics, alpha, tol=1e-13).coef
    found = solve_mcp_gram(*statistics, alpha, gamma=1e9, tol=1e-14).coef
    torch.testing.assert_close(found, lasso, rtol=0, atol=1e-6)


def test_large_coefficients_are_not_shrunk():
    Z, y, W = problem(noise=0.01)
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    found = solve_mcp_gram(gram, corr, y_sq, 0.02, tol=1e-12).coef
    plain = least_squares_on(found != 0, gram, corr, y_sq)[0]
    beyond = (found == 0) | (found.abs() > 2.0 * 0.02 / gram.diagonal())
    whole = beyond.all(1)
    assert whole.sum() >= 4
    torch.testing.assert_close(found[whole], plain[whole], rtol=0, atol=1e-5)
    assert W.shape == found.shape


def test_certificate_sees_a_start_that_can_improve():
    Z, y, _ = problem()
    statistics = centred_gram(Z, y)[:3]
    start = torch.ones(8, 5, dtype=torch.float64)
    result = solve_mcp_gram(*statistics, 0.1, max_iter=0, coef_init=start)
    assert (result.gap > 1e-3).all()
    assert not result.converged.any()


def test_gamma_must_make_the_problem_convex_in_one_coefficient():
    with pytest.raises(ValueError, match="gamma must be above 1"):
        solve_mcp_gram(*centred_gram(*problem()[:2])[:3], 0.1, gamma=1.0)


def test_constant_feature_gets_zero():
    Z, y, _ = problem()
    Z[:, 2] = 4.0
    found = solve_mcp_gram(*centred_gram(Z, y)[:3], 0.1)
    assert (found.coef[:, 2] == 0).all()
    assert found.converged.all()


def test_indefinite_curvature_gives_a_finite_gradient():
    gram = torch.tensor([[1.0, 0.95], [0.95, 1.0]], dtype=torch.float64, requires_grad=True)
    corr = torch.tensor([[0.31, 0.3]], dtype=torch.float64)
    fit = mcp_gram(gram, corr, torch.ones(1).double(), 0.1, gamma=1.1, max_iter=2000)
    (gradient,) = torch.autograd.grad(fit.loss.sum(), gram)
    assert gradient.isfinite().all()


def test_solver_stays_on_the_device_and_looks_once_a_block():
    with FakeTensorMode(), SyncCounter(answer=True) as counter:
        gram, corr = fake_cuda(4, 4), fake_cuda(6, 4)
        y_sq, start = fake_cuda(6), fake_cuda(6, 4)
        result = solve_mcp_gram(gram, corr, y_sq, 0.1, max_iter=24, coef_init=start)
        assert result.coef.device == corr.device
    assert counter.count == 3


def best_subset(gram, corr, y_sq, n):
    """The support of least criterion among all."""
    m = corr.shape[-1]
    best = (torch.inf, None)
    for bits in itertools.product([False, True], repeat=m):
        support = torch.tensor(bits)[None]
        residual = least_squares_on(support, gram, corr[None], y_sq[None])[1]
        k = sum(bits)
        log_n = torch.tensor(float(n)).log()
        value = n * residual.log() + k * log_n * n / (n - k - 2)
        best = min(best, (float(value), support[0]), key=lambda pair: pair[0])
    return best[1]


def test_support_is_the_best_of_all():
    Z, y, W = problem(noise=0.5)
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    found = select_support(gram, corr, y_sq, torch.full((8,), 200.0).double())
    for task in range(8):
        assert torch.equal(found[task], best_subset(gram, corr[task], y_sq[task], 200))
    assert (found == (W != 0)).double().mean() > 0.85


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_rows_give_small_supports(n):
    Z, y, _ = problem(n=n)
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    found = select_support(gram, corr, y_sq, torch.full((8,), float(n)).double())
    assert (found.sum(1) <= max(0, n - 3)).all()
    assert least_squares_on(found, gram, corr, y_sq)[0].isfinite().all()


def test_constant_target_uses_nothing():
    Z, y, _ = problem()
    gram, corr, y_sq = centred_gram(Z, torch.ones_like(y))[:3]
    rows = torch.full((8,), 200.0).double()
    assert not select_support(gram, corr, y_sq, rows).any()
