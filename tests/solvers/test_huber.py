"""Huber's loss and the elastic net: references, certificates, degenerate problems, scales."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.linear_model import ElasticNet as ScikitElasticNet
from sklearn.linear_model import HuberRegressor, LogisticRegression

from sklearn_sparsedis.functional import huber_alpha_max, huber_loss, logistic_alpha_max
from sklearn_sparsedis.functional._huber import huber_location
from sklearn_sparsedis.functional._logistic import row_shares
from sklearn_sparsedis.solvers import (
    L1,
    L2,
    ElasticNet,
    HuberLoss,
    LogisticLoss,
    alpha_unit,
    huber_delta,
    solve_smooth,
)
from sklearn_sparsedis.solvers.smooth_loss import _steps as steps

PENALTIES = {"l1": L1(), "l2": L2(), "net": ElasticNet(0.6)}
by_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
DELTA = 0.4


def problems(T=6, n=80, m=8, seed=0, dtype=torch.float64, bad=0.15):
    """Errors of scale 0.3, and a share of the rows far off."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).to(dtype)
    w = torch.randn(T, m, generator=g).to(dtype) * (torch.rand(T, m, generator=g) < 0.5)
    y = (Z @ w[..., None])[..., 0] + 2 + 0.3 * torch.randn(T, n, generator=g).to(dtype)
    off = torch.rand(T, n, generator=g) < bad
    return Z, y + off * (3 + 10 * torch.randn(T, n, generator=g)).to(dtype)


def labelled():
    Z, y = problems(bad=0)
    return Z, (y > 2).double()


def fit(Z, y, penalty, share=0.1, delta=DELTA, **options):
    loss = HuberLoss(delta)
    unit = alpha_unit(loss, penalty, Z, y, options.get("sample_weight"))
    alpha = (share * unit).clamp_min(1e-9)  # it is zero where nothing varies
    return solve_smooth(loss, penalty, Z, y, alpha, **options), alpha


def objective(loss, penalty, Z, y, alpha, coef, intercept, weight=None):
    """From the definitions."""
    score = (Z @ coef[..., None])[..., 0] + intercept[..., None]
    if isinstance(loss, HuberLoss):
        size, delta = (y - score).abs(), loss.delta
        rows = torch.where(size <= delta, size.square() / 2, delta * size - delta**2 / 2)
    else:
        rows = torch.nn.functional.softplus(score) - y * score
    ratio = {L1: 1.0, L2: 0.0}.get(type(penalty)) if not isinstance(penalty, ElasticNet) else None
    ratio = penalty.l1_ratio if ratio is None else ratio
    size = ratio * coef.abs().sum(-1) + (1 - ratio) / 2 * coef.square().sum(-1)
    return (row_shares(y, weight) * rows).sum(-1) + alpha * size


def test_a_ridge_fit_is_that_of_scikit_learn_at_its_scale():
    Z, y = problems()
    weight = 0.2 + torch.rand(y.shape, generator=torch.Generator().manual_seed(1)).double()
    for t in range(3):
        peer = HuberRegressor(epsilon=1.5, alpha=3.0, tol=1e-9, max_iter=2000)
        peer.fit(Z[t].numpy(), y[t].numpy(), sample_weight=weight[t].numpy())
        # its objective at its scale is ours, times 2 sum(weight) / scale
        alpha = float(3.0 * peer.scale_ / weight[t].sum())
        loss = HuberLoss(float(1.5 * peer.scale_))
        found = solve_smooth(loss, L2(), Z[t], y[t], alpha, sample_weight=weight[t], tol=1e-12)
        np.testing.assert_allclose(found.coef, peer.coef_, atol=1e-5)
        np.testing.assert_allclose(found.intercept, peer.intercept_, atol=1e-5)
        theirs = torch.tensor(peer.coef_), torch.tensor(peer.intercept_)
        value = objective(loss, L2(), Z[t], y[t], alpha, *theirs, weight[t])
        assert found.objective <= value * (1 + 1e-12)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.999])
