"""Heads of new tasks against Gaussian processes and ridge, and the prior against what drew it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import gammaln, logsumexp
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, WhiteKernel
from sklearn.linear_model import RidgeCV

from sklearn_sparsedis.adaptation._design import Design, TaskRows
from sklearn_sparsedis.adaptation._evidence import Scales, Strengths, log_evidence
from sklearn_sparsedis.adaptation._hierarchy import Hierarchy
from sklearn_sparsedis.adaptation._learn import FinalHeads, learn_common_prior, learn_prior
from sklearn_sparsedis.adaptation._prior import LabelPrior, ValuePrior
from sklearn_sparsedis.adaptation._rows import draw_rows, rows_of_tasks
from sklearn_sparsedis.adaptation._spike_slab import Spikes, sparse_heads
from sklearn_sparsedis.tasks._dense import DenseTargets


def tensor(values):
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


def draw(n_tasks, n_rows, n_components=3, n_features=2, seed=0):
    random = np.random.default_rng(seed)
    Z, X = random.normal(size=(2, n_tasks, n_rows, max(n_components, n_features)))
    Z, X = Z[..., :n_components], X[..., :n_features]
    w, v = random.normal(size=(n_tasks, n_components)), random.normal(size=(n_tasks, n_features))
    y = np.einsum("tnm,tm->tn", Z, w) + 0.5 * np.einsum("tnp,tp->tn", X, v) + 3
    y += 0.5 * random.normal(size=y.shape)
    return TaskRows(tensor(Z), tensor(X), tensor(y), torch.ones(y.shape, dtype=torch.float64))


def strengths(shares):
    """Shares (g, 3) of heads, of one kind of features and of noise."""
    heads, features, noise = tensor(shares).T
    return Strengths(heads, features[:, None], noise)


def every(n_features, value=1.0):
    """Variances of features of one kind."""
    return tensor(np.full((1, n_features), value))


def prior(m, shares, *, p=2, dof=1e9, level=100.0, mean=None, variance=1.0):
    moment = np.zeros((1 + m, 1 + m))
    moment[1:, 1:] = np.diag(np.arange(1.0, 1 + m))
    scales = Scales(tensor(moment), every(p, 0.5), tensor(level), tensor(dof))
    log_probability = torch.full((len(shares),), -np.log(len(shares)), dtype=torch.float64)
    return ValuePrior(
        tensor(np.zeros(1 + m) if mean is None else mean),
        scales,
        strengths(shares),
        log_probability,
        tensor(variance),
    )


def covariance(rows, others, shares, level=100.0):
    U, V, A, B = (x.numpy()[0] for x in (*rows[:2], *others[:2]))
    a, b, _ = shares
    S = np.diag(np.arange(1.0, 1 + U.shape[1]))
    return a * U @ S @ A.T + b * 0.5 * V @ B.T + level


@pytest.mark.parametrize("n_rows", [2, 8, 30])  # fewer and more rows than coefficients
def test_heads_and_deviations_are_those_of_a_gaussian_process(n_rows):
    rows, new, shares = draw(1, n_rows), draw(1, 5, seed=1), (0.5, 0.2, 0.3)
    heads = prior(3, [shares]).adapt(rows)
    K, cross = covariance(rows, rows, shares), covariance(new, rows, shares)
    K = K + shares[2] * np.eye(n_rows)
    found = new.components[0] @ heads.coef[0] + new.features[0] @ heads.feature_coef[0]
    expected = cross @ np.linalg.solve(K, rows.targets[0].numpy())
    np.testing.assert_allclose(found + heads.intercept, expected)
    left = covariance(new, new, shares) - cross @ np.linalg.solve(K, cross.T)
    deviation = prior(3, [shares], dof=1e12).deviation(rows, new.components[0], new.features[0])
    np.testing.assert_allclose(deviation[0] ** 2, np.diag(left) + shares[2], rtol=1e-4)


@pytest.mark.parametrize("n_rows", [4, 12, 40])  # fewer and more rows than coefficients
def test_modes_are_those_of_a_gaussian_process_classifier(n_rows):
    rows, variance = draw(1, n_rows), 2.0
    labels = (rows.targets > rows.targets.median()).to(torch.float64)
    rows = rows._replace(targets=labels, features=rows.features[..., :0])
    scales = Scales(torch.eye(4, dtype=torch.float64), every(0), tensor(0.0), tensor(1.0))
    shares = torch.tensor([[variance, 0.0, 0.0], [0.5, 0.0, 0.0]], dtype=torch.float64)
    log_probability = torch.tensor([0.0, -torch.inf], dtype=torch.float64)
    prior = LabelPrior(
        torch.zeros(4, dtype=torch.float64),
        scales,
        strengths(shares),
        log_probability,
        tensor(1),
    )
    evidence = prior.log_evidence(prior.design(rows), scales)[:, 0]
    new = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for value, found in zip(shares[:, 0], evidence, strict=True):
        process = GaussianProcessClassifier(float(value) * DotProduct(1.0), optimizer=None)
        process.fit(rows.components[0], labels[0])
        assert float(found) == pytest.approx(process.log_marginal_likelihood_value_, abs=1e-5)
        if value == variance:
            heads, base = prior.adapt(rows), process.base_estimator_
            odds = base.kernel_(base.X_train_, new.numpy()).T @ (base.y_train_ - base.pi_)
            np.testing.assert_allclose(new @ heads.coef[0] + heads.intercept, odds, atol=1e-4)


def test_a_hierarchy_of_labels_is_what_drew_them():
    random = np.random.default_rng(0)
    mean, spread = np.array([-1.0, 2.0, 0.0, -1.0]), np.array([1.0, 0.2, 1.0, 0.2])
    Z = random.normal(size=(100, 400, 3))
    w = mean + spread * random.normal(size=(100, 4))
    odds = np.einsum("tnm,tm->tn", Z, w[:, 1:]) + w[:, :1]
    labels = random.random(odds.shape) < 1 / (1 + np.exp(-odds))
    weight = torch.ones(100, 400, dtype=torch.float64)
    found = Hierarchy.fit_labels(TaskRows(tensor(Z), tensor(Z[..., :0]), tensor(labels), weight))
    np.testing.assert_allclose(found.heads.mean(0), w.mean(0), atol=0.1)
    about = found.heads - found.heads.mean(0)
    covariance = (about[:, :, None] * about[:, None, :] + found.covariance).mean(0)
    np.testing.assert_allclose(covariance.diagonal().sqrt(), w.std(0), atol=0.1)


def test_evidence_against_scikit_learn():
    rows, shares = draw(1, 12, n_features=3), [(0.6, 0.0, 0.4), (0.2, 0.0, 0.8)]
    scales = Scales(torch.eye(4, dtype=torch.float64), every(3), tensor(0.0), tensor(1e6))
    found = log_evidence(Design.of(rows), scales, strengths(shares))[:, 0]
    process = [
        GaussianProcessRegressor(a * DotProduct(1.0) + WhiteKernel(c), optimizer=None, alpha=0)
        .fit(rows.components[0], rows.targets[0])
        .log_marginal_likelihood_value_
        for a, _, c in shares
    ]
    # with so many degrees of freedom the variance is all but known
    assert float(found.diff()) == pytest.approx(float(np.diff(process)[0]), rel=1e-3)


def test_weights_are_counts_and_a_row_of_weight_zero_is_none():
    rows, shares = draw(1, 6), [(0.5, 0.2, 0.3), (0.1, 0.5, 0.4)]
    model = prior(3, shares, dof=1.0, variance=0.0)
    weight = torch.tensor([[2.0, 1.0, 1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    index = [0, 0, 1, 2, 4, 5]
    counted = model.adapt(rows._replace(weight=weight))
    repeated = model.adapt(
        TaskRows(*(x[:, index] for x in rows[:3]), torch.ones(1, 6, dtype=torch.float64))
    )
    for one, other in zip(counted[:4], repeated[:4], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    scaled = model.adapt(rows._replace(weight=0.01 * torch.ones_like(weight)))
    for one, other in zip(scaled[:4], model.adapt(rows)[:4], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("n_rows", [1, 4, 20])
def test_a_batch_is_a_loop(n_rows):
    rows = draw(7, n_rows)
    model = prior(3, [(0.5, 0.2, 0.3), (0.1, 0.0, 0.9)], dof=1.0, variance=0.0)
    together = model.adapt(rows)
    for t in range(7):
        for one, all_ in zip(model.adapt(rows.task(t))[:4], together[:4], strict=True):
            np.testing.assert_allclose(one[0], all_[t], rtol=1e-9, atol=1e-12)


def test_units_and_levels_are_each_task_s_own():
    rows = draw(2, 9)
    model = prior(3, [(0.5, 0.2, 0.3), (0.1, 0.0, 0.9)], dof=1.0, variance=0.0)
    before, after = (model.adapt(r) for r in (rows, rows._replace(targets=5 + 100 * rows.targets)))
    np.testing.assert_allclose(after.coef, 100 * before.coef)
    np.testing.assert_allclose(after.intercept, 5 + 100 * before.intercept)
    np.testing.assert_allclose(after.residual_share, before.residual_share)


def old_tasks(random, n_tasks, n_rows, outside, used=2, m=6, p=6, noise=0.3):
    """Tasks on the first of m components, and on features as far as they are outside."""
    Z, X = random.normal(size=(n_rows, m)), random.normal(size=(n_rows, p))
    W = np.zeros((n_tasks, m))
    W[:, :used] = random.normal(size=(n_tasks, used)) / used**0.5
    V = outside * random.normal(size=(n_tasks, p)) / p**0.5
    Y = Z @ W.T + X @ V.T + noise * random.normal(size=(n_rows, n_tasks))
    return Z, X, W, Y


def learned(Z, draws, heads, used=None):
    """Prior from old heads, all of which use all components unless it is said."""
    used = torch.ones(heads.shape, dtype=torch.bool) if used is None else used
    kinds = every(draws[0].features.shape[-1])
    return learn_prior(draws, heads, FinalHeads(tensor(Z), heads, used, draws[-1]), kinds)


def test_directions_that_tasks_use_and_what_is_outside_are_learned():
    random = np.random.default_rng(0)
    for outside in (0.0, 1.0):
        Z, X, W, Y = old_tasks(random, 40, 200, outside)
        tasks, draws = draw_rows(tensor(Z), tensor(X), DenseTargets(tensor(Y)), 0)
        unit = tensor(Y.std(0))[:, None]
        found = learned(Z, draws, (tensor(W) / unit)[tasks])
        p = found.log_probability.exp()
        share = float(p @ (found.strengths.features[:, 0] / (1 - found.strengths.noise)))
        assert share < 0.1 if outside == 0 else 0.3 < share < 0.7
        noise = (0.3**2 / Y.var(0)).mean()  # shares of noise that are tried differ by a factor of 3
        assert noise / 2 < float(p @ found.strengths.noise) < 2 * noise
        diagonal = found.scales.moment.diagonal()
        assert diagonal[1:3].min() > 10 * diagonal[3:].max()


def test_ten_rows_are_enough_where_ridge_fails_and_the_rest_is_found_from_many():
    random = np.random.default_rng(1)
    Z, X, W, Y = old_tasks(random, 40, 200, 0.3, m=12, p=30)
    tasks, draws = draw_rows(tensor(Z), tensor(X), DenseTargets(tensor(Y)), 0)
    model = learned(Z, draws, (tensor(W) / tensor(Y.std(0))[:, None])[tasks])
    Z, X, W, Y = old_tasks(random, 20, 1000, 0.3, m=12, p=30)
    for n, gain in ((10, 0.3), (30, 0.1), (300, -0.01)):
        few = TaskRows(
            tensor(Z)[None, :n], tensor(X)[None, :n], tensor(Y[:n].T), tensor(np.ones((1, n)))
        )
        heads = model.adapt(few)
        ours = Z @ heads.coef.numpy().T + X @ heads.feature_coef.numpy().T + heads.intercept.numpy()
        both = np.hstack([Z, X])
        ridge = RidgeCV(np.logspace(-2, 4, 20)).fit(both[:n], Y[:n]).predict(both)
        error = [((f - Y)[300:] ** 2).mean() / Y[300:].var() for f in (ours, ridge)]
        assert error[0] < error[1] - gain


@pytest.mark.parametrize("n_rows", [10, 20, 50])
def test_intervals_cover(n_rows):
    random = np.random.default_rng(2)
    Z, X, W, Y = old_tasks(random, 60, 200, 0.5)
    tasks, draws = draw_rows(tensor(Z), tensor(X), DenseTargets(tensor(Y)), 0)
    model = learned(Z, draws, (tensor(W) / tensor(Y.std(0))[:, None])[tasks])
    Z, X, W, Y = (tensor(x) for x in old_tasks(random, 300, n_rows + 40, 0.5))
    few = TaskRows(Z[None, :n_rows], X[None, :n_rows], Y[:n_rows].T, tensor(np.ones((1, n_rows))))
    heads, std = model.adapt(few), model.deviation(few, Z[n_rows:], X[n_rows:])
    predicted = heads.coef @ Z[n_rows:].T + heads.feature_coef @ X[n_rows:].T
    miss = (predicted + heads.intercept[:, None] - Y[n_rows:].T).abs() / std
    # 90 % of 12,000 targets of 300 tasks
    assert 0.87 < float((miss < 1.645).double().mean()) < 0.93


def test_a_common_head_is_learned_and_few_rows_stay_near_it():
    random = np.random.default_rng(3)
    mean, n_tasks = np.array([2.0, 1.0, -1.0, 0.0]), 80
    Z = random.normal(size=(n_tasks, 12, 3))
    W = mean + random.normal(size=(n_tasks, 4)) * [1.0, 0.3, 0.0, 0.0]
    y = W[:, :1] + np.einsum("tnm,tm->tn", Z, W[:, 1:]) + 0.5 * random.normal(size=(n_tasks, 12))
    rows = TaskRows(tensor(Z), tensor(Z[..., :0]), tensor(y), tensor(np.ones(y.shape)))
    model = learn_common_prior([TaskRows(*(x[:40] for x in rows))], rows, every(0))
    # a head from twelve rows has errors of .15, and so many are averaged
    np.testing.assert_allclose(model.mean, W.mean(0), atol=0.05)
    two = model.adapt(TaskRows(*(x[:, :2] for x in rows)))
    own = np.abs(two.coef.numpy() - W[:, 1:]).mean(0)
    assert own[1:].max() < 0.15
    assert own[0] < 0.3


def test_blocks_of_tasks_are_all_tasks():
    random = np.random.default_rng(4)
    Z, X, Y = (tensor(random.normal(size=(15, k))) for k in (3, 2, 400))
    weight = tensor(random.integers(0, 3, size=15))
    dense = DenseTargets(Y, weight)
    model = prior(3, [(0.5, 0.2, 0.3)], dof=1.0, variance=0.0)
    found = []
    for targets in (dense, dense.observed()):
        coef = torch.zeros(400, 3, dtype=torch.float64)
        for tasks, rows in rows_of_tasks(Z, X, targets):
            coef[tasks] = model.adapt(rows).coef
        found.append(coef)
    np.testing.assert_allclose(*found, rtol=1e-8, atol=1e-10)


def every_support(gram, cross, square, n, share, slab, center, dof):
    """Log-evidence, mean and probabilities of use, over all supports."""
    m, found = len(cross), []
    for used in map(np.array, itertools.product([False, True], repeat=m)):
        A = gram[np.ix_(used, used)] + np.diag(1 / slab[used])
        mean = np.where(used, center, 0.0)
        about, left = cross - gram @ mean, square - 2 * cross @ mean + mean @ gram @ mean
        w = np.zeros(m)
        w[used] = np.linalg.solve(A, about[used])
        evidence = -0.5 * (np.linalg.slogdet(A)[1] + np.log(slab[used]).sum())
        evidence += np.log(np.where(used, share, 1 - share)).sum()
        evidence -= (dof + n) / 2 * np.log(dof + left - about @ w)
        found.append((evidence + gammaln((dof + n) / 2) - gammaln(dof / 2), mean + w, used))
    evidence, w, used = map(np.array, zip(*found, strict=True))
    evidence += dof / 2 * np.log(dof)
    p = np.exp(evidence - logsumexp(evidence))
    return logsumexp(evidence), p @ w, p @ used


@pytest.mark.parametrize(
    ("n_rows", "shift", "close"),
    [(8, 0, 0.15), (8, 1, 0.15), (20, 0, 0.05), (20, 1, 0.07), (80, 0, 0.02), (80, 1, 0.02)],
)
def test_heads_with_zeros_are_the_mean_over_all_supports(n_rows, shift, close):
    random = np.random.default_rng(n_rows)
    T, m, strength = 20, 6, (0.7, 0.1, 0.2)
    rows = draw(T, n_rows, n_components=m, seed=n_rows)
    W = random.normal(size=(T, m)) * (random.random((T, m)) < 0.4)
    share, slab = np.linspace(0.2, 0.6, m), np.linspace(0.5, 2.0, m)
    center = np.linspace(-1.0, 0.5, m) * shift
    W = W + (W != 0) * center
    y = np.einsum("tnm,tm->tn", rows.components, W) + random.normal(size=(T, n_rows))
    design = Design.of(rows._replace(targets=tensor(y)))
    scales = Scales(tensor(0.0), every(2, 0.5), tensor(1.0), tensor(1.0))
    spikes = Spikes(tensor(share), tensor(slab), tensor(center))
    found = sparse_heads(
        design, scales, spikes, (tensor(strength[0]), tensor(strength[1:2]), tensor(strength[2]))
    )
    errors = []
    for t in range(T):
        U, V, y = (x[t].numpy() for x in (design.components, design.features, design.targets))
        base = U[:, :1] @ U[:, :1].T + 0.1 * 0.5 * V @ V.T + 0.2 * np.eye(len(V))
        inverse, Z = np.linalg.inv(base), U[:, 1:]
        square = y @ inverse @ y + float(design.left[t]) / 0.2
        evidence, w, p = every_support(
            Z.T @ inverse @ Z,
            Z.T @ inverse @ y,
            square,
            n_rows,
            share,
            0.7 * slab,
            0.7**0.5 * center,
            1.0,
        )
        spare = float(design.spare[t]) * np.log(0.2)
        evidence -= 0.5 * (np.linalg.slogdet(base)[1] + spare)
        errors.append(
            [
                abs(float(found.log_evidence[t]) - evidence),
                np.abs(found.coef[t].numpy() - w).max(),
                np.abs(found.probability[t].numpy() - p).max(),
            ]
        )
        dual = inverse @ (y - Z @ found.coef[t].numpy())
        np.testing.assert_allclose(found.dual[t], dual, rtol=1e-8, atol=1e-10)
    assert (np.mean(errors, 0) < [2 * close, close, close]).all()


def test_signs_that_old_heads_share_are_those_of_new_ones():
    random = np.random.default_rng(1)
    used = random.random((200, 5)) < 0.5
    W = tensor(
        used * (np.array([1.0, -1.0, 0.0, 2.0, -0.5]) + 0.2 * random.normal(size=used.shape))
    )
    spikes = Spikes.of(W, torch.tensor(used))
    size = (0.5 * (np.array([1.0, 1.0, 0.0, 4.0, 0.25]) + 0.04)).sum() ** 0.5
    expected = np.array([1.0, -1.0, 0.0, 2.0, -0.5]) / size
    np.testing.assert_allclose(spikes.center[0], expected, atol=0.05)
    others = Spikes.of(W, torch.tensor(used), without=3)
    for t in range(3):
        left = Spikes.of(torch.cat([W[:t], W[t + 1 :]]), torch.tensor(np.delete(used, t, 0)))
        np.testing.assert_allclose(others.center[t], left.center[0], rtol=1e-2)


def test_zeros_of_old_heads_are_those_of_new_ones():
    random = np.random.default_rng(0)
    for zeros in (True, False):
        Z, X, W, Y = old_tasks(random, 60, 200, 0.0, used=8, m=8)
        if zeros:
            W *= random.random(W.shape) < 0.3
            Y = Z @ W.T + 0.3 * random.normal(size=Y.shape)
        tasks, draws = draw_rows(tensor(Z), tensor(X), DenseTargets(tensor(Y)), 0)
        kept = W != 0 if zeros else random.random(W.shape) < 0.3  # zeros which there are not
        heads, used = (tensor(W) / tensor(Y.std(0))[:, None])[tasks], torch.tensor(kept)[tasks]
        model = learned(Z, draws, heads, used)
        assert model.sparse > 0.8 if zeros else model.sparse < 0.2
        Y, part = tensor(Y[:12].T), tensor(Z[:12])[None]
        found = model.adapt(TaskRows(part, tensor(X[:12])[None], Y, tensor(np.ones((1, 12)))))
        if zeros:
            p = found.support_probability.numpy()
            assert (W != 0)[p > 0.9].mean() > 0.9
            assert (W != 0)[p < 0.1].mean() < 0.1
        else:
            assert found.support_probability.mean() > 0.8


@pytest.mark.parametrize("seed", range(6))
def test_hard_rows_and_shares_of_nothing_leave_finite_heads(seed):
    random = np.random.default_rng(seed)
    n, m, p = random.integers((2, 3, 0), (60, 12, 20))
    Z = random.normal(size=(8, n, m)) * 10 ** random.uniform(-2, 2, m)
    Z[..., 1] = Z[..., 0]
    y = Z @ (random.normal(size=m) * (random.random(m) < 0.4))
    y += 1e-6 * random.normal(size=y.shape)
    X = random.normal(size=(8, n, p))
    rows = TaskRows(tensor(Z), tensor(X), tensor(y), tensor(np.ones(y.shape)))
    slab = 10 ** random.uniform(-4, 2, m)
    center = slab**0.5 * random.normal(size=m)
    spikes = Spikes(tensor(random.uniform(0.01, 0.99, m)), tensor(slab), tensor(center))
    shares = [(1 - 1e-6, 0.0, 1e-6), (0.0, 1 - 1e-6, 1e-6), (0.05, 0.0, 0.95)]
    model = replace(prior(m, shares, p=p, dof=1.0, variance=0.0), spikes=spikes, sparse=tensor(0.5))
    for found in model.adapt(rows):
        assert found.isfinite().all()
    assert model.sparse_gain(model.design(rows), spikes).isfinite().all()
