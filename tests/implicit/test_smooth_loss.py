"""Derivatives of logistic solutions."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import logistic_alpha_max, logistic_loss
from sklearn_sparsedis.implicit import logistic_lasso, logistic_lasso_fit, logistic_ridge_fit
from sklearn_sparsedis.solvers import solve_logistic_lasso, solve_logistic_ridge

FITS = {"l1": logistic_lasso_fit, "l2": logistic_ridge_fit}
SOLVERS = {"l1": solve_logistic_lasso, "l2": solve_logistic_ridge}
PENALTIES = sorted(FITS)


def problem(T=3, n=12, m=3, seed=0, shared=False):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).double()
    Z = Z[0] if shared else Z
    # inside of the domain, so that finite differences may move them
    y = 0.1 + 0.8 * (torch.rand(T, n, generator=g) < 0.5).double()
    alpha = 0.3 * logistic_alpha_max(Z, y)
    return [x.requires_grad_() for x in (Z, y, alpha)]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("weights", [None, "rows", "labels"])
def test_gradcheck(penalty, shared, weights):
    g = torch.Generator().manual_seed(1)
    shape = {None: 0, "rows": (10,), "labels": (2, 10)}[weights]
    weight = (0.2 + torch.rand(shape, generator=g).double()).requires_grad_()

    def fit(Z, y, alpha, weight):
        weight = None if weights is None else weight
        return FITS[penalty](Z, y, alpha, sample_weight=weight, tol=1e-13)[:3]

    inputs = [*problem(T=2, n=10, shared=shared), weight]
    assert (fit(*inputs)[0] != 0).any()
    assert gradcheck(fit, inputs)


@pytest.mark.parametrize("output", [0, 1, 2])
def test_gradcheck_of_one_output_where_labels_are_labels(output):
    Z, y, alpha = problem(T=1)
    y = y.detach().round()
    assert gradcheck(lambda Z, a: logistic_lasso_fit(Z, y, a, tol=1e-13)[output], (Z, alpha))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_broadcast_design_gets_the_sum_of_the_gradients(penalty):
    Z, y, alpha = problem(shared=True)
    found = []
    for design in (Z, Z[None], Z.expand(3, 12, 3)):
        fit = FITS[penalty](design, y, alpha, tol=1e-13)
        outer = fit.coef.square().sum() + fit.intercept.sum() + fit.loss.sum()
        found.append(torch.autograd.grad(outer, Z)[0])
    np.testing.assert_allclose(found[1], found[0], atol=1e-12)
    np.testing.assert_allclose(found[2], found[0], atol=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_solution_loss_and_certificate_are_the_solvers(penalty):
    Z, y, alpha = problem()
    fit = FITS[penalty](Z, y, alpha, tol=1e-10)
    result = SOLVERS[penalty](Z, y, alpha, tol=1e-10)
    np.testing.assert_array_equal(fit.coef.detach(), result.coef)
    np.testing.assert_array_equal(fit.intercept.detach(), result.intercept)
    np.testing.assert_array_equal(fit.result.gap, result.gap)
    assert not fit.result.coef.requires_grad
    score = (Z @ fit.coef[..., None])[..., 0] + fit.intercept[:, None]
    expected = logistic_loss(score, y).mean(-1)
    np.testing.assert_allclose(fit.loss.detach(), expected.detach(), rtol=1e-13)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_far_from_the_origin_the_gradient_is_the_same(penalty):
    Z, y, alpha = problem()
    near = FITS[penalty](Z, y, alpha, tol=1e-14)
    far = FITS[penalty](Z + 100, y, alpha, tol=1e-14)
    shifted = far.intercept + 100 * far.coef.sum(-1)
    found = torch.autograd.grad(far.coef.square().sum() + shifted.sin().sum(), [Z, y, alpha])
    outer = near.coef.square().sum() + near.intercept.sin().sum()
    for a, b in zip(found, torch.autograd.grad(outer, [Z, y, alpha]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_labels_of_one_kind_have_constant_solutions(penalty):
    Z, y, alpha = problem()
    y = y.detach().round()
    y[1] = 1
    weight = torch.ones(3, 12).double().requires_grad_()
    fit = FITS[penalty](Z, y, alpha, sample_weight=weight)
    outer = fit.coef[1].sum() + fit.intercept[1] + fit.loss[1]
    assert all((g == 0).all() for g in torch.autograd.grad(outer, [Z, alpha, weight]))


def test_zero_solution_leaves_the_derivative_of_the_intercept():
    Z, y, alpha = problem()
    coef, intercept = logistic_lasso(Z, y, 10 * alpha, tol=1e-13)
    assert (coef == 0).all()
    gradients = torch.autograd.grad(coef.sum() + intercept.sum(), [Z, y, alpha])
    assert (gradients[0] == 0).all()
    assert (gradients[2] == 0).all()
    rate = y.detach().mean(-1, keepdim=True)
    expected = (1 / (12 * rate * (1 - rate))).expand(3, 12)
    np.testing.assert_allclose(gradients[1], expected, rtol=1e-10)


def test_singular_support_gives_the_gradient_of_least_norm():
    Z, y, alpha = problem(T=1)
    with torch.no_grad():
        Z[0, :, 1] = Z[0, :, 0]
        y[0] = 0.1 + 0.8 * (Z[0, :, 0] + 0.3 * Z[0, :, 2] > 0)
    start = {"coef_init": torch.tensor([[1.0, 1.0, 0]]), "intercept_init": torch.zeros(1)}
    coef = logistic_lasso(Z, y, alpha, tol=1e-12, **start)[0]
    assert (coef[0, :2] != 0).all()
    found = torch.autograd.grad(coef[0, 0], y, retain_graph=True)[0]
    merged = logistic_lasso(Z[:, :, 1:], y, alpha, tol=1e-12)[0]
    expected = torch.autograd.grad(merged[0, 0], y)[0]
    # the difference of the copies is not determined, and counts as constant
    np.testing.assert_allclose(found, expected / 2, atol=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_float32_derivatives_are_near_those_of_float64(penalty):
    inputs = problem(n=40)
    exact = FITS[penalty](*inputs, tol=1e-13)
    expected = torch.autograd.grad(exact.coef.square().sum(), inputs)
    single = [x.detach().float().requires_grad_() for x in inputs]
    found = FITS[penalty](*single, tol=1e-7)
    found = torch.autograd.grad(found.coef.square().sum(), single)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        # a gap of 1e-7 leaves a distance of 1e-7 / alpha for "l1", of its root for "l2"
        share = {"l1": 1e-3, "l2": 1e-2}[penalty]
        np.testing.assert_allclose(a, b, atol=share * float(b.abs().max()))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shared", [True, False])
def test_backward_stays_on_the_device_and_never_looks(penalty, shared):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        Z = fake_cuda(*([30, 6] if shared else [5, 30, 6]), requires_grad=True)
        y, alpha = fake_cuda(5, 30, requires_grad=True), fake_cuda(5, requires_grad=True)
        weight = fake_cuda(5, 30, requires_grad=True)
        start = {"coef_init": fake_cuda(5, 6), "intercept_init": fake_cuda(5)}
        fit = FITS[penalty](Z, y, alpha, sample_weight=weight, **start)
        looks = counter.count
        (fit.coef.sum() + fit.intercept.sum() + fit.loss.sum()).backward()
        for leaf in (Z, y, alpha, weight):
            assert leaf.grad.device.type == ACCELERATOR
    assert counter.count == looks == 1


@pytest.mark.parametrize("penalty", PENALTIES)
def test_unknown_options_are_refused(penalty):
    with pytest.raises(TypeError, match="tolerance"):
        FITS[penalty](*problem(), tolerance=1e-3)
