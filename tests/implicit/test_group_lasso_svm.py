"""Derivative of the group-Lasso SVM: references, gradcheck, degenerate points, devices."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.implicit import (
    _group_lasso_svm,
    group_lasso_svm,
    group_lasso_svm_result,
)
from sklearn_sparsedis.solvers.group_lasso_svm import _problem
from sklearn_sparsedis.solvers.group_lasso_svm._scaling import scale_problem
from sklearn_sparsedis.solvers.group_lasso_svm._settle import Face, settle
from sklearn_sparsedis.solvers.group_lasso_svm._solver import solve_scaled

CASES = ["bin_k2", "k5_n25_m64", "l1zero_svm"]


def make_task(n=12, m=8, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    F = torch.randn(2, n, m, generator=generator, dtype=torch.float64)
    return F, torch.arange(n).remainder(k).expand(2, n).clone()


@pytest.mark.parametrize("name", CASES)
def test_reference_hypergradients_are_reproduced(shared, name):
    case = np.load(shared / "references" / "cases" / f"A_{name}.npz")
    F = torch.tensor(case["F"], requires_grad=True)
    l1, l2 = (torch.tensor(float(case[x]), dtype=F.dtype, requires_grad=True) for x in ("l1", "l2"))
    y, queries = torch.tensor(case["y"]).long(), torch.tensor(case["yq"]).long()
    W = group_lasso_svm(F, y, l1, l2, n_classes=int(case["k"]))
    loss = torch.nn.functional.cross_entropy(torch.tensor(case["Q"]) @ W, queries)
    loss.backward()
    assert loss.item() == pytest.approx(float(case["outer"]), abs=1e-9)
    for value, kind in ((F, "F"), (l1, "l1"), (l2, "l2")):
        np.testing.assert_allclose(value.grad, case[f"g{kind}_implicit"], atol=1e-8)
        # differences leave an error of their own
        np.testing.assert_allclose(value.grad, case[f"g{kind}_fd"], atol=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("k", [2, 3])
def test_gradcheck_in_every_float_argument(share, k):
    F, y = make_task(k=k)
    Y = torch.nn.functional.one_hot(y, k).double()
    l1 = share * uniform_spread_bound(F, Y)
    l2 = torch.tensor([0.5, 2.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    omega = 0.5 + torch.rand(8, generator=generator, dtype=torch.float64)
    c = 0.5 + torch.rand(2, 12, generator=generator, dtype=torch.float64)

    def coef(F, l1, l2, omega, c):
        return group_lasso_svm(
            F, y, l1, l2, n_classes=k, feature_weight=omega, sample_weight=c, tol=1e-13
        )

    arguments = [x.clone().requires_grad_() for x in (F, l1, l2, omega, c)]
    assert torch.autograd.gradcheck(coef, arguments, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("guess", ["all entries", "one entry a sample"])
def test_optimality_decides_the_face_whatever_the_guess(guess):
    # a problem whose guess is right beside one in which it is not
    F, y = make_task()
    group_reg = 0.3 * uniform_spread_bound(F, torch.nn.functional.one_hot(y, 3).double())
    problems, _, _ = scale_problem(F, y, group_reg, 0.5, 3, None, None)
    problem, solved = problems.scaled(slice(None)), solve_scaled(problems, 1e-13, 100, None)
    exact = Face(solved.dual, solved.dual > 0, solved.coef)
    start = Face(*(x.clone() for x in vars(exact).values()))
    if guess == "all entries":
        start.dual[1], start.free[1] = 0.9 * exact.dual[1] + 0.1 / 3, True
    else:
        start.dual[1] = torch.nn.functional.one_hot(y[1], 3)
        start.free[1] = start.dual[1] > 0
    face, _ = settle(problem, start)
    assert ((exact.free.sum(-1) > 1).sum(-1) > 1).all()
    assert (face.free == exact.free).all()
    # where one more Newton step would move V by less than a millionth of W
    torch.testing.assert_close(face.coef, exact.coef, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(face.dual, exact.dual, rtol=1e-9, atol=1e-9)


def test_unused_features_and_idle_samples_get_no_gradient():
    # well apart, so that some samples are outside their margin
    F, y = make_task(n=15, m=20)
    F[..., :3] += 3 * torch.nn.functional.one_hot(y, 3)
    group_reg = 0.3 * uniform_spread_bound(F, torch.nn.functional.one_hot(y, 3).double())
    F.requires_grad_()
    result = group_lasso_svm_result(F, y, group_reg, 0.01)
    assert result.converged.all()
    used = (result.coef != 0).any(-1)
    assert used.any()
    assert not used.all()
    result.coef.square().sum().backward()
    assert (F.grad.mT[~used] == 0).all()
    # a sample whose own class has all the weight lies outside its margin
    idle = (result.dual_coef == torch.nn.functional.one_hot(y, 3)).all(-1)
    assert idle.any()
    assert (F.grad[idle] == 0).all()


def test_float32_follows_float64():
    F, y = make_task()
    grads = []
    for dtype in (torch.float64, torch.float32):
        data = F.to(dtype, copy=True).requires_grad_()
        group_lasso_svm(data, y, 1.0, 0.5).square().sum().backward()
        assert data.grad.dtype == dtype
        grads.append(data.grad.double())
    # float32 rounds the data and the gradient, nothing in between
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("group_reg", [0.0, 1.0])
def test_where_lambda_is_not_unique_the_derivative_of_w_is(group_reg):
    # twice the same sample: only the sum of their rows of Lambda is determined
    F, y = make_task()
    doubled, labels = torch.cat([F, F], 1).requires_grad_(), torch.cat([y, y], 1)
    weighted = F.clone().requires_grad_()
    group_lasso_svm(doubled, labels, group_reg, 0.5).square().sum().backward()
    two = torch.full((12,), 2.0, dtype=F.dtype)
    group_lasso_svm(weighted, y, group_reg, 0.5, sample_weight=two).square().sum().backward()
    total = doubled.grad[:, :12] + doubled.grad[:, 12:]
    torch.testing.assert_close(total, weighted.grad, rtol=1e-5, atol=1e-6)


def test_gradients_are_finite_where_everything_is_zero():
    F, y = make_task()
    F[0] = 0
    F[1, :, 3] = 0
    F.requires_grad_()
    l1 = torch.tensor([0.1, 1e3], dtype=F.dtype, requires_grad=True)
    W = group_lasso_svm(F, y, l1, 1.0)
    assert (W == 0).all()
    W.sum().backward()
    assert (F.grad == 0).all()
    assert (l1.grad == 0).all()


def test_a_batch_in_chunks_gives_the_same_gradient(monkeypatch):
    F, y = make_task()
    grads = []
    for _ in range(2):
        data = F.clone().requires_grad_()
        group_lasso_svm(data, y, 1.0, 0.5).square().sum().backward()
        grads.append(data.grad)
        monkeypatch.setattr(_group_lasso_svm, "chunk_size", lambda problem: 1)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("group_reg", [0.0, 1.0])
def test_small_problems_get_in_numpy_the_gradient_they_would_get_in_torch(monkeypatch, group_reg):
    F, y = make_task()
    grads = []
    for _ in range(2):
        data = F.clone().requires_grad_()
        group_lasso_svm(data, y, group_reg, 0.5).square().sum().backward()
        grads.append(data.grad)
        monkeypatch.setattr(_problem, "SMALL", 0)
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-9)


def test_it_cannot_be_differentiated_twice():
    F, y = make_task()
    F.requires_grad_()
    loss = group_lasso_svm(F, y, 1.0, 0.5).square().sum()
    (gradient,) = torch.autograd.grad(loss, F, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_backward_stays_on_the_device_and_never_waits():
    with FakeTensorMode(), SyncCounter(answer=False):
        F = fake_cuda(2, 6, 5, dtype=torch.float32, requires_grad=True)
        y = torch.zeros(2, 6, dtype=torch.int64, device=ACCELERATOR)
        W = group_lasso_svm(F, y, 0.1, 1.0, n_classes=3, max_iter=1)
        with SyncCounter(answer=False) as counter:
            W.sum().backward()
        assert F.grad.device.type == ACCELERATOR
    assert counter.count == 0
