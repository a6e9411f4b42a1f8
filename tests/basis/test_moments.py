"""Heads from accumulated moments: those of a loop over tasks, whatever the chunks."""

import pickle
import warnings

import numpy as np
import pytest

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.basis import _moments
from sklearn_sparsedis.basis._least_squares import fit_heads, refit_from_rows, shared_heads, whiten
from sklearn_sparsedis.basis._moments import SharedMoments
from sklearn_sparsedis.inputs import _rows
from sklearn_sparsedis.inputs._observations import check_observations
from sklearn_sparsedis.inputs._rows import check_rows
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
    features = whiten(SharedMoments.none(4, 0).with_table(F))
    observed = check_observations(y, len(y), task_id=task, caller="SparseRotation")
    heads = fit_heads(features, F, observed)
    support = np.random.default_rng(1).random((40, 3)) < 0.6
    rotation = np.random.default_rng(2).standard_normal((3, 4))
    coef, intercept = refit_from_rows(features, rotation, F, observed, support)
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
    features = whiten(SharedMoments.none(4, 0).with_table(rows))
    whole = fit_heads(features, rows, observed)
    in_chunks(monkeypatch, 300, 100)
    pieces = fit_heads(features, rows, observed)
    np.testing.assert_allclose(pieces.coef, whole.coef, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pieces.intercept, whole.intercept, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pieces.stderr, whole.stderr, rtol=1e-10)


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
    one, many = SharedMoments(**whole._moments), SharedMoments(**model._moments)
    assert many.n_samples == len(F)
    one_heads, many_heads = shared_heads(whiten(one), one), shared_heads(whiten(one), many)
    np.testing.assert_allclose(many_heads.coef, one_heads.coef, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(many_heads.intercept, one_heads.intercept, rtol=1e-12)
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
