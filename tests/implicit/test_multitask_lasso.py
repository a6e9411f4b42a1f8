"""Derivatives of the Lasso of several outputs."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import _support, multitask_lasso_alpha_max
from sklearn_sparsedis.implicit import lasso, multitask_lasso, multitask_lasso_gram


def problem(T=2, n=10, m=6, q=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=torch.float64)
    Y = torch.randn(T, n, q, generator=g, dtype=torch.float64)
    alpha = 0.5 * multitask_lasso_alpha_max(Z.mT @ Y / n)
    return Z.requires_grad_(), Y.requires_grad_(), alpha.requires_grad_()


def statistics(Z, Y):
    n = Z.shape[-2]
    return Z.mT @ Z / n, Z.mT @ Y / n, Y.square().mean(-2)


def test_gradcheck_on_data():
    inputs = problem()
    coef = multitask_lasso(*inputs)
    assert 0 < (coef == 0).double().mean() < 1  # both kinds of variables are there
    solution = lambda *args: multitask_lasso(*args, tol=1e-15)  # noqa: E731
    assert gradcheck(solution, inputs, eps=1e-6, atol=1e-7, rtol=1e-6)


def test_gradcheck_on_one_design_for_all_and_more_features_than_rows():
    Z, Y, alpha = problem(n=5, m=7)
    design = Z.detach()[0].requires_grad_()
    solution = lambda *args: multitask_lasso(*args, tol=1e-15)  # noqa: E731
    assert gradcheck(solution, (design, Y, alpha), eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("layout", ["shared", "one", "each"])
def test_gradcheck_on_gram_statistics(layout):
    Z, Y, alpha = problem()
    Z = Z.detach() if layout == "each" else Z.detach()[0]
    gram, corr, y_sq = statistics(Z, Y.detach())
    gram = gram[None] if layout == "one" else gram

    def fit(half, corr, y_sq, alpha):  # the matrix stays symmetric
        return multitask_lasso_gram(half + half.mT, corr, y_sq, alpha, tol=1e-15)[:2]

    args = [x.detach().clone().requires_grad_() for x in (gram / 2, corr, y_sq, alpha)]
    assert gradcheck(fit, args)
    assert gradcheck(lambda *args: fit(*args)[0], args)
    assert gradcheck(lambda *args: fit(*args)[1], args)


def test_implicit_equals_unrolled():
    Z, Y, alpha = problem()
    implicit = torch.autograd.grad(
        (multitask_lasso(Z, Y, alpha, tol=1e-15) - 1).square().sum(), [Z, Y, alpha]
    )
    coef = torch.zeros(2, 6, 3).double()
    step = 1 / torch.linalg.matrix_norm(Z.detach().mT @ Z.detach() / 10, ord=2)[:, None, None]
    for _ in range(3000):
        moved = coef - step * (Z.mT @ (Z @ coef - Y)) / 10
        norm = (moved.square().sum(-1, keepdim=True) + 1e-300).sqrt()
        coef = moved * (1 - step * alpha[:, None, None] / norm).clamp_min(0)
    unrolled = torch.autograd.grad((coef - 1).square().sum(), [Z, Y, alpha])
    for a, b in zip(implicit, unrolled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_one_output_is_the_lasso_with_and_without_outputs_of_zeros():
    Z, Y, alpha = problem(q=1)
    expected = torch.autograd.grad(
        lasso(Z, Y[..., 0], alpha, tol=1e-13).square().sum(), [Z, Y, alpha]
    )
    filled = torch.cat([torch.zeros_like(Y), Y], -1)
    for targets in (Y, filled):
        coef = multitask_lasso(Z, targets, alpha, tol=1e-13)
        found = torch.autograd.grad(coef.square().sum(), [Z, Y, alpha])
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)


def test_loss_is_half_the_mean_squared_error_of_each_output():
    Z, Y, alpha = (x.detach() for x in problem())
    coef, loss, result = multitask_lasso_gram(*statistics(Z, Y), alpha, tol=1e-14)
    np.testing.assert_allclose(loss, 0.5 * (Y - Z @ coef).square().mean(-2), rtol=1e-12)
    penalty = alpha * torch.linalg.vector_norm(coef, dim=-1).sum(-1)
    np.testing.assert_allclose(result.objective, loss.sum(-1) + penalty, rtol=1e-12)


def test_singular_support_gives_the_gradient_of_least_norm():
    Z, Y, alpha = problem(T=1)
    with torch.no_grad():
        Z[0, :, 1] = Z[0, :, 0]
        # both copies in use: Y depends on their sum
        Y[0] = 2 * Z[0, :, :1] * torch.tensor([1.0, -1, 2]) + 0.1 * Y[0]
    start = torch.zeros(1, 6, 3).double()
    start[0, :2] = torch.tensor([1.0, -1, 2])
    coef = multitask_lasso(Z, Y, alpha, tol=1e-12, coef_init=start)
    assert (coef[0, :2] != 0).all()
    merged = multitask_lasso(Z[:, :, 1:], Y, alpha, tol=1e-12)
    np.testing.assert_allclose(coef[0, :2].detach().sum(0), merged[0, 0].detach(), atol=1e-9)
    gradient = torch.autograd.grad(coef[0, :2, 0].sum(), Y)[0]
    expected = torch.autograd.grad(merged[0, 0, 0], Y)[0]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_without_penalty_it_is_the_derivative_of_least_squares():
    Z, Y, _ = problem()
    found = torch.autograd.grad(multitask_lasso(Z, Y, 0.0).square().sum(), [Z, Y])
    expected = torch.autograd.grad((torch.linalg.pinv(Z) @ Y).square().sum(), [Z, Y])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_zero_solution_has_zero_gradient():
    Z, Y, alpha = problem()
    gradients = torch.autograd.grad(multitask_lasso(Z, Y, 10 * alpha).sum(), [Z, Y, alpha])
    assert all((g == 0).all() for g in gradients)


def test_result_comes_without_a_second_solve_and_only_one_derivative_exists():
    Z, Y, alpha = problem()
    coef, result = multitask_lasso(Z, Y, alpha, return_result=True)
    assert result.converged.all()
    assert not result.coef.requires_grad
    np.testing.assert_array_equal(coef.detach(), result.coef)
    first = torch.autograd.grad(coef.square().sum(), Y, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_backward_stays_on_the_device_and_never_looks():
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        Z = fake_cuda(5, 30, 6, requires_grad=True)
        Y = fake_cuda(5, 30, 2, requires_grad=True)
        coef = multitask_lasso(Z, Y, fake_cuda(5))
        looks = counter.count
        coef.sum().backward()
        assert Z.grad.device.type == Y.grad.device.type == ACCELERATOR
    assert counter.count == looks <= 2


@pytest.mark.parametrize("m", [6, 20])
def test_derivative_in_parts_is_the_derivative(monkeypatch, m):
    inputs = problem(T=9, n=30, m=m)
    whole = torch.autograd.grad(multitask_lasso(*inputs, tol=1e-13).square().sum(), inputs)
    monkeypatch.setattr(_support, "CACHED", 2 * m**2)
    parts = torch.autograd.grad(multitask_lasso(*inputs, tol=1e-13).square().sum(), inputs)
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_float32_derivatives_are_near_those_of_float64():
    inputs = problem(n=40)
    exact = torch.autograd.grad(multitask_lasso(*inputs, tol=1e-13).square().sum(), inputs)
    single = [x.detach().float().requires_grad_() for x in inputs]
    found = torch.autograd.grad(multitask_lasso(*single, tol=1e-5).square().sum(), single)
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        # rounding of the Gram matrix, 1e-7, times its condition
        np.testing.assert_allclose(a, b, atol=1e-5 * float(b.abs().max()))


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="tolerance"):
        multitask_lasso(*problem(), tolerance=1e-3)
