"""Derivatives of fits under Huber's loss and with the elastic net."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from torch.autograd import gradcheck

from sklearn_sparsedis.functional import huber_alpha_max, huber_loss
from sklearn_sparsedis.implicit import fit_smooth
from sklearn_sparsedis.solvers import L1, L2, ElasticNet, HuberLoss, LogisticLoss, solve_smooth

PENALTIES = {"l1": L1(), "l2": L2(), "net": ElasticNet(0.6)}
by_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def problem(T=2, n=12, m=3, seed=0, shared=False):
    """Features, targets of which some are far off, strengths and deltas."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).double()
    Z = Z[0] if shared else Z
    y = 2 * Z[..., 0] + 0.5 * torch.randn(T, n, generator=g).double() + 1
    y[:, :3] += 5
    delta = torch.linspace(0.4, 0.9, T).double()
    alpha = 0.2 * huber_alpha_max(Z, y, delta)
    return [x.requires_grad_() for x in (Z, y, alpha, delta)]


@by_penalty
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("weights", [None, "rows", "targets"])
def test_gradcheck(penalty, shared, weights):
    g = torch.Generator().manual_seed(1)
    shape = {None: 0, "rows": (9,), "targets": (2, 9)}[weights]
    weight = (0.2 + torch.rand(shape, generator=g).double()).requires_grad_()

    def fit(Z, y, alpha, delta, weight):
        weight = None if weights is None else weight
        loss = HuberLoss(delta)
        return fit_smooth(loss, penalty, Z, y, alpha, sample_weight=weight, tol=1e-13)[:3]

    inputs = [*problem(n=9, m=2, shared=shared), weight]
    coef, intercept, _ = fit(*inputs)
    residual = inputs[1] - (inputs[0] @ coef[..., None])[..., 0] - intercept[:, None]
    beyond = residual.abs() > inputs[3][:, None]
    assert beyond.any(1).all()
    assert (~beyond).any(1).all()
    assert (coef != 0).any()
    assert gradcheck(fit, inputs)


def test_gradcheck_of_a_logistic_elastic_net():
    Z, y, alpha, _ = problem()
    y = 0.1 + 0.8 * (y.detach() > 1).double()

    def fit(Z, alpha):
        return fit_smooth(LogisticLoss(), ElasticNet(0.4), Z, y, alpha, tol=1e-13)[:3]

    assert gradcheck(fit, (Z, 0.2 * alpha.detach().requires_grad_()))


def test_one_delta_for_all_problems_gets_the_sum_of_the_gradients():
    Z, y, alpha, _ = problem()
    delta = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    coef = fit_smooth(HuberLoss(delta), L1(), Z, y, alpha, tol=1e-13).coef
    found = torch.autograd.grad(coef.square().sum(), delta)[0]
    each = torch.full((2,), 0.6, dtype=torch.float64, requires_grad=True)
    coef = fit_smooth(HuberLoss(each), L1(), Z, y, alpha, tol=1e-13).coef
    expected = torch.autograd.grad(coef.square().sum(), each)[0]
    assert found != 0
    np.testing.assert_allclose(found, expected.sum(), rtol=1e-12)


def test_solution_loss_and_certificate_are_the_solvers():
    Z, y, alpha, delta = problem()
    fit = fit_smooth(HuberLoss(delta), L1(), Z, y, alpha, tol=1e-10)
    result = solve_smooth(HuberLoss(delta), L1(), Z, y, alpha, tol=1e-10)
    np.testing.assert_array_equal(fit.coef.detach(), result.coef)
    np.testing.assert_array_equal(fit.result.gap, result.gap)
    score = (Z @ fit.coef[..., None])[..., 0] + fit.intercept[:, None]
    expected = huber_loss(y - score, delta[:, None]).mean(-1)
    np.testing.assert_allclose(fit.loss.detach(), expected.detach(), rtol=1e-12)


def test_far_from_the_origin_the_gradient_is_the_same():
    Z, y, alpha, delta = problem()
    near = fit_smooth(HuberLoss(delta), L2(), Z, y, alpha, tol=1e-14)
    far = fit_smooth(HuberLoss(delta), L2(), Z + 100, y + 1000, alpha, tol=1e-14)
    shifted = far.intercept + 100 * far.coef.sum(-1) - 1000
    inputs = [Z, y, alpha, delta]
    found = torch.autograd.grad(far.coef.square().sum() + shifted.sin().sum(), inputs)
    expected = torch.autograd.grad(near.coef.square().sum() + near.intercept.sin().sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@by_penalty
def test_constant_targets_move_the_intercept_alone(penalty):
    Z, y, alpha, delta = problem()
    y = torch.full_like(y, 0.3).requires_grad_()
    solution = fit_smooth(HuberLoss(delta), penalty, Z, y, alpha)
    outer = solution.coef.sum() + solution.intercept.sum() + solution.loss.sum()
    gradients = torch.autograd.grad(outer, [Z, alpha, delta])
    assert all((g == 0).all() for g in gradients)
    intercept = fit_smooth(HuberLoss(delta), penalty, Z, y, alpha).intercept
    to_y = torch.autograd.grad(intercept.sum(), y)[0]
    np.testing.assert_allclose(to_y.sum(-1), 1, rtol=1e-12)


@by_penalty
@pytest.mark.parametrize("shared", [True, False])
def test_backward_stays_on_the_device_and_never_looks(penalty, shared):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        Z = fake_cuda(*([30, 6] if shared else [5, 30, 6]), requires_grad=True)
        y, weight = (fake_cuda(5, 30, requires_grad=True) for _ in range(2))
        alpha, delta = (fake_cuda(5, requires_grad=True) for _ in range(2))
        start = {"coef_init": fake_cuda(5, 6), "intercept_init": fake_cuda(5)}
        fit = fit_smooth(HuberLoss(delta), penalty, Z, y, alpha, sample_weight=weight, **start)
        looks = counter.count
        (fit.coef.sum() + fit.intercept.sum() + fit.loss.sum()).backward()
        for leaf in (Z, y, alpha, weight, delta):
            assert leaf.grad.device.type == ACCELERATOR
    assert counter.count == looks == 1