def test_an_elastic_net_with_delta_beyond_all_residuals_is_scikit_learns(ratio):
    Z, y = problems(bad=0)
    found = solve_smooth(HuberLoss(1e3), ElasticNet(ratio), Z, y, 0.1, tol=1e-13)
    assert found.converged.all()
    for t in range(3):
        peer = ScikitElasticNet(alpha=0.1, l1_ratio=ratio, tol=1e-12, max_iter=10**5)
        peer.fit(Z[t].numpy(), y[t].numpy())
        np.testing.assert_allclose(found.coef[t], peer.coef_, atol=1e-6)
        np.testing.assert_allclose(found.intercept[t], peer.intercept_, atol=1e-6)


def test_a_logistic_elastic_net_is_scikit_learns():
    Z, y = labelled()
    found = solve_smooth(LogisticLoss(), ElasticNet(0.3), Z, y, 0.05, tol=1e-12)
    for t in range(3):
        options = {"C": 1 / (0.05 * 80), "l1_ratio": 0.3, "solver": "saga", "max_iter": 20_000}
        peer = LogisticRegression(tol=1e-10, **options).fit(Z[t].numpy(), y[t].numpy())
        np.testing.assert_allclose(found.coef[t], peer.coef_[0], atol=1e-6)
        np.testing.assert_allclose(found.intercept[t], peer.intercept_[0], atol=1e-6)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("ratio", [1e-6, 0.5, 1 - 1e-9, 1.0])
def test_the_elastic_net_between_ridge_and_lasso(ratio, logistic):
    Z, y = labelled() if logistic else problems()
    loss = LogisticLoss() if logistic else HuberLoss(DELTA)
    found = solve_smooth(loss, ElasticNet(ratio), Z, y, 0.05, tol=1e-10)
    assert found.converged.all()
    if ratio != 0.5:
        end = solve_smooth(loss, L2() if ratio < 0.5 else L1(), Z, y, 0.05, tol=1e-12)
        np.testing.assert_allclose(found.coef, end.coef, atol=1e-4)


@by_penalty
@pytest.mark.parametrize("loss", [HuberLoss(DELTA), LogisticLoss()], ids=["huber", "logistic"])
def test_the_gap_bounds_the_distance_to_the_optimum(loss, penalty):
    Z, y = problems() if isinstance(loss, HuberLoss) else labelled()
    alpha = 0.1 * alpha_unit(loss, penalty, Z, y)
    best = solve_smooth(loss, penalty, Z, y, alpha, tol=1e-12)
    assert best.converged.all()
    value = objective(loss, penalty, Z, y, alpha, best.coef, best.intercept)
    np.testing.assert_allclose(best.objective, value, rtol=1e-12)
    g = torch.Generator().manual_seed(2)
    for size in (3.0, 0.1, 1e-3):
        coef = best.coef + size * torch.randn(best.coef.shape, generator=g).double()
        start = {"coef_init": coef, "intercept_init": best.intercept + size}
        there = solve_smooth(loss, penalty, Z, y, alpha, max_iter=0, **start)
        np.testing.assert_allclose(there.intercept, start["intercept_init"], rtol=1e-13)
        assert (there.gap * there.objective >= there.objective - best.objective).all()
        assert not there.converged.any()


@by_penalty
@pytest.mark.parametrize("n", [80, 12])
def test_stationarity(penalty, n):
    Z, y = problems(n=n, m=20)
    found, alpha = fit(Z, y, penalty, tol=1e-13)
    assert found.converged.all()
    residual = y - (Z @ found.coef[..., None])[..., 0] - found.intercept[:, None]
    slope = residual.clamp(-DELTA, DELTA) / n
    gradient = (slope[:, None] @ Z)[:, 0]
    np.testing.assert_allclose(slope.sum(-1), 0, atol=1e-8)
    ratio = {L1: 1.0, L2: 0.0}.get(type(penalty), 0.6)
    gradient = gradient - alpha[:, None] * (1 - ratio) * found.coef
    used = found.coef != 0
    sparse = alpha[:, None] * ratio
    expected = (sparse * found.coef.sign())[used]
    np.testing.assert_allclose(gradient[used], expected, atol=1e-7)
    assert (gradient.abs() <= sparse + 1e-7).all()


