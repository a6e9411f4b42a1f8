"""The elastic net as a penalty of heads."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import ElasticNet as ScikitElasticNet
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.autograd import gradcheck

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.implicit import lasso_gram
from sklearn_sparsedis.penalties import L1, L2, ElasticNet

RATIO = 0.3


def problem(T=3, n=30, m=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(n, m, generator=g, dtype=torch.float64)
    Z[:, 1] = Z[:, 0] + 0.01 * Z[:, 1]
    y = Z @ torch.randn(m, T, generator=g, dtype=torch.float64) + torch.randn(
        n, T, generator=g, dtype=torch.float64
    )
    return Z, y.T.contiguous()


def untrained(m=6, **options):
    """An estimator whose heads are on the components of a network that is not trained."""
    fixed = {
        "encoder": nn.Linear(m, m),
        "random_state": 0,
        "max_iter": 0,
        "device": "cpu",
        "tol": 1e-13,
    }
    return SparseDisentangledRepresentation(m, penalty="elasticnet", **{**fixed, **options})


def test_coefficients_objective_and_optimality_are_those_of_scikit_learn():
    Z, y = problem()
    penalty, alpha = ElasticNet(RATIO), torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64)
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    coef, loss, result = penalty.fit(gram, corr, y_sq, alpha, tol=1e-13)
    slope = corr - coef @ gram - alpha[:, None] * (1 - RATIO) * coef
    bound = alpha[:, None] * RATIO
    torch.testing.assert_close(
        torch.where(coef != 0, slope, 0), bound * coef.sign(), atol=1e-9, rtol=0
    )
    assert (slope.abs() <= bound + 1e-9).all()
    for t in range(3):
        peer = ScikitElasticNet(alpha=float(alpha[t]), l1_ratio=RATIO, tol=1e-14, max_iter=10**6)
        peer.fit(Z, y[t])
        np.testing.assert_allclose(coef[t], peer.coef_, atol=1e-6)
        half = 0.5 * np.mean((y[t].numpy() - peer.predict(Z)) ** 2)
        size, square = np.abs(peer.coef_).sum(), np.sum(peer.coef_**2)
        objective = half + alpha[t] * (RATIO * size + (1 - RATIO) / 2 * square)
        np.testing.assert_allclose(loss[t], half, rtol=1e-6)
        np.testing.assert_allclose(result.objective[t], objective, rtol=1e-9)


def test_the_unit_of_alpha_is_the_smallest_strength_without_coefficients():
    Z, y = problem()
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    unit = ElasticNet(RATIO).unit(gram, corr)
    options = {"tol": 1e-12}
    assert not ElasticNet(RATIO).fit(gram, corr, y_sq, unit * (1 + 1e-9), **options).coef.any()
    assert ElasticNet(RATIO).fit(gram, corr, y_sq, 0.999 * unit, **options).coef.any(1).all()


def test_a_ratio_of_one_is_the_lasso():
    Z, y = problem()
    statistics = centred_gram(Z, y)[:3]
    alpha = torch.full((3,), 0.1, dtype=torch.float64)
    found = ElasticNet(1.0).fit(*statistics, alpha, tol=1e-13)
    expected = lasso_gram(*statistics, alpha, tol=1e-13)
    torch.testing.assert_close(found[:2], expected[:2], atol=1e-10, rtol=0)


@pytest.mark.parametrize("shared", [True, False])
def test_gradcheck_of_coefficients_and_losses(shared):
    Z, y = problem(n=12, m=4)
    alpha = torch.tensor([0.05, 0.1, 0.2], dtype=torch.float64, requires_grad=True)

    def solution(Z, y, alpha):
        gram, corr, y_sq, _, _ = centred_gram(Z, y)
        return ElasticNet(RATIO).fit(gram, corr, y_sq, alpha, tol=1e-14)[:2]

    Z = Z if shared else Z.repeat(3, 1, 1) + 0.1 * torch.arange(12.0).sin()[:, None]
    assert gradcheck(solution, (Z.requires_grad_(), y.requires_grad_(), alpha))


def test_a_component_without_variance_is_not_used():
    Z, y = problem()
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    gram[2], gram[:, 2], corr[:, 2] = 0, 0, 1e3
    coef = ElasticNet(RATIO).fit(gram, corr, y_sq, torch.full((3,), 0.1).double()).coef
    assert coef.any(1).all()
    assert not coef[:, 2].any()


def test_an_absolute_alpha_is_in_the_units_of_the_targets():
    Z, y = problem(n=200)
    Y = y.T.numpy() * [1.0, 30.0, 0.02] + 5
    model = untrained(alpha=0.2, alpha_mode="absolute", l1_ratio=RATIO).fit(Z.numpy(), Y)
    components = model.transform(Z.numpy())
    for t in range(3):
        peer = ScikitElasticNet(alpha=0.2, l1_ratio=RATIO, tol=1e-14, max_iter=10**6)
        peer.fit(components, Y[:, t])
        np.testing.assert_allclose(model.coef_[t], peer.coef_, rtol=1e-6, atol=1e-9)


def test_a_relative_alpha_has_the_same_zeros_in_any_units():
    Z, y = problem(n=200)
    model = untrained(alpha=0.3)
    first = model.fit(Z.numpy(), y.T.numpy())
    coef, unit = first.coef_, first.alpha_max_
    second = clone(model).fit(Z.numpy(), 100 * y.T.numpy())
    np.testing.assert_allclose(second.coef_, 100 * coef, rtol=1e-9)
    np.testing.assert_allclose(second.alpha_max_, 100 * unit, rtol=1e-9)


def test_logistic_heads_are_those_of_scikit_learn():
    Z, y = problem(n=120)
    labels = (y.T.numpy() > 0).astype(float)
    model = untrained(alpha=0.05, alpha_mode="absolute", l1_ratio=RATIO, loss="logistic").fit(
        Z.numpy(), labels
    )
    components = model.transform(Z.numpy())
    for t in range(3):
        peer = LogisticRegression(
            C=1 / (0.05 * 120), l1_ratio=RATIO, solver="saga", tol=1e-10, max_iter=50_000
        ).fit(components, labels[:, t])
        np.testing.assert_allclose(model.coef_[t], peer.coef_[0], atol=1e-6)
    assert (model.dual_gap_ <= 1e-13).all()


def test_training_adapts_is_stored_and_has_a_common_head(tmp_path):
    data = make_sparse_multitask(200, 12, noise=0.3, random_state=0)
    options = {"encoder": "linear", "max_iter": 40, "random_state": 0, "device": "cpu"}
    for common_head in (False, True):
        model = SparseDisentangledRepresentation(
            4, penalty="elasticnet", l1_ratio=0.8, common_head=common_head, **options
        ).fit(data.X, data.Y[:, :8])
        assert model.loss_curve_[-1] < model.loss_curve_[0]
        assert not model.support_.all()
        adapted = model.adapt(data.X[:100], data.Y[:100, 8:])
        assert adapted.score(data.X[100:], data.Y[100:, 8:]) > 0.5
        save_model(model, tmp_path / "model")
        loaded = load_model(tmp_path / "model").adapt(data.X[:100], data.Y[:100, 8:])
        np.testing.assert_array_equal(loaded.coef_, adapted.coef_)


@pytest.mark.parametrize("ratio", [0.0, 1.5, "half", None])
def test_a_ratio_outside_its_domain_is_refused(ratio):
    with pytest.raises(ValueError, match="l1_ratio must be above 0 and at most 1, got"):
        untrained(l1_ratio=ratio).fit(*np.ones((2, 9, 6)))


def test_strengths_of_a_spread_lie_between_those_of_its_parts():
    spread = torch.tensor([1e-8, 0.01, 1.0, 50.0], dtype=torch.float64)
    size = torch.linspace(0, 12, 20_001, dtype=torch.float64) * spread.sqrt()[:, None]
    for ratio in (1e-6, 0.2, 0.5, 0.9, 1.0):
        alpha = ElasticNet(ratio).alpha_of_spread(spread)[:, None]
        density = torch.exp(-alpha * (ratio * size + (1 - ratio) * size.square() / 2))
        found = (density * size.square()).sum(1) / density.sum(1) / spread
        assert ((found > 0.69) & (found < 1.01)).all()
    for ratio, part in ((1.0, L1()), (1e-9, L2())):
        torch.testing.assert_close(
            ElasticNet(ratio).alpha_of_spread(spread[1:]), part.alpha_of_spread(spread[1:])
        )
