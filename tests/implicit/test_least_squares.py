"""Derivatives of Lasso and ridge solutions."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import _support, centred_gram, lasso_alpha_max
from sklearn_sparsedis.implicit import lasso, lasso_gram, ridge
from sklearn_sparsedis.penalties import PENALTIES as BY_NAME

CASES = ["alpha_zero", "n50_m6", "n_lt_m"]
SOLUTIONS = {"l1": lasso, "l2": ridge}
PENALTIES = sorted(name for name, kind in BY_NAME.items() if kind.trained_through == kind)


def problem(T=3, n=15, m=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=torch.float64)
    y = torch.randn(T, n, generator=g, dtype=torch.float64)
    alpha = 0.3 * lasso_alpha_max((Z.mT @ y[..., None])[..., 0] / n)
    return Z.requires_grad_(), y.requires_grad_(), alpha.requires_grad_()


@pytest.mark.parametrize("options", [{}, {"tol": 1e-12}], ids=["default", "strict"])
@pytest.mark.parametrize("case", CASES)
def test_stored_hypergradients(shared, case, options):
    data = np.load(shared / "references" / "cases" / f"B_{case}.npz")
    Z, y = (torch.tensor(data[k], requires_grad=True) for k in ("Z", "y"))
    alpha = torch.tensor(data["alpha"], dtype=torch.float64, requires_grad=True)
    coef = lasso(Z, y, alpha, **options)
    outer = (torch.tensor(data["Q"]) @ coef - torch.tensor(data["yq"])).square().mean()
    found = torch.autograd.grad(outer, [Z, y, alpha])
    for gradient, name in zip(found, ("gZ_fd", "gy_implicit", "galpha_fd"), strict=True):
        stored = data[name]
        np.testing.assert_allclose(gradient, stored, rtol=1e-6, atol=1e-6 * abs(stored).max())


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_gradcheck_on_data(penalty):
    solution = SOLUTIONS[penalty]
    assert gradcheck(lambda *args: solution(*args, tol=1e-14), problem())


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("weights", [None, "rows", "labels"])
def test_gradcheck_on_one_shared_design(penalty, weights):
    Z, y, alpha = problem(n=12, m=4)
    g = torch.Generator().manual_seed(1)
    shape = {None: None, "rows": (12,), "labels": (3, 12)}[weights]
    weight = None if shape is None else torch.rand(shape, generator=g).double().round(decimals=1)

    def solution(Z, y, alpha):
        gram, corr, y_sq, _, _ = centred_gram(Z, y, weight)
        return BY_NAME[penalty].fit(gram, corr, y_sq, alpha, tol=1e-14).coef

    assert gradcheck(solution, (Z.detach()[0].requires_grad_(), y, alpha))


def test_implicit_equals_unrolled():
    Z, y, alpha = problem()
    target = torch.ones(3, 6).double()
    implicit = torch.autograd.grad((lasso(Z, y, alpha, tol=1e-14) - target).square().sum(), Z)[0]
    coef = torch.zeros(3, 6).double()
    step = 1 / torch.linalg.matrix_norm(Z.detach().mT @ Z.detach() / 15, ord=2)[:, None]
    for _ in range(3000):
        gradient = (Z.mT @ ((Z @ coef[..., None])[..., 0] - y)[..., None])[..., 0] / 15
        moved = coef - step * gradient
        coef = moved.sign() * (moved.abs() - step * alpha[:, None]).clamp_min(0)
    unrolled = torch.autograd.grad((coef - target).square().sum(), Z)[0]
    np.testing.assert_allclose(implicit, unrolled, atol=1e-9)


def test_singular_support_gives_the_gradient_of_least_norm():
    Z, y, alpha = problem(T=1)
    with torch.no_grad():
        Z[0, :, 1] = Z[0, :, 0]
        # both copies in use: y depends on their sum
        y[0] = 2 * Z[0, :, 0] + 0.1 * y[0]
    start = torch.tensor([[1.0, 1.0, 0, 0, 0, 0]]).double()
    coef = lasso(Z, y, alpha, tol=1e-12, coef_init=start)
    assert (coef[0, :2] != 0).all()
    gradient = torch.autograd.grad(coef[0, :2].sum(), y)[0]
    merged = lasso(Z[:, :, 1:], y, alpha, tol=1e-12)
    expected = torch.autograd.grad(merged[0, 0], y)[0]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_zero_solution_has_zero_gradient():
    Z, y, alpha = problem()
    gradients = torch.autograd.grad(lasso(Z, y, 10 * alpha).sum(), [Z, y, alpha])
    assert all((g == 0).all() for g in gradients)


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_result_comes_without_a_second_solve(penalty):
    Z, y, alpha = problem()
    coef, result = SOLUTIONS[penalty](Z, y, alpha, return_result=True)
    assert result.converged.all()
    assert not result.coef.requires_grad
    np.testing.assert_array_equal(coef.detach(), result.coef)


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_backward_stays_on_the_device_and_never_looks(penalty):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        Z = fake_cuda(5, 30, 6, requires_grad=True)
        y = fake_cuda(5, 30, requires_grad=True)
        coef = SOLUTIONS[penalty](Z, y, fake_cuda(5))
        looks = counter.count
        coef.sum().backward()
        assert Z.grad.device.type == ACCELERATOR
    assert counter.count == looks <= 2


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("layout", ["shared", "one", "each"])
def test_gradcheck_on_gram_statistics(penalty, layout):
    Z, y, alpha = problem(n=12, m=4)
    statistics = centred_gram(Z.detach() if layout == "each" else Z.detach()[0], y.detach())
    gram = statistics.gram[None] if layout == "one" else statistics.gram

    def fit(half, corr, y_sq, alpha):  # the matrix stays symmetric
        return BY_NAME[penalty].fit(half + half.mT, corr, y_sq, alpha, tol=1e-14)[:2]

    args = (gram / 2, statistics.corr, statistics.y_sq, alpha)
    args = [x.detach().clone().requires_grad_() for x in args]
    assert gradcheck(fit, args)
    assert gradcheck(lambda *args: fit(*args)[0], args)
    assert gradcheck(lambda *args: fit(*args)[1], args)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_loss_is_half_the_mean_squared_error_without_the_penalty(penalty):
    Z, y, alpha = (x.detach() for x in problem())
    statistics = centred_gram(Z, y, centre=False)
    coef, loss, _ = BY_NAME[penalty].fit(*statistics[:3], alpha, tol=1e-14)
    residual = y - (Z @ coef[..., None])[..., 0]
    np.testing.assert_allclose(loss, 0.5 * residual.square().mean(-1), rtol=1e-12)


def test_a_warm_solve_is_the_cold_one_where_supports_change_and_where_systems_are_singular():
    Z, y, alpha = (x.detach() for x in problem(T=5, n=30, m=6))
    Z = torch.cat([Z, Z[:, :, :1]], -1)  # a copy of the first feature
    start = torch.randn(5, 7, generator=torch.Generator().manual_seed(3)).double()
    start[2] = 0
    gram, corr, y_sq, _, _ = centred_gram(Z, y)
    corr.requires_grad_()
    cold = lasso_gram(gram, corr, y_sq, alpha, tol=1e-13)
    warm = lasso_gram(gram, corr, y_sq, alpha, tol=1e-13, coef_init=start)
    assert warm.result.converged.all()
    np.testing.assert_allclose(warm.loss.detach(), cold.loss.detach(), rtol=1e-11)
    gradients = [torch.autograd.grad(fit.loss.sum(), corr)[0] for fit in (cold, warm)]
    # the solutions may share a weight between the copies as they like
    found, expected = (torch.cat([x[:, :1] + x[:, 6:], x[:, 1:6]], 1) for x in gradients)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_one_design_for_all_is_the_design_repeated(penalty):
    Z, y, alpha = problem(T=4)
    shared = Z.detach()[0].requires_grad_()
    each = shared.detach().expand(4, 15, 6).clone().requires_grad_()
    coef, repeated = (SOLUTIONS[penalty](X, y, alpha, tol=1e-13) for X in (shared, each))
    np.testing.assert_allclose(coef.detach(), repeated.detach(), atol=1e-12)
    found = torch.autograd.grad(coef.square().sum(), [shared, y, alpha])
    expected = torch.autograd.grad(repeated.square().sum(), [each, y, alpha])
    np.testing.assert_allclose(found[0], expected[0].sum(0), atol=1e-11)
    for a, b in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_strength_may_depend_on_the_statistics():
    Z, y, _ = problem()

    def solution(Z, y):
        gram, corr, y_sq, _, _ = centred_gram(Z, y)
        return lasso_gram(gram, corr, y_sq, 0.3 * lasso_alpha_max(corr), tol=1e-14).coef

    assert gradcheck(solution, (Z, y))


@pytest.mark.parametrize("m", [6, 20])
def test_derivative_in_parts_is_the_derivative(monkeypatch, m):
    Z, y, alpha = problem(T=9, n=30, m=m)
    inputs = [Z, y, alpha]
    whole = torch.autograd.grad(lasso(*inputs, tol=1e-12).square().sum(), inputs)
    monkeypatch.setattr(_support, "CACHED", 2 * m**2)
    parts = torch.autograd.grad(lasso(*inputs, tol=1e-12).square().sum(), inputs)
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_derivative_from_a_warm_start_is_that_from_zero():
    inputs = problem()
    cold = lasso(*inputs, tol=1e-13)
    expected = torch.autograd.grad(cold.square().sum(), inputs)
    warm = lasso(*inputs, coef_init=cold.detach() * 1.0001)
    found = torch.autograd.grad(warm.square().sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_singular_support_with_a_loss_that_tells_copies_apart_stays_bounded():
    Z, y, alpha = problem(T=1)
    with torch.no_grad():
        Z[0, :, 1] = Z[0, :, 0]
        y[0] = 2 * Z[0, :, 0] + 0.1 * y[0]
    start = torch.tensor([[1.0, 1.0, 0, 0, 0, 0]]).double()
    coef = lasso(Z, y, alpha, tol=1e-12, coef_init=start)
    found = torch.autograd.grad(coef[0, 0], [Z, y, alpha], retain_graph=True)
    half = torch.autograd.grad(coef[0, :2].sum() / 2, [Z, y, alpha])
    # the difference of the copies is not determined, and counts as constant
    for a, b in zip(found, half, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_float32_derivatives_are_near_those_of_float64(penalty):
    inputs = problem(n=40)
    exact = torch.autograd.grad(SOLUTIONS[penalty](*inputs, tol=1e-13).square().sum(), inputs)
    single = [x.detach().float().requires_grad_() for x in inputs]
    found = torch.autograd.grad(SOLUTIONS[penalty](*single, tol=1e-5).square().sum(), single)
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        # rounding of the Gram matrix, 1e-7, times its condition
        np.testing.assert_allclose(a, b, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("penalty", sorted(SOLUTIONS))
def test_unknown_options_are_refused(penalty):
    with pytest.raises(TypeError, match="tolerance"):
        SOLUTIONS[penalty](*problem(), tolerance=1e-3)
