"""Heads of few-shot episodes: against scikit-learn, against loops, and their gradients."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid

from sklearn_sparsedis import GroupLassoSVC
from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.nn import _episode_heads
from sklearn_sparsedis.nn._episode_heads import EPISODE_HEADS, START_SCALES, FewShotHead

KINDS = sorted(EPISODE_HEADS)
K, N, M = 3, 12, 8
# what `l2_reg` is multiplied by with N rows of K classes
ROOT = (N / K) ** 0.5


def episodes(n_episodes=4, seed=0, n=N, m=M):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(K).repeat_interleave(n // K)
    means = torch.randn(n_episodes, K, m, generator=generator, dtype=torch.float64)
    noise = torch.randn(n_episodes, n, m, generator=generator, dtype=torch.float64)
    return 2 * means[:, y] + noise + 5, y


def scaled(F):
    """Features of one episode, centred, with mean squared norm one."""
    X = (F - F.mean(0)).numpy()
    return X / np.sqrt((X**2).sum(1).mean())


def test_every_head_has_a_start_scale():
    assert START_SCALES.keys() == EPISODE_HEADS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_loops(kind):
    F, y = episodes()
    head = FewShotHead(kind, tol=1e-9)
    batch = head.fit(F, y, K)
    assert (batch.gap <= 1e-9).all()
    for e in range(len(F)):
        one = head.fit(F[e], y, K)
        np.testing.assert_allclose(batch.scores(F)[e], one.scores(F[e]), atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_scale_and_offset(kind):
    F, y = episodes()
    head = FewShotHead(kind, tol=1e-9)
    moved = 1e3 * F + 7
    a, b = head.fit(F, y, K).scores(F), head.fit(moved, y, K).scores(moved)
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_are_all_equal_give_equal_scores(kind):
    y = torch.arange(K)
    heads = FewShotHead(kind).fit(torch.full((2, K, M), 3.0), y, K)
    scores = heads.scores(torch.randn(2, 4, M))
    assert torch.isfinite(scores).all()
    assert (scores == scores[..., :1]).all()
    assert not heads.used.any()


def test_prototype_is_the_nearest_class_mean():
    F, y = episodes(m=2)
    grid = torch.randn(200, 2, dtype=torch.float64) * 4 + 5
    for f in F:
        peer = NearestCentroid().fit(f.numpy(), y.numpy())
        ours = FewShotHead("prototype").fit(f, y, K).scores(grid).argmax(-1)
        np.testing.assert_array_equal(ours, peer.predict(grid.numpy()))


def test_sparse_prototype_is_the_nearest_mean_on_the_features_of_the_svm():
    F, y = episodes()
    chosen = FewShotHead("group_lasso_svm", group_reg=0.4).fit(F, y, K).used
    heads = FewShotHead("sparse_prototype", group_reg=0.4).fit(F, y, K)
    assert 0 < chosen.double().mean() < 1
    assert (heads.used == chosen).all()
    for f, used, scores in zip(F, chosen, heads.scores(F), strict=True):
        peer = NearestCentroid().fit(f[:, used].numpy(), y.numpy())
        np.testing.assert_array_equal(scores.argmax(-1), peer.predict(f[:, used].numpy()))


@pytest.mark.parametrize("m", [5, 40])
def test_ridge_is_scikit_learns(m):
    F, y = episodes(m=m)
    for f in F:
        X = scaled(f)
        peer = Ridge(alpha=0.3).fit(X, np.eye(K)[y])
        ours = FewShotHead("ridge", l2_reg=0.3 / ROOT).fit(f, y, K).scores(f)
        np.testing.assert_allclose(ours, peer.predict(X), atol=1e-10)


def test_logistic_is_scikit_learns():
    F, y = episodes()
    for f in F:
        X = scaled(f)
        peer = LogisticRegression(C=1 / 0.05, fit_intercept=False, tol=1e-10, max_iter=10_000)
        peer.fit(X, y)
        ours = FewShotHead("logistic", l2_reg=0.05 / ROOT, tol=1e-12).fit(f, y, K).scores(f)
        np.testing.assert_allclose(ours.softmax(-1), peer.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(("kind", "group_reg"), [("svm", 0.0), ("group_lasso_svm", 0.4)])
def test_margin_machines_are_group_lasso_svc(kind, group_reg):
    F, y = episodes()
    for f in F:
        X = scaled(f)
        peer = GroupLassoSVC(group_reg, l2_reg=0.7, fit_intercept=False, tol=1e-10).fit(X, y)
        heads = FewShotHead(kind, group_reg=0.4, l2_reg=0.7 / ROOT, tol=1e-10).fit(f, y, K)
        np.testing.assert_allclose(heads.scores(f), X @ peer.coef_.T, atol=1e-6)
        np.testing.assert_array_equal(heads.used, peer.support_)


@pytest.mark.parametrize("kind", ["svm", "group_lasso_svm"])
def test_intercepts_are_those_of_group_lasso_svc(kind):
    F, y = episodes()
    strength = 0.4 if kind == "group_lasso_svm" else 0.0
    for f in F:
        X = scaled(f)
        head = FewShotHead(kind, strength, l2_reg=0.7 / ROOT, tol=1e-10, fit_intercept=True)
        heads = head.fit(f, y, K)
        Y = torch.eye(K, dtype=torch.float64)[y]
        bound = float(uniform_spread_bound(torch.from_numpy(X), Y))
        peer = GroupLassoSVC(
            strength * bound, group_reg_mode="absolute", l2_reg=0.7, tol=1e-10
        ).fit(X, y)
        expected = X @ peer.coef_.T + peer.intercept_
        np.testing.assert_allclose(heads.scores(f), expected, atol=1e-6)


def test_logistic_intercept_is_that_of_a_column_of_ones():
    F, y = episodes()
    for f in F:
        X = np.c_[scaled(f), np.ones(N)]
        peer = LogisticRegression(C=1 / 0.05, fit_intercept=False, tol=1e-10, max_iter=10_000)
        peer.fit(X, y)
        head = FewShotHead("logistic", l2_reg=0.05 / ROOT, tol=1e-12, fit_intercept=True)
        scores = head.fit(f, y, K).scores(f)
        np.testing.assert_allclose(scores.softmax(-1), peer.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_scores(kind):
    F, y = episodes(2, n=6, m=4)
    head = FewShotHead(kind, group_reg=0.2, l2_reg=0.3, tol=1e-12)
    query = torch.randn(2, 3, 4, dtype=torch.float64) + 5
    # the bound of group_reg is held fixed in the gradient: with one feature per unit of the
    # bound it would not be what finite differences see
    if kind == "group_lasso_svm":
        head = FewShotHead("group_lasso_svm", group_reg=0.0, l2_reg=0.3, tol=1e-12)
    F = F.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: head.fit(f, y, K).scores(query), F, eps=1e-6, atol=1e-5, rtol=1e-4
    )


def test_gradient_through_the_sparse_head_at_a_fixed_strength(monkeypatch):
    F, y = episodes(1, n=6, m=4)
    query = torch.randn(1, 3, 4, dtype=torch.float64) + 5
    module = __import__("sklearn_sparsedis.nn._episode_heads", fromlist=["x"])
    fixed = torch.full((1,), 1.5, dtype=torch.float64)
    monkeypatch.setattr(module, "uniform_spread_bound", lambda *a, **k: fixed)
    head = FewShotHead("group_lasso_svm", group_reg=0.2, l2_reg=0.3, tol=1e-12)
    assert torch.autograd.gradcheck(
        lambda f: head.fit(f, y, K).scores(query), F.requires_grad_(), atol=1e-5, rtol=1e-4
    )


def test_single_precision_solves_to_what_it_can():
    F, y = episodes(6, n=30, m=64)
    for kind in KINDS:
        heads = FewShotHead(kind, tol=1e-9).fit(F.float(), y, K)
        assert (heads.gap <= 1e-5).all()
        exact = FewShotHead(kind, tol=1e-9).fit(F, y, K)
        np.testing.assert_allclose(heads.scores(F.float()), exact.scores(F), atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_and_gradients_stay_on_the_device(kind):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        F = fake_cuda(4, N, M, dtype=torch.float32, requires_grad=True)
        y = torch.arange(N, device=ACCELERATOR) % K
        scores = FewShotHead(kind).fit(F, y, K).scores(F)
        scores.square().sum().backward()
        assert scores.device.type == F.grad.device.type == ACCELERATOR
    # labels and strengths are checked, then one look at the gaps
    assert counter.count <= LIMITS[kind]


LIMITS = {"prototype": 0, "ridge": 0, "logistic": 1}
LIMITS |= {"svm": 4, "group_lasso_svm": 4, "sparse_prototype": 4}


def test_a_logistic_head_of_many_rows_is_that_of_its_dual(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(120) % 4
    F = torch.randn(120, 6, generator=generator).double() + torch.eye(6).double()[y]
    head = FewShotHead("logistic", tol=1e-9, fit_intercept=True)
    dual = head.fit(F, y, 4)
    monkeypatch.setattr(_episode_heads, "LARGEST_DUAL", 0)
    many = head.fit(F, y, 4)
    assert many.gap <= 1e-9
    torch.testing.assert_close(many.coef, dual.coef, rtol=0, atol=1e-4)
    torch.testing.assert_close(many.intercept, dual.intercept, rtol=0, atol=1e-4)
