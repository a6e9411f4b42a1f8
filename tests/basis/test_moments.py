"""Heads from accumulated moments: those of a loop over tasks, whatever the chunks."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.basis import _moments
from sklearn_sparsedis.basis._components import shared_reader
from sklearn_sparsedis.basis._heads import least_squares_heads, refit, whiten
from sklearn_sparsedis.basis._moments import Moments, shared_moments, task_moments
from sklearn_sparsedis.inputs import _rows
from sklearn_sparsedis.inputs._observations import check_observations
from sklearn_sparsedis.inputs._rows import check_rows
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets
from tests.sparse_heads import make_tasks


def ragged(seed=0, n_tasks=40, d=4):
    """Tasks of 1 to 60 rows, each about a mean of its own, in random order."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), rng.integers(1, 61, size=n_tasks))
    rng.shuffle(task)
    F = rng.standard_normal((len(task), d)) + 100 * rng.standard_normal((n_tasks, d))[task]
    W = rng.standard_normal((n_tasks, d))
    y = (F * W[task]).sum(1) + rng.standard_normal(len(task))
    return check_rows(SparseRotation(), F), y, task


def in_chunks(monkeypatch, chunk, held):
    monkeypatch.setattr(_rows, "CHUNK", chunk)
    monkeypatch.setattr(_moments, "CHUNK", chunk)
    monkeypatch.setattr(_moments, "_HELD", held)


@pytest.mark.parametrize(("chunk", "held"), [(10**7, 10**7), (500, 10**7), (500, 200)])
def test_heads_are_those_of_a_loop_over_tasks(monkeypatch, chunk, held):
    in_chunks(monkeypatch, chunk, held)
    F, y, task = ragged()
    features = whiten(shared_moments(F))
    observed = check_observations(y, len(y), task_id=task, caller="SparseRotation")
    heads = least_squares_heads(task_moments(F, observed, features.forward, features.mean))
    support = np.random.default_rng(1).random((40, 3)) < 0.6
    rotation = np.random.default_rng(2).standard_normal((3, 4))
    matrix = features.forward @ rotation.T
    passes, known = task_moments(F, observed, matrix, features.mean), np.ones(40, dtype=bool)
    coef, intercept, _ = refit(passes, support, known)
    for t in range(40):
        Z, target = features(F.source[task == t]), y[task == t]
        design = np.column_stack([Z, np.ones(len(Z))])
        if len(Z) > 5:
            exact, rss = np.linalg.lstsq(design, target, rcond=None)[:2]
            variance = rss / (len(Z) - 5) * np.linalg.inv(design.T @ design).diagonal()[:4]
            # features within a task vary by a hundredth of what they vary between tasks
            np.testing.assert_allclose(heads.coef[t], exact[:4], rtol=1e-6)
            np.testing.assert_allclose(heads.intercept[t], exact[4], rtol=1e-6)
            np.testing.assert_allclose(heads.stderr[t], np.sqrt(variance), rtol=1e-6)
        else:
            assert np.isinf(heads.stderr[t]).all()
            assert heads.intercept[t] == pytest.approx(target.mean())
        C = (Z @ rotation.T)[:, support[t]]
        some = np.linalg.lstsq(C - C.mean(0), target - target.mean(), rcond=None)[0]
        if np.linalg.matrix_rank(C - C.mean(0)) == support[t].sum() and len(Z) > 5:
            np.testing.assert_allclose(coef[t, support[t]], some, rtol=1e-5)
            expected = target.mean() - C.mean(0) @ some
            np.testing.assert_allclose(intercept[t], expected, rtol=1e-5)
    assert (coef[~support] == 0).all()
    assert np.isfinite(coef).all()


def test_chunks_change_nothing_but_rounding(monkeypatch):
    F, Y, _, _ = make_tasks(0)
    Y[np.random.default_rng(0).random(Y.shape) < 0.4] = np.nan
    rows, observed = (
        check_rows(SparseRotation(), F),
        check_observations(Y, len(F), caller="SparseRotation"),
    )
    features = whiten(shared_moments(rows))
    read = partial(task_moments, rows, observed, features.forward, features.mean)
    whole = least_squares_heads(read())
    in_chunks(monkeypatch, 300, 100)
    pieces = least_squares_heads(read())
    np.testing.assert_allclose(pieces.coef, whole.coef, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pieces.intercept, whole.intercept, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pieces.stderr, whole.stderr, rtol=1e-10)


