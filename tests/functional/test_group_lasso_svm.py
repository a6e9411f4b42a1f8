"""Block soft-thresholding, projection onto the simplex, objectives of the group-Lasso SVM."""

import pytest
import torch

from sklearn_sparsedis.functional import (
    group_lasso_svm_dual,
    group_lasso_svm_primal,
    uniform_spread_bound,
)
from sklearn_sparsedis.functional._block_threshold import block_norm, block_soft_threshold
from sklearn_sparsedis.functional._group_lasso_svm import group_lasso_svm_coef
from sklearn_sparsedis.functional._simplex import project_simplex


def _normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.5, 10.0])
def test_block_soft_threshold_minimises_its_objective(threshold):
    V = _normal(20, 3)
    value = block_soft_threshold(V, threshold)

    def objective(x):
        return (x - V).square().sum(-1) / 2 + threshold * x.norm(dim=-1)

    best = objective(value)
    for trial in range(50):
        other = value + 10.0 ** (-trial % 5) * _normal(20, 3, seed=trial + 1)
        assert (objective(other) >= best - 1e-12).all()


def test_block_soft_threshold_and_its_conjugate_sum_to_the_identity():
    # Moreau: the conjugate of tau ||.|| is the indicator of the ball of radius tau
    V = _normal(50, 4)
    ball = V * (0.8 / block_norm(V)).clamp_max(1).unsqueeze(-1)
    torch.testing.assert_close(block_soft_threshold(V, 0.8) + ball, V)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_block_soft_threshold_has_finite_gradients_at_zero(threshold):
    V = _normal(4, 3)
    V[1] = 0
    V.requires_grad_()
    tau = torch.full((4,), threshold, dtype=torch.float64, requires_grad=True)
    block_soft_threshold(V, tau).sum().backward()
    assert V.grad.isfinite().all()
    assert tau.grad.isfinite().all()
    torch.testing.assert_close(block_soft_threshold(V, tau)[1], torch.zeros(3).double())


def test_block_soft_threshold_passes_gradcheck_off_its_kink():
    V = _normal(6, 3).requires_grad_()
    tau = torch.linspace(0.1, 0.6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block_soft_threshold, (V, tau))


def test_project_simplex_is_feasible_idempotent_and_nearest():
    x = 3 * _normal(30, 5)
    p = project_simplex(x)
    assert (p >= 0).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(30).double())
    torch.testing.assert_close(project_simplex(p), p)
    # the variational inequality against every vertex makes it the nearest point
    inner = (x - p) @ torch.eye(5).double() - ((x - p) * p).sum(-1, keepdim=True)
    assert (inner <= 1e-12).all()


def test_weak_duality_holds_for_any_pair_of_points():
    F = _normal(5, 12, 7)
    y = torch.arange(12).remainder(3).expand(5, 12)
    Y = torch.nn.functional.one_hot(y, 3).double()
    weights = {
        "feature_weight": _normal(7, seed=1).abs(),
        "sample_weight": _normal(12, seed=2).abs(),
    }
    dual = project_simplex(_normal(5, 12, 3, seed=3))
    value = group_lasso_svm_dual(dual, F, Y, 0.4, 0.7, **weights)
    for W in (
        group_lasso_svm_coef(dual, F, Y, 0.4, 0.7, **weights),
        _normal(5, 7, 3, seed=4),
        torch.zeros(5, 7, 3).double(),
    ):
        assert (group_lasso_svm_primal(W, F, Y, 0.4, 0.7, **weights) >= value - 1e-12).all()


def test_no_feature_is_used_from_the_uniform_spread_bound_on():
    F = _normal(4, 10, 6)
    Y = torch.nn.functional.one_hot(torch.arange(10).remainder(3), 3).double()
    bound = uniform_spread_bound(F, Y)
    spread = (1 - Y) / 2
    W = group_lasso_svm_coef(spread.expand(4, 10, 3), F, Y, bound * (1 + 1e-12), 1.0)
    assert (W == 0).all()


def test_features_without_weight_do_not_raise_the_bound():
    F = _normal(10, 6)
    Y = torch.nn.functional.one_hot(torch.arange(10).remainder(3), 3).double()
    wide = torch.cat([F, 100 * _normal(10, 1, seed=1)], dim=1)
    omega = torch.tensor([1.0] * 6 + [0.0], dtype=torch.float64)
    torch.testing.assert_close(
        uniform_spread_bound(wide, Y, feature_weight=omega), uniform_spread_bound(F, Y)
    )