@by_penalty
def test_a_batch_is_its_problems_and_weights_of_zero_leave_rows_out(penalty):
    Z, y = problems(T=3)
    delta = torch.tensor([0.2, 0.4, 1.5]).double()
    weight = (torch.arange(80) % 3 != torch.arange(3)[:, None]).double()
    found, alpha = fit(Z[0], y, penalty, delta=delta, sample_weight=weight, tol=1e-13)
    for t in range(3):
        own = weight[t] > 0
        alone = solve_smooth(
            HuberLoss(float(delta[t])), penalty, Z[0][own], y[t][own], alpha[t], tol=1e-13
        )
        np.testing.assert_allclose(found.coef[t], alone.coef, atol=1e-7)
        np.testing.assert_allclose(found.intercept[t], alone.intercept, atol=1e-7)


def test_outliers_of_any_size_have_the_same_pull():
    Z, y = problems(bad=0)
    y[:, :5] += 30
    near, _ = fit(Z, y, L1(), tol=1e-12)
    far = y.clone()
    far[:, :5] += 1e6
    alpha = 0.1 * huber_alpha_max(Z, y, DELTA)
    beyond = solve_smooth(HuberLoss(DELTA), L1(), Z, far, alpha, tol=1e-12)
    np.testing.assert_allclose(beyond.coef, near.coef, atol=1e-6)


def test_alpha_max_and_units_are_those_of_each_loss():
    Z, y = problems()
    weight = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)).double()
    largest = huber_alpha_max(Z, y, DELTA, weight)
    unit = alpha_unit(HuberLoss(DELTA), L1(), Z, y, weight)
    np.testing.assert_allclose(unit, largest, rtol=1e-12)
    net = alpha_unit(HuberLoss(DELTA), ElasticNet(0.25), Z, y, weight)
    np.testing.assert_allclose(net, 4 * largest, rtol=1e-12)
    for share, used in ((1 + 1e-9, 0), (0.999, 1)):
        found = solve_smooth(HuberLoss(DELTA), L1(), Z, y, largest * share, sample_weight=weight)
        assert ((found.coef != 0).sum(-1) == used).all()
        net = solve_smooth(
            HuberLoss(DELTA), ElasticNet(0.25), Z, y, 4 * largest * share, sample_weight=weight
        )
        assert ((net.coef != 0).sum(-1) == used).all()
    Z, labels = labelled()
    unit = alpha_unit(LogisticLoss(), L1(), Z, labels, weight)
    np.testing.assert_allclose(unit, logistic_alpha_max(Z, labels, weight), rtol=1e-12)
    rate = labels.mean(-1)
    expected = rate * (1 - rate) * Z.var(-2, correction=0).mean(-1)
    np.testing.assert_allclose(alpha_unit(LogisticLoss(), L2(), Z, labels), expected, rtol=1e-12)


def test_the_location_is_the_best_constant():
    g = torch.Generator().manual_seed(0)
    y = torch.randn(5, 41, generator=g).double() * 3 + 100
    delta = torch.tensor([1e-4, 0.3, 1.0, 5.0, 1e3]).double()
    share = row_shares(y, torch.rand(5, 41, generator=g))
    found = huber_location(y, delta, share)
    slope = (share * torch.clamp(y - found[:, None], -delta[:, None], delta[:, None])).sum(-1)
    np.testing.assert_allclose(slope, 0, atol=1e-14)
    np.testing.assert_allclose(found[-1], (share * y)[-1].sum(), rtol=1e-14)
    # the median, where any value between the two in the middle would do
    two = huber_location(torch.tensor([0.0, 10.0]), torch.tensor(0.1), torch.full((1,), 0.5))
    assert 0 <= two <= 10
    assert huber_location(y[0], delta[0], torch.zeros(1).double()) == 0


