"""Logistic solvers: references, certificates, degenerate problems."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.linear_model import LogisticRegression

from sklearn_sparsedis.functional import logistic_alpha_max, logistic_loss
from sklearn_sparsedis.solvers import solve_logistic_lasso, solve_logistic_ridge
from sklearn_sparsedis.solvers.smooth_loss import _steps as steps

SOLVERS = {"l1": solve_logistic_lasso, "l2": solve_logistic_ridge}
PENALTIES = sorted(SOLVERS)


def problems(T=6, n=80, m=8, seed=0, rate=-1.0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).to(dtype)
    w = torch.randn(T, m, generator=g).to(dtype) * (torch.rand(T, m, generator=g) < 0.5)
    score = (Z @ w[..., None])[..., 0] + rate
    y = (torch.rand(T, n, generator=g) < torch.sigmoid(score)).to(dtype)
    return Z, y, 0.1 * logistic_alpha_max(Z, y)


def objective(Z, y, alpha, coef, intercept, penalty, weight=None):
    """From the definition."""
    weight = torch.ones_like(y) if weight is None else weight
    score = (Z @ coef[..., None])[..., 0] + intercept[..., None]
    loss = torch.nn.functional.softplus(score, threshold=40) - y * score
    size = coef.abs().sum(-1) if penalty == "l1" else coef.square().sum(-1) / 2
    return (weight * loss).sum(-1) / weight.sum(-1) + alpha * size


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_solutions_are_scikit_learns(penalty, weighted):
    Z, y, alpha = problems()
    weight = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)).double()
    weight = weight if weighted else torch.ones_like(y)
    result = SOLVERS[penalty](Z, y, alpha, sample_weight=weight, tol=1e-13)
    assert result.converged.all()
    for t in range(len(Z)):
        C = 1 / float(alpha[t] * weight[t].sum())
        # the ratio names the penalty; saga is the only solver with l1 and a free intercept
        options = {"l1": {"l1_ratio": 1.0, "solver": "saga"}, "l2": {"solver": "newton-cholesky"}}
        peer = LogisticRegression(C=C, tol=1e-10, max_iter=20_000, **options[penalty])
        peer.fit(Z[t].numpy(), y[t].numpy(), sample_weight=weight[t].numpy())
        np.testing.assert_allclose(result.coef[t], peer.coef_[0], atol=1e-6)
        np.testing.assert_allclose(result.intercept[t], peer.intercept_[0], atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_objective_is_the_definition_and_the_gap_bounds_the_distance_to_the_optimum(penalty):
    Z, y, alpha = problems()
    solve = SOLVERS[penalty]
    best = solve(Z, y, alpha, tol=1e-13)
    found = objective(Z, y, alpha, best.coef, best.intercept, penalty)
    np.testing.assert_allclose(best.objective, found, rtol=1e-13)
    g = torch.Generator().manual_seed(2)
    for size in (3.0, 0.1, 1e-3):
        coef = best.coef + size * torch.randn(best.coef.shape, generator=g).double()
        intercept = best.intercept + size * torch.randn(6, generator=g).double()
        start = {"coef_init": coef, "intercept_init": intercept}
        there = solve(Z, y, alpha, max_iter=0, **start)
        np.testing.assert_array_equal(there.coef, coef)
        np.testing.assert_allclose(there.intercept, intercept, rtol=1e-14)
        assert (there.gap * there.objective >= there.objective - best.objective).all()
        assert (there.n_iter == 0).all()
        assert not there.converged.any()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_stationarity(penalty):
    Z, y, alpha = problems(n=40, m=60)
    result = SOLVERS[penalty](Z, y, alpha, tol=1e-12)
    assert result.converged.all()
    score = (Z @ result.coef[..., None])[..., 0] + result.intercept[:, None]
    residual = (y - torch.sigmoid(score)) / 40
    gradient = (residual[:, None] @ Z)[:, 0]
    # the gap is of second order in the distance for "l2"
    np.testing.assert_allclose(residual.sum(-1), 0, atol=1e-8)
    if penalty == "l1":
        assert (gradient.abs() <= alpha[:, None] * (1 + 1e-8)).all()
        used = result.coef != 0
        expected = (alpha[:, None] * result.coef.sign())[used]
        np.testing.assert_allclose(gradient[used], expected, rtol=1e-8)
        assert 0 < used.double().mean() < 0.5
    else:
        np.testing.assert_allclose(gradient, alpha[:, None] * result.coef, atol=1e-7)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_batches_of_any_shape_and_one_design_for_all(penalty):
    Z, y, alpha = problems()
    solve = SOLVERS[penalty]
    shared = solve(Z[0], y, alpha, tol=1e-12)
    for t in range(6):
        alone = solve(Z[0], y[t], alpha[t], tol=1e-12)
        np.testing.assert_allclose(shared.coef[t], alone.coef, atol=1e-9)
        np.testing.assert_allclose(shared.intercept[t], alone.intercept, atol=1e-9)
    each = solve(Z.view(2, 3, 80, 8), y.view(2, 3, 80), alpha.view(2, 3), tol=1e-12)
    assert each.gap.shape == each.intercept.shape == each.n_iter.shape == (2, 3)
    flat = solve(Z, y, alpha, tol=1e-12)
    np.testing.assert_allclose(each.coef.view(6, 8), flat.coef, atol=1e-12)
    broadcast = solve(Z[:1], y, alpha, tol=1e-12)
    np.testing.assert_allclose(broadcast.coef, shared.coef, atol=1e-9)


@pytest.mark.parametrize("m", [8, 60])
def test_tasks_on_different_rows_are_one_batch_by_weights_of_zero(m):
    Z, y, alpha = problems(T=3, n=60, m=m)
    owner = torch.arange(60) % 3
    weight = (owner == torch.arange(3)[:, None]).double()
    together = solve_logistic_lasso(Z[0], y, alpha, sample_weight=weight, tol=1e-12)
    for t in range(3):
        own = owner == t
        alone = solve_logistic_lasso(Z[0][own], y[t][own], alpha[t], tol=1e-12)
        np.testing.assert_allclose(together.coef[t], alone.coef, atol=1e-8)
        np.testing.assert_allclose(together.intercept[t], alone.intercept, atol=1e-8)


def test_alpha_max_is_the_smallest_strength_with_coefficients_of_zero():
    Z, y, _ = problems()
    weight = torch.rand(6, 80, generator=torch.Generator().manual_seed(1)).double()
    largest = logistic_alpha_max(Z, y, weight)
    at = solve_logistic_lasso(Z, y, largest * (1 + 1e-9), sample_weight=weight)
    rate = (weight * y).sum(-1) / weight.sum(-1)
    assert (at.coef == 0).all()
    np.testing.assert_allclose(at.intercept, torch.logit(rate), rtol=1e-9)
    below = solve_logistic_lasso(Z, y, largest * 0.999, sample_weight=weight)
    assert ((below.coef != 0).sum(-1) == 1).all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_labels_of_one_kind_have_a_constant_head_of_half_a_row(penalty):
    Z, y, alpha = problems()
    y[1], y[2] = 0, 1
    weight = torch.ones_like(y)
    weight[2, :30] = 0
    weight[3] = 0
    start = {"coef_init": torch.ones(6, 8), "intercept_init": torch.ones(6)}
    for more in ({}, start):
        result = SOLVERS[penalty](Z, y, alpha, sample_weight=weight, **more)
        assert result.converged.all()
        assert (result.coef[1:4] == 0).all()
        expected = torch.tensor([-161, 101, 1]).double()
        np.testing.assert_allclose(result.intercept[1:4], expected.sign() * expected.abs().log())
        assert (result.objective[1:4] == 0).all()
        assert (result.gap[1:4] == 0).all()
    plain = SOLVERS[penalty](Z, y, alpha)
    np.testing.assert_allclose(plain.intercept[1:3], torch.tensor([-161, 161]).sign() * np.log(161))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("fraction", [1.0, 1e-2, 1e-4])
def test_labels_that_a_head_separates(penalty, fraction):
    Z, _, _ = problems()
    y = (Z[..., 0] + 0.3 * Z[..., 1] > 0.2).double()
    alpha = fraction * logistic_alpha_max(Z, y)
    result = SOLVERS[penalty](Z, y, alpha, tol=1e-9)
    assert result.converged.all()
    score = (Z @ result.coef[..., None])[..., 0] + result.intercept[:, None]
    if fraction < 1e-3:
        assert ((score > 0) == (y > 0)).all()


def hard(kind):
    Z, y, _ = problems(n=40, m=30, rate=0.0)
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
    if kind == "dead":
        Z[..., 3], Z[2] = 0, 0
    if kind == "offset":
        Z = Z + 1e4
    if kind == "outlier":
        y = (Z[..., 0] > 0).double()
        Z[:, 0, 0], y[:, 0] = 100, 0
    if kind == "rare":
        y = torch.zeros_like(y)
        y[:, 0] = 1
    return Z, y


HARD = ["correlated", "dead", "duplicates", "near copies", "offset", "outlier", "rare", "scales"]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", [*HARD, "sums"])
def test_hard_designs(kind, penalty):
    Z, y = hard(kind)
    for fraction in (2.0, 0.3, 0.01, 1e-4):
        alpha = (fraction * logistic_alpha_max(Z, y)).clamp_min(1e-9)
        result = SOLVERS[penalty](Z, y, alpha, tol=1e-7)
        assert result.coef.isfinite().all()
        assert result.converged.all()
        assert not (kind == "dead" and (result.coef[:, 3] != 0).any())


def test_a_hard_problem_beside_easy_ones():
    Z, y, alpha = problems(m=30)
    Z[3] = Z[3].cumsum(-1)  # neighbours are almost collinear
    alpha[3] = 1e-3 * logistic_alpha_max(Z[3], y[3])
    result = solve_logistic_lasso(Z, y, alpha, tol=1e-9)
    assert result.converged.all()
    assert result.n_iter[3] > result.n_iter.median()
    alone = solve_logistic_lasso(Z[:3], y[:3], alpha[:3], tol=1e-9)
    np.testing.assert_allclose(result.coef[:3], alone.coef, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_steps_that_cannot_fail_are_enough_alone(monkeypatch, penalty):
    Z, y, alpha = problems()
    expected = SOLVERS[penalty](Z, y, alpha, tol=1e-12)
    for name in ("_plain_step", "_swept_step", "_searched_step"):
        monkeypatch.setattr(steps, name, lambda problem, state: state)
    result = SOLVERS[penalty](Z, y, alpha, tol=1e-9)
    assert result.converged.all()
    np.testing.assert_allclose(result.objective, expected.objective, rtol=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_warm_start_needs_fewer_steps_and_is_made_better_by_one(penalty):
    Z, y, alpha = problems()
    solve = SOLVERS[penalty]
    cold = solve(Z, y, alpha, tol=1e-9)
    start = {"coef_init": cold.coef * 1.001, "intercept_init": cold.intercept}
    warm = solve(Z, y, alpha, tol=1e-2, **start)
    assert (warm.n_iter == 1).all()
    exact = solve(Z, y, alpha, tol=1e-13)
    # Newton's method squares the relative distance of 1e-3
    np.testing.assert_allclose(warm.coef, exact.coef, atol=1e-5)
    assert solve(Z, y, alpha, tol=1e-9, **start).n_iter.sum() < cold.n_iter.sum()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_float32_reaches_what_float32_can(penalty):
    Z, y, alpha = problems(n=200, dtype=torch.float32)
    result = SOLVERS[penalty](Z, y, alpha, tol=1e-5)
    assert result.coef.dtype == result.intercept.dtype == torch.float32
    assert result.converged.all()
    exact = SOLVERS[penalty](Z.double(), y.double(), alpha.double(), tol=1e-12)
    # for "l2" the gap is of second order in the distance: sqrt(1e-5)
    np.testing.assert_allclose(result.coef, exact.coef, atol={"l1": 1e-4, "l2": 5e-3}[penalty])


def test_a_tolerance_out_of_reach_ends_with_the_honest_gap():
    Z, y, alpha = problems(n=200, dtype=torch.float32)
    result = solve_logistic_lasso(Z, y, alpha, tol=1e-13, max_iter=100_000)
    assert not result.converged.all()
    assert (result.gap < 1e-5).all()
    assert (result.n_iter < 100).all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_nan_stays_in_its_problem_and_is_not_converged(penalty):
    Z, y, alpha = problems()
    y[2, 0] = torch.nan
    for design in (Z, Z[0]):
        result = SOLVERS[penalty](design, y, alpha)
        good = torch.arange(6) != 2
        assert result.converged[good].all()
        assert not result.converged[2]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_no_problem_is_no_problem(penalty):
    Z, y, alpha = problems(T=0)
    result = SOLVERS[penalty](Z, y, alpha)
    assert result.coef.shape == (0, 8)
    assert result.intercept.shape == (0,)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_a_strength_that_is_not_positive_is_refused(penalty, alpha):
    Z, y, _ = problems()
    with pytest.raises(ValueError, match="alpha must be positive"):
        SOLVERS[penalty](Z, y, alpha)


def test_the_loss_and_its_slope_are_exact_for_all_scores():
    score = torch.tensor([-800.0, -30, 0, 30, 800]).double().requires_grad_()
    loss = logistic_loss(score, torch.ones(5).double())
    np.testing.assert_allclose(
        loss.detach(), [800, np.log1p(np.exp(-30)) + 30, np.log(2), np.log1p(np.exp(-30)), 0]
    )
    slope = torch.autograd.grad(loss.sum(), score)[0]
    np.testing.assert_allclose(slope, torch.sigmoid(score.detach()) - 1, atol=1e-15)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("m", [6, 60])
def test_stays_on_the_device_and_looks_once_a_block(penalty, shared, m):
    with FakeTensorMode(), SyncCounter(answer=True) as counter:
        Z = fake_cuda(50, m) if shared else fake_cuda(9, 50, m)
        y, weight = fake_cuda(9, 50), fake_cuda(9, 50)
        start = {"coef_init": fake_cuda(9, m), "intercept_init": fake_cuda(9)}
        result = SOLVERS[penalty](Z, y, fake_cuda(9), sample_weight=weight, max_iter=7, **start)
        assert result.coef.device.type == result.intercept.device.type == ACCELERATOR
    # the first step, then three blocks of two
    assert counter.count == 3


@pytest.mark.parametrize("penalty", PENALTIES)
def test_safe_steps_stay_on_the_device(monkeypatch, penalty):
    monkeypatch.setattr(steps, "EASY_BLOCKS", 0)
    with FakeTensorMode(), SyncCounter(answer=True):
        result = SOLVERS[penalty](fake_cuda(50, 6), fake_cuda(9, 50), 0.1, max_iter=9)
        assert result.coef.device.type == ACCELERATOR


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_cold_start_that_is_enough_needs_one_look(penalty):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        SOLVERS[penalty](fake_cuda(50, 6), fake_cuda(9, 50), 0.1)
    assert counter.count == 1