@pytest.mark.parametrize("observed", [False, True])
def test_weights_are_repeated_rows_and_tasks_without_rows_have_no_head(observed):
    rng = np.random.default_rng(0)
    Z, Y = rng.standard_normal((30, 3)), rng.standard_normal((30, 4))
    weight = rng.integers(0, 4, 30)
    targets = DenseTargets(torch.from_numpy(Y), torch.from_numpy(weight.astype(float)))
    if observed:
        weights = np.repeat(weight[:, None].astype(float), 4, axis=1)
        weights[:, 3] = 0
        targets = ObservedTargets.of_table(torch.from_numpy(Y), torch.from_numpy(weights))
    found = Moments.of_targets(torch.from_numpy(Z), targets)
    repeated = Moments.of(np.repeat(Z, weight, axis=0), np.repeat(Y, weight, axis=0).T)
    heads, expected = (least_squares_heads([(slice(None), m)]) for m in (found, repeated))
    for name in ("coef", "intercept", "stderr"):
        same = slice(None, 3 if observed else 4)
        one, other = getattr(heads, name)[same], getattr(expected, name)[same]
        np.testing.assert_allclose(one, other, rtol=1e-10)
    assert np.isfinite(heads.stderr).all(axis=1).tolist() == [True, True, True, not observed]


def test_a_task_whose_features_are_collinear_has_no_head():
    rng = np.random.default_rng(0)
    Z, y = rng.standard_normal((2, 20, 3)), rng.standard_normal((2, 20))
    Z[1, :, 2] = Z[1, :, 0] - Z[1, :, 1]
    heads = least_squares_heads([(slice(None), Moments.of(Z, y))])
    assert np.isfinite(heads.stderr).all(axis=1).tolist() == [True, False]
    np.testing.assert_array_equal(heads.coef[1], 0)


def same_up_to_the_search(found, expected, F):
    """The basis is polished to convergence, so that rounding stays rounding."""
    np.testing.assert_array_equal(found.support_, expected.support_)
    np.testing.assert_allclose(found.transform(F), expected.transform(F), atol=1e-8)
    np.testing.assert_allclose(
        found.coef_ @ found.rotation_, expected.coef_ @ expected.rotation_, atol=1e-8
    )


@pytest.mark.parametrize("pieces", [2, 4])
def test_partial_fit_equals_one_pass(pieces):
    F, Y, _, _ = make_tasks(1)
    F = F + [100.0, 0.0, 0.0, 0.0]
    whole = SparseRotation(random_state=0).fit(F, Y)
    model = SparseRotation(random_state=0)
    chunks = zip(np.array_split(F, pieces), np.array_split(Y, pieces), strict=True)
    with warnings.catch_warnings():  # of the first chunks, which are small
        warnings.simplefilter("ignore", UserWarning)
        for k, (rows, targets) in enumerate(chunks):
            model.partial_fit(rows, targets)
            if not k:
                model = pickle.loads(pickle.dumps(model))
    one, many = Moments(**whole._moments), Moments(**model._moments)
    assert many.count == len(F)
    white = whiten(one)
    one_heads, many_heads = (
        least_squares_heads(shared_reader(moments)(white.forward, white.mean))
        for moments in (one, many)
    )
    np.testing.assert_allclose(many_heads.coef, one_heads.coef, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(many.y_mean, one.y_mean, rtol=1e-12)
    np.testing.assert_allclose(many_heads.stderr, one_heads.stderr, rtol=1e-9)
    np.testing.assert_allclose(whiten(many).forward, whiten(one).forward, rtol=1e-7, atol=1e-9)
    same_up_to_the_search(model, whole, F)


def test_partial_fit_continues_a_fit_and_fit_starts_anew():
    F, Y, _, _ = make_tasks(2)
    whole = SparseRotation(random_state=0).fit(F, Y)
    model = SparseRotation(random_state=0).fit(F[:200], Y[:200]).partial_fit(F[200:], Y[200:])
    same_up_to_the_search(model, whole, F)
    np.testing.assert_array_equal(model.fit(F, Y).coef_, whole.coef_)


def test_partial_fit_says_what_it_cannot_do():
    F, Y, _, _ = make_tasks(3)
    model = SparseRotation(random_state=0).fit(F, Y)
    before = model.coef_
    with pytest.raises(ValueError, match="a column for each of the 60 tasks .* got 59"):
        model.partial_fit(F, Y[:, 1:])
    with pytest.raises(ValueError, match="X has 3 features"):
        model.partial_fit(F[:, 1:], Y)
    Y[0, 0] = np.nan
    with pytest.raises(ValueError, match="needs every task on every row"):
        model.partial_fit(F, Y)
    assert model.coef_ is before
    with pytest.raises(ValueError, match="continues only where every task was observed"):
        SparseRotation(random_state=0).fit(F, Y).partial_fit(F, Y)