@by_penalty
def test_degenerate_problems_have_their_constants(penalty):
    Z, y = problems(T=4)
    y[0] = 0.1
    weight = torch.ones_like(y)
    weight[1], weight[2, 1:] = 0, 0
    start = {"coef_init": torch.ones(4, 8), "intercept_init": torch.ones(4)}
    for more in ({}, start):
        loss = HuberLoss(DELTA)
        found = solve_smooth(loss, penalty, Z, y, 1e-9, sample_weight=weight, tol=1e-10, **more)
        assert found.converged[:3].all()
        if not more or penalty != PENALTIES["l1"]:
            np.testing.assert_allclose(found.coef[:3], 0, atol=1e-12)
        fitted = found.intercept + (found.coef * Z[:, 0]).sum(-1)
        np.testing.assert_allclose(fitted[:3], [0.1, 0, float(y[2, 0])], atol=1e-8)
    one = solve_smooth(HuberLoss(DELTA), penalty, Z[:, :1], y[:, :1], 0.1)
    assert (one.coef == 0).all()
    np.testing.assert_array_equal(one.intercept, y[:, 0])


@by_penalty
@pytest.mark.parametrize("kind", ["far", "collinear", "constant", "offset", "wide"])
def test_hard_problems(kind, penalty):
    Z, y = problems(n=40, m=60 if kind == "wide" else 10)
    delta = DELTA
    if kind == "far":
        delta = 1e-3
    if kind == "collinear":
        Z[..., 5:] = Z[..., :5]
    if kind == "constant":
        Z[..., 3], Z[2] = 0.1, 7.7
    if kind == "offset":
        Z, y = Z + 1e4, y + 1e6
    for share in (2.0, 0.1, 1e-3):
        found, _ = fit(Z, y, penalty, share, delta, tol=1e-7)
        assert found.converged.all()
        assert kind != "constant" or (found.coef[:, 3] == 0).all()
        assert kind != "constant" or (found.coef[2] == 0).all()


@by_penalty
def test_no_row_within_delta_of_the_start(penalty):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 30, 3, generator=g).double()
    y = torch.sign(torch.randn(2, 30, generator=g)).double() * 5
    found, _ = fit(Z, y, penalty, 0.1, 1e-2, tol=1e-9)
    assert found.converged.all()


@by_penalty
def test_float32_reaches_what_float32_can(penalty):
    Z, y = problems(n=200, dtype=torch.float32)
    found, alpha = fit(Z, y, penalty, tol=1e-5)
    assert found.coef.dtype == torch.float32
    assert found.converged.all()
    exact = solve_smooth(HuberLoss(DELTA), penalty, Z.double(), y.double(), alpha.double())
    np.testing.assert_allclose(found.coef, exact.coef, atol=2e-3)


def test_nan_stays_in_its_problem():
    Z, y = problems()
    y[2, 0] = torch.nan
    found = solve_smooth(HuberLoss(DELTA), L1(), Z, y, 0.1)
    assert found.converged.tolist() == [t != 2 for t in range(6)]


@by_penalty
def test_no_problem_is_no_problem(penalty):
    Z, y = problems(T=0)
    assert solve_smooth(HuberLoss(DELTA), penalty, Z, y, 0.1).coef.shape == (0, 8)


@by_penalty
@pytest.mark.parametrize("shared", [True, False])
def test_stays_on_the_device_and_looks_once_a_block(penalty, shared):
    with FakeTensorMode(), SyncCounter(answer=True) as counter:
        Z = fake_cuda(50, 6) if shared else fake_cuda(9, 50, 6)
        y, weight, delta = fake_cuda(9, 50), fake_cuda(9, 50), fake_cuda(9)
        loss = HuberLoss(delta)
        found = solve_smooth(loss, penalty, Z, y, fake_cuda(9), sample_weight=weight, max_iter=7)
        assert found.coef.device.type == found.intercept.device.type == ACCELERATOR
        # the first step, then three blocks of two
        assert counter.count == 3


