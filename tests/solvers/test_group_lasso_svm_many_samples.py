"""The group-Lasso SVM of many samples: against the dual method, sparse rows, weights, starts."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale
from sklearn.svm import LinearSVC

from sklearn_sparsedis.functional import group_lasso_svm_dual, group_lasso_svm_primal
from sklearn_sparsedis.implicit import group_lasso_svm
from sklearn_sparsedis.inputs._tensors import csr_tensor
from sklearn_sparsedis.solvers import (
    group_lasso_svm_path,
    solve_group_lasso_svm,
)
from sklearn_sparsedis.solvers.group_lasso_svm import _dual, _features, _newton, _solver, _spectrum


def make_data(n=300, m=20, k=4, seed=0, density=1.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    F = rng.normal(size=(k, m))[y] * (rng.random(m) < 0.5) + rng.normal(size=(n, m))
    F[rng.random((n, m)) > density] = 0
    return torch.tensor(F), torch.tensor(y)


def one_hot(y, k):
    return torch.nn.functional.one_hot(y, k).double()


def dual_method(monkeypatch, *arguments, **options):
    with monkeypatch.context() as patch:
        patch.setattr(_solver, "DUAL_ORDER", 10**9)
        return solve_group_lasso_svm(*arguments, **options)


@pytest.mark.parametrize("group_reg", [0.0, 15.0, 40.0])
@pytest.mark.parametrize("direct", [0, 10**9])
def test_it_agrees_with_the_dual_method(monkeypatch, group_reg, direct):
    monkeypatch.setattr(_newton, "_DIRECT_ORDER", direct)
    F, y = make_data()
    result = solve_group_lasso_svm(F, y, group_reg, 0.7, tol=1e-10)
    reference = dual_method(monkeypatch, F, y, group_reg, 0.7, tol=1e-12)
    assert result.converged
    assert result.gap <= 1e-10
    torch.testing.assert_close(result.objective, reference.objective, rtol=1e-9, atol=0)
    torch.testing.assert_close(result.coef, reference.coef, rtol=0, atol=1e-5)
    used, expected = ((r.coef != 0).any(-1) for r in (result, reference))
    assert (used == expected).all()
    assert group_reg == 0 or 0 < used.sum() < 20


def test_the_gap_is_that_of_the_points_returned_and_they_meet_the_conditions():
    F, y = make_data()
    result = solve_group_lasso_svm(F, y, 10.0, 0.7, tol=1e-11)
    W, dual, Y = result.coef, result.dual_coef, one_hot(y, 4)
    primal = group_lasso_svm_primal(W, F, Y, 10.0, 0.7)
    value = group_lasso_svm_dual(dual, F, Y, 10.0, 0.7)
    assert (primal - value) / primal <= 1e-11 + 1e-14
    torch.testing.assert_close(dual.sum(1), torch.ones(300).double())
    assert (dual >= 0).all()
    V, norm = F.T @ (Y - dual), W.norm(dim=1, keepdim=True)
    used = norm[:, 0] > 0
    stationary = V[used] - (10.0 / norm[used] + 0.7) * W[used]
    assert stationary.abs().max() < 1e-3
    assert (V[~used].norm(dim=1) <= 10.0 * (1 + 1e-6)).all()
    # nonzero entries of Lambda belong to the worst rivals
    margins = 1 - Y + F @ W - (F @ W * Y).sum(1, keepdim=True)
    assert (dual * (margins.amax(1, keepdim=True) - margins)).sum() < 1e-8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_digits_are_solved_in_few_steps(dtype):
    X, y = load_digits(return_X_y=True)
    F, labels = torch.tensor(scale(X), dtype=dtype), torch.tensor(y)
    result = solve_group_lasso_svm(F, labels, 100.0, 1.0, tol=1e-6)
    assert result.coef.dtype == result.dual_coef.dtype == dtype
    assert result.converged
    assert result.n_iter < 80


def test_without_group_penalty_it_is_the_svm_of_crammer_and_singer():
    F, y = make_data()
    result = solve_group_lasso_svm(F, y, 0.0, 0.25, tol=1e-11)
    peer = LinearSVC(
        multi_class="crammer_singer", C=4.0, fit_intercept=False, tol=1e-9, max_iter=10**6
    ).fit(F.numpy(), y.numpy())
    np.testing.assert_allclose(result.coef.T, peer.coef_, atol=1e-5)


@pytest.mark.parametrize("copied", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_sparse_rows_give_what_dense_ones_do(monkeypatch, copied, fit_intercept):
    for share in ("_COPIED_SHARE", "_WORTH_COPYING", "_WORTH_SKIPPING"):
        monkeypatch.setattr(_features, share, copied)
    F, y = make_data(density=0.3)
    options = {"tol": 1e-12, "fit_intercept": fit_intercept}
    dense = solve_group_lasso_svm(F, y, 3.0, 0.7, **options)
    rows = csr_tensor(sparse.csr_array(F.numpy()))
    result = solve_group_lasso_svm(rows, y, 3.0, 0.7, **options)
    assert result.converged
    torch.testing.assert_close(result.coef, dense.coef, rtol=0, atol=1e-6)
    if fit_intercept:
        torch.testing.assert_close(result.intercept, dense.intercept, rtol=0, atol=1e-6)


def test_features_may_come_into_use_one_at_a_time(monkeypatch):
    F, y = make_data()
    reference = solve_group_lasso_svm(F, y, 3.0, 0.7, tol=1e-10)
    monkeypatch.setattr(_newton, "_FIRST", 1)
    chosen, call = [], _newton._chosen

    def counted(*arguments):
        chosen.append(call(*arguments))
        return chosen[-1]

    monkeypatch.setattr(_newton, "_chosen", counted)
    result = solve_group_lasso_svm(F, y, 3.0, 0.7, tol=1e-10)
    assert chosen[0].sum() == 1 < (result.coef != 0).any(-1).sum()
    torch.testing.assert_close(result.coef, reference.coef, rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", [400, 3])
def test_the_preconditioner_is_an_inverse(monkeypatch, order):
    monkeypatch.setattr(_spectrum, "_ORDER", order)
    draw = torch.Generator().manual_seed(0)
    p, k, r = 5, 3, 2
    diagonal, curve = (torch.rand(p, 1, generator=draw).double() for _ in range(2))
    curve = 1e6 * curve
    unit, directions, x = (torch.randn(p, q, generator=draw).double() for q in (k, r, k))
    unit = unit / unit.norm(dim=1, keepdim=True)
    # of rank two, as the sums over classes are zero
    coupling = torch.eye(k).double() - 1 / k
    solved = _spectrum.Preconditioner(diagonal, curve, unit, directions, coupling)(x)
    directions = directions[:, -max(1, order // k) :]
    across = solved - unit * (unit * solved).sum(1, keepdim=True)
    again = diagonal * solved + curve * across + directions @ directions.mT @ solved @ coupling
    torch.testing.assert_close(again, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [60, 300])
def test_an_intercept_is_a_column_of_ones_that_the_group_penalty_leaves_out(n):
    F, y = make_data(n)
    result = solve_group_lasso_svm(F, y, 5.0, 0.7, tol=1e-10, fit_intercept=True)
    ones = torch.cat([F, F.new_ones(n, 1)], dim=1)
    weight = torch.ones(21).double()
    weight[-1] = 0
    peer = solve_group_lasso_svm(ones, y, 5.0, 0.7, tol=1e-10, feature_weight=weight)
    torch.testing.assert_close(result.coef, peer.coef[:-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(result.intercept, peer.coef[-1], rtol=0, atol=1e-6)


def test_weights_are_repeated_rows_and_rows_of_weight_zero_do_not_count():
    F, y = make_data()
    weight = torch.arange(300).remainder(3).double()
    result = solve_group_lasso_svm(F, y, 3.0, 0.7, tol=1e-11, sample_weight=weight)
    times = weight.long()
    rows, labels = F.repeat_interleave(times, 0), y.repeat_interleave(times)
    repeated = solve_group_lasso_svm(rows, labels, 3.0, 0.7, tol=1e-11)
    torch.testing.assert_close(result.coef, repeated.coef, rtol=0, atol=1e-6)


@pytest.mark.parametrize("change", ["zero", "twins", "constant", "units", "separable"])
def test_hard_data_are_certified(change):
    F, y = make_data()
    if change == "zero":
        F[:, :5] = 0
    elif change == "twins":
        F[:, 5:10], F[150:], y[150:] = F[:, :5], F[:150], y[:150]
    elif change == "constant":
        F[:, 0] = 100.0
    elif change == "units":
        F = F * torch.logspace(-3, 3, 20).double()
    else:
        F = F + 20 * one_hot(y, 20)
    for group_reg in (0.0, 1.0, 1e6):
        result = solve_group_lasso_svm(F, y, group_reg, 0.1, tol=1e-7)
        assert result.converged
        assert group_reg < 1e6 or (result.coef == 0).all()


def test_a_batch_gives_what_its_problems_give_alone():
    (F, y), (G, z) = make_data(), make_data(seed=1)
    group_reg = torch.tensor([3.0, 10.0]).double()
    both = solve_group_lasso_svm(torch.stack([F, G]), torch.stack([y, z]), group_reg, 0.7)
    alone = solve_group_lasso_svm(G, z, 10.0, 0.7)
    torch.testing.assert_close(both.coef[1], alone.coef, rtol=0, atol=1e-12)
    assert both.gap.shape == both.n_iter.shape == (2,)


def test_a_path_agrees_with_cold_starts_and_takes_fewer_steps():
    F, y = make_data()
    strengths = [20.0, 18.0, 16.0]
    path = group_lasso_svm_path(F, y, strengths, 0.7, tol=1e-8)
    cold = [solve_group_lasso_svm(F, y, strength, 0.7, tol=1e-8) for strength in strengths]
    for warm, other in zip(path, cold, strict=True):
        torch.testing.assert_close(warm.objective, other.objective, rtol=2e-8, atol=0)
    assert sum(int(r.n_iter) for r in path[1:]) < sum(int(r.n_iter) for r in cold[1:])


def make_wide(n=150, m=600, k=6):
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    return torch.tensor(rng.normal(size=(n, m))), torch.tensor(y)


@pytest.mark.parametrize("l2_reg", [0.01, 1e-4])
def test_wide_tables_with_weak_penalties_converge(l2_reg):
    F, y = make_wide(n=110, m=440)
    result = solve_group_lasso_svm(F, y, 0.1, l2_reg, tol=1e-6, fit_intercept=True)
    assert result.converged
    ones = torch.cat([F, F.new_ones(110, 1)], dim=1)
    W = torch.cat([result.coef, result.intercept[None]])
    weight = torch.ones(441).double()
    weight[-1] = 0
    options = {"feature_weight": weight}
    primal = group_lasso_svm_primal(W, ones, one_hot(y, 6), 0.1, l2_reg, **options)
    value = group_lasso_svm_dual(result.dual_coef, ones, one_hot(y, 6), 0.1, l2_reg, **options)
    assert (primal - value) / primal <= 1e-6


@pytest.mark.parametrize("max_iter", [15, 400])
def test_steps_go_on_where_the_dual_does_not_help(monkeypatch, max_iter):
    F, y = make_wide()
    monkeypatch.setattr(_dual, "_PLAIN_ITERATIONS", 4)
    monkeypatch.setattr(_dual, "finish_on_face", lambda *x, **options: None)
    monkeypatch.setattr(_dual, "_STIFF_ORDER", 0)
    result = solve_group_lasso_svm(F, y, 0.1, 1.0, tol=1e-6, max_iter=max_iter)
    assert result.converged == (max_iter == 400)
    assert 14 < result.n_iter <= max_iter


def test_too_few_steps_are_reported():
    F, y = make_data()
    result = solve_group_lasso_svm(F, y, 3.0, 0.7, max_iter=2)
    assert not result.converged
    assert result.gap > 1e-8
    assert result.n_iter == 2


@pytest.mark.parametrize("group_reg", [3.0, 30.0])
def test_derivatives_are_those_of_the_dual_method_and_of_finite_differences(monkeypatch, group_reg):
    F, y = make_data(200, 10)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(10, 4, generator=generator, dtype=torch.float64)
    move = torch.randn(200, 10, generator=generator, dtype=torch.float64)

    def loss(*arguments):
        return (direction * group_lasso_svm(arguments[0], y, *arguments[1:], tol=1e-11)).sum()

    arguments = [F, torch.tensor(group_reg).double(), torch.tensor(0.7).double()]
    leaves = [x.clone().requires_grad_() for x in arguments]
    grads = torch.autograd.grad(loss(*leaves), leaves)
    with monkeypatch.context() as patch:
        patch.setattr(_solver, "DUAL_ORDER", 10**9)
        expected = torch.autograd.grad(loss(*leaves), leaves)
    for grad, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-5)
    step = 1e-6
    ahead, behind = (loss(F + sign * step * move, *arguments[1:]) for sign in (1, -1))
    slope = (ahead - behind) / (2 * step)
    torch.testing.assert_close((grads[0] * move).sum(), slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda F, y: solve_group_lasso_svm(F.to_sparse(), y, 1.0, 1.0), TypeError, "sparse rows"),
        (lambda F, y: group_lasso_svm(F.to_sparse_csr(), y, 1.0, 1.0), TypeError, "to_dense"),
        (
            lambda F, y: solve_group_lasso_svm(F, y, 1.0, 1.0, coef_init=torch.ones(3, 4)),
            ValueError,
            r"coef_init must have the shape of the batch and \(20, 4\)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
def test_invalid_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call(*make_data())
