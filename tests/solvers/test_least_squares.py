"""Lasso and ridge solvers: references, certificates, degenerate problems."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.linear_model import Lasso, Ridge

from sklearn_sparsedis.functional import _support, centred_gram, lasso_alpha_max
from sklearn_sparsedis.solvers import (
    solve_lasso,
    solve_lasso_gram,
    solve_mcp_gram,
    solve_ridge,
    solve_ridge_gram,
)

SOLVERS = {"l1": solve_lasso_gram, "l2": solve_ridge_gram, "mcp": solve_mcp_gram}
PENALTIES = sorted(SOLVERS)
CASES = ["alpha_ge_max", "alpha_zero", "collinear", "n50_m6", "n_lt_m"]


def problems(T=7, n=40, m=8, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=dtype)
    w = torch.randn(T, m, generator=g, dtype=dtype) * (torch.rand(T, m, generator=g) < 0.5)
    y = (Z @ w[..., None])[..., 0] + 0.3 * torch.randn(T, n, generator=g, dtype=dtype)
    alpha = 0.1 * lasso_alpha_max((Z.mT @ y[..., None])[..., 0] / n)
    return Z, y, alpha


@pytest.mark.parametrize("case", CASES)
def test_stored_references(shared, case):
    data = np.load(shared / "references" / "cases" / f"B_{case}.npz")
    Z, y = torch.tensor(data["Z"]), torch.tensor(data["y"])
    result = solve_lasso(Z, y, float(data["alpha"]), tol=1e-10)
    assert result.converged
    assert float(result.objective) == pytest.approx(float(data["objective"]), rel=1e-8)
    if data["w_unique"]:
        np.testing.assert_allclose(result.coef, data["w"], atol=1e-8)


def test_lasso_is_scikit_learns():
    Z, y, alpha = problems()
    result = solve_lasso(Z, y, alpha, tol=1e-10)
    assert result.converged.all()
    for t in range(len(Z)):
        peer = Lasso(alpha=float(alpha[t]), fit_intercept=False, tol=1e-12)
        np.testing.assert_allclose(result.coef[t], peer.fit(Z[t], y[t]).coef_, atol=1e-7)


def test_ridge_is_scikit_learns():
    Z, y, alpha = problems()
    result = solve_ridge(Z, y, alpha)
    assert result.converged.all()
    for t in range(len(Z)):
        peer = Ridge(alpha=float(alpha[t]) * Z.shape[1], fit_intercept=False)
        peer.set_params(alpha=float(alpha[t]) * len(Z[t]))
        np.testing.assert_allclose(result.coef[t], peer.fit(Z[t], y[t]).coef_, atol=1e-10)


def test_gap_bounds_the_distance_to_the_optimum():
    Z, y, alpha = problems(m=30)
    best = solve_lasso(Z, y, alpha, tol=1e-13).objective
    start = solve_lasso(Z, y, alpha, tol=1e-13, max_iter=0, coef_init=torch.ones(7, 30).double())
    scale = start.objective.maximum(0.5e-3 * y.square().mean(-1))
    assert (start.gap * scale >= start.objective - best - 1e-12).all()
    assert not start.converged.any()
    assert (start.n_iter == 0).all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_batched_equals_looped_and_one_gram_serves_all(penalty):
    Z, y, alpha = problems()
    solve = SOLVERS[penalty]
    shared_design = centred_gram(Z[0], y)
    batched = solve(*shared_design[:3], alpha, tol=1e-12)
    for t in range(len(y)):
        alone = solve(*centred_gram(Z[:1], y[t : t + 1])[:3], alpha[t : t + 1], tol=1e-12)
        np.testing.assert_allclose(batched.coef[t], alone.coef[0], atol=1e-9)


def test_a_hard_problem_beside_easy_ones():
    Z, y, alpha = problems(n=60, m=40)
    Z[3] = Z[3].cumsum(-1)  # neighbours are almost collinear
    alpha[3] = 1e-4 * lasso_alpha_max(Z[3].T @ y[3] / 60)
    result = solve_lasso(Z, y, alpha, tol=1e-8)
    assert result.converged.all()
    assert result.n_iter[3] > result.n_iter.median()
    alone = solve_lasso(Z[:3], y[:3], alpha[:3], tol=1e-8)
    np.testing.assert_allclose(result.coef[:3], alone.coef, atol=1e-6)


def test_warm_start_needs_fewer_iterations():
    Z, y, alpha = problems(m=40, n=200)
    cold = solve_lasso(Z, y, alpha, tol=1e-10)
    warm = solve_lasso(Z, y, alpha * 1.0001, tol=1e-10, coef_init=cold.coef)
    assert warm.converged.all()
    assert warm.n_iter.sum() < cold.n_iter.sum()


@pytest.mark.parametrize("fraction", [0.0, 1e-6, 0.1, 1.0, 2.0])
def test_degenerate_designs(fraction):
    Z, y, _ = problems(n=12, m=20)
    Z[0, :, 1] = Z[0, :, 0]  # a duplicate
    Z[1, :, 2] = 0  # a dead feature
    Z[2] = 0
    y[3] = 0
    alpha = fraction * lasso_alpha_max((Z.mT @ y[..., None])[..., 0] / 12)
    result = solve_lasso(Z, y, alpha, tol=1e-7)
    assert result.coef.isfinite().all()
    assert result.converged.all()
    assert (result.coef[1:3, 2] == 0).all()
    assert (result.coef[3] == 0).all()
    if fraction >= 1:
        assert (result.coef == 0).all()


def test_float32_reaches_what_float32_can():
    Z, y, alpha = problems(m=20, n=200, dtype=torch.float32)
    result = solve_lasso(Z, y, alpha, tol=1e-5)
    assert result.coef.dtype == torch.float32
    assert result.converged.all()
    exact = solve_lasso(Z.double(), y.double(), alpha.double(), tol=1e-12)
    # rounding of the Gram matrix, 1e-7, times its condition
    np.testing.assert_allclose(result.coef, exact.coef, atol=1e-4)


@pytest.mark.parametrize("shared_design", [True, False])
def test_stays_on_the_device_and_looks_once_a_block(shared_design):
    with FakeTensorMode(), SyncCounter(answer=True) as counter:
        Z = fake_cuda(50, 6) if shared_design else fake_cuda(9, 50, 6)
        statistics = centred_gram(Z, fake_cuda(9, 50))
        start = fake_cuda(9, 6)
        result = solve_lasso_gram(*statistics[:3], fake_cuda(9), max_iter=26, coef_init=start)
        assert result.coef.device.type == ACCELERATOR
    # zero alphas are looked for once; blocks of 1, 3 + 11 and 11 iterations
    assert counter.count == 1 + 3


@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_layout_of_the_gram_matrix_is_taken(penalty):
    Z, y, alpha = problems(T=6)
    gram, corr, y_sq = centred_gram(Z[0], y)[:3]
    solve = SOLVERS[penalty]
    expected = solve(gram, corr, y_sq, alpha, tol=1e-12)
    for layout in (gram[None], gram.expand(6, 8, 8)):
        found = solve(layout, corr, y_sq, alpha, tol=1e-12)
        np.testing.assert_allclose(found.coef, expected.coef, atol=1e-12)
    blocks = solve(gram, corr.view(2, 3, 8), y_sq.view(2, 3), alpha.view(2, 3), tol=1e-12)
    assert blocks.gap.shape == blocks.n_iter.shape == (2, 3)
    np.testing.assert_allclose(blocks.coef.view(6, 8), expected.coef, atol=1e-12)
    one = solve(gram, corr[0], y_sq[0], alpha[0], tol=1e-12)
    np.testing.assert_allclose(one.coef, expected.coef[0], atol=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_no_problem_is_no_problem(penalty):
    Z, y, alpha = problems(T=0)
    result = SOLVERS[penalty](*centred_gram(Z, y)[:3], alpha)
    assert result.coef.shape == (0, 8)


@pytest.mark.parametrize("warm", [False, True])
def test_parts_that_fit_the_cache_give_the_same_solutions(monkeypatch, warm):
    Z, y, alpha = problems(T=11, m=20)
    start = torch.ones(11, 20).double() if warm else None
    whole = solve_lasso(Z, y, alpha, tol=1e-12, coef_init=start)
    monkeypatch.setattr(_support, "CACHED", 3 * 20**2)
    parts = solve_lasso(Z, y, alpha, tol=1e-12, coef_init=start)
    np.testing.assert_allclose(parts.coef, whole.coef, atol=1e-12)
    np.testing.assert_array_equal(parts.converged, whole.converged)


@pytest.mark.parametrize("kind", ["correlated", "sums", "duplicates", "near copies", "scales"])
def test_hard_designs_with_more_features_than_rows(kind):
    Z, y, _ = problems(n=15, m=30)
    if kind == "correlated":
        Z = 0.99 * Z[..., :1] + 0.1 * Z
    if kind == "sums":
        Z = Z.cumsum(-1)
    if kind == "duplicates":
        Z[..., 15:] = Z[..., :15]
    if kind == "near copies":
        Z[..., 15:] = Z[..., :15] + 1e-5 * Z[..., 15:]
    if kind == "scales":
        Z = Z * torch.logspace(-3, 3, 30).double()
    for fraction in (0.3, 0.01, 1e-4):
        alpha = fraction * lasso_alpha_max((Z.mT @ y[..., None])[..., 0] / 15)
        result = solve_lasso(Z, y, alpha, tol=1e-8)
        assert result.converged.all()


def test_solution_does_not_depend_on_units():
    Z, y, alpha = problems()
    result = solve_lasso(Z, y, alpha, tol=1e-12)
    scaled = solve_lasso(1e-6 * Z, 1e5 * y, 1e-1 * alpha, tol=1e-12)
    np.testing.assert_allclose(1e-11 * scaled.coef, result.coef, atol=1e-10)
    np.testing.assert_array_equal(scaled.n_iter, result.n_iter)


def test_a_tolerance_out_of_reach_ends_with_the_honest_gap():
    Z, y, alpha = problems(m=20, n=200, dtype=torch.float32)
    result = solve_lasso(Z, y, alpha, tol=1e-12, max_iter=100_000)
    assert not result.converged.any()
    assert (result.gap < 1e-5).all()
    assert (result.n_iter < 1000).all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_nan_stays_in_its_problem_and_is_not_converged(penalty):
    Z, y, alpha = problems()
    y[2, 0] = torch.nan
    solve = SOLVERS[penalty]
    for design in (Z, Z[0]):
        result = solve(*centred_gram(design, y)[:3], alpha)
        good = torch.arange(len(y)) != 2
        assert result.converged[good].all()
        assert not result.converged[2]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_without_penalty_the_solution_has_least_norm(penalty):
    Z, y, _ = problems(n=6, m=10)
    solve = SOLVERS[penalty]
    result = solve(*centred_gram(Z[0], y, centre=False)[:3], 0.0)
    expected = (torch.linalg.pinv(Z[0]) @ y[..., None])[..., 0]
    np.testing.assert_allclose(result.coef, expected, atol=1e-8)
    assert result.converged.all()


def test_a_good_start_is_made_exact():
    Z, y, alpha = problems()
    exact = solve_lasso(Z, y, alpha, tol=1e-13).coef
    result = solve_lasso(Z, y, alpha, tol=1e-3, coef_init=exact * 1.001)
    np.testing.assert_allclose(result.coef, exact, atol=1e-10)
    assert (result.n_iter == 1).all()