def test_easier_problems_and_the_scale_stay_on_the_device(monkeypatch):
    monkeypatch.setattr(steps, "RELAXED_BLOCK", 0)
    with FakeTensorMode(), SyncCounter(answer=True):
        Z, y = fake_cuda(50, 6), fake_cuda(9, 50)
        found = solve_smooth(HuberLoss(DELTA), L2(), Z, y, 0.1, max_iter=3)
        assert found.coef.device.type == ACCELERATOR
    with FakeTensorMode(), SyncCounter(answer=False):
        delta = huber_delta(fake_cuda(50, 6), fake_cuda(9, 50), fake_cuda(9, 50))
        assert delta.device.type == ACCELERATOR


def test_settings_out_of_range_are_refused():
    Z, y = problems()
    for delta in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="delta must be positive and finite"):
            HuberLoss(delta)
    for ratio in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="l1_ratio must be above 0 and at most 1"):
            ElasticNet(ratio)
    with pytest.raises(ValueError, match="alpha must be positive, got 0.0: without a penalty, f"):
        solve_smooth(HuberLoss(DELTA), L1(), Z, y, 0.0)


def test_the_loss_on_both_sides_of_delta():
    residual = torch.tensor([-3.0, -1.0, 0.5, 1.0, 2.0]).double()
    np.testing.assert_allclose(huber_loss(residual, 1.0), [2.5, 0.5, 0.125, 0.5, 1.5])


class TestScale:
    # a fifth of the errors far off move the median size of normal ones to their 62 % quantile
    @pytest.mark.parametrize(("bad", "largest"), [(0.0, 1.0), (0.2, 0.887 / 0.6745)])
    def test_it_is_that_of_the_errors_and_not_of_the_targets(self, bad, largest):
        Z, y = problems(T=20, n=200, bad=bad)
        scale = huber_delta(Z, y) / 1.345
        assert y.std(-1).median() > 3 * 0.3
        np.testing.assert_allclose(scale.median(), 0.3 * largest, rtol=0.1)
        assert (scale < 0.3 * 1.4 * largest).all()

    def test_features_that_interpolate_do_not_make_it_small(self):
        Z, y = problems(T=20, n=60, m=200, bad=0)
        noise = torch.randn(20, 60, generator=torch.Generator().manual_seed(5)).double()
        assert (huber_delta(Z, noise) / 1.345 > 0.5).all()
        assert (huber_delta(Z, y) / 1.345 > 0.25).all()

    def test_rows_without_weight_do_not_count_and_units_carry_over(self):
        Z, y = problems(T=3, n=90)
        weight = (torch.arange(90) % 3 != 0).double()
        own = weight > 0
        alone = huber_delta(Z[0][own], y[:, own])
        spoilt = torch.where(own, y, 1e3)
        np.testing.assert_allclose(huber_delta(Z[0], spoilt, weight), alone, rtol=1e-6)
        np.testing.assert_allclose(
            huber_delta(Z[0], 1e3 * y - 5), 1e3 * huber_delta(Z[0], y), rtol=1e-6
        )

    def test_of_degenerate_targets_it_is_positive(self):
        Z, _ = problems(T=4, n=30)
        y = torch.zeros(4, 30).double()
        y[1] = 3.7
        y[2, :4] = 1  # more than half are equal
        y[3] = Z[3, :, 0]  # without errors
        delta = huber_delta(Z, y, torch.ones(30).double())
        np.testing.assert_allclose(delta[:2], 1.345, rtol=1e-3)
        assert 0 < delta[2] < 1
        assert 0.05 <= delta[3] <= 0.2 * 1.345
        assert (huber_delta(Z[:, :1], y[:, :1]) > 0).all()
