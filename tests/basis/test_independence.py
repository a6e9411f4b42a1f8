"""Independent components: what they claim, and when they are refused."""

import numpy as np
import pytest

from sklearn_sparsedis.basis._independence import (
    are_independent,
    independent_components,
    law_gain,
    turn_groups,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

RIGHT = 0.95


def make_latents(seed, law, *, n=2000, m=4, correlation=0.0):
    """Latents and a linear mixing of them, white."""
    data = make_sparse_multitask(
        n, 1, m, m, latent_distribution=law, correlation=correlation, random_state=seed
    )
    X = data.X - data.X.mean(axis=0)
    return data.Z, X @ np.linalg.inv(np.linalg.cholesky(X.T @ X / n)).T


def size_of_correlation(Z, S):
    return np.abs(np.corrcoef(Z.T, S.T)[: Z.shape[1], Z.shape[1] :])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("law", ["uniform", "laplace", "exponential"])
def test_independent_latents_are_found_as_exactly_as_is_said(law, seed):
    Z, X = make_latents(seed, law)
    W, error = independent_components(X)
    size = size_of_correlation(Z, X @ W.T).max(axis=0)
    assert (size > RIGHT).all()
    # expected squares of sines: sixteen standard deviations are out of the question
    assert (1 - size**2 < 16 * error).all()
    assert (error < 1 - RIGHT**2).all()
    assert are_independent(X @ W.T)


def test_normal_latents_are_unknown():
    known = [
        independent_components(make_latents(seed, "normal")[1])[1] < 1 - RIGHT**2
        for seed in range(10)
    ]
    assert np.mean(known) < 0.1


def test_one_normal_latent_among_others_is_known_too():
    Z, _ = make_latents(0, "uniform")
    Z[:, 0] = np.random.default_rng(0).standard_normal(len(Z))
    X = Z @ np.random.default_rng(1).standard_normal((4, 4))
    W, error = independent_components(X)
    assert (error < 1 - RIGHT**2).all()
    assert (size_of_correlation(Z, X @ W.T).max(axis=0) > RIGHT).all()


@pytest.mark.parametrize("law", ["uniform", "laplace"])
def test_latents_that_depend_on_each_other_are_refused(law):
    _, X = make_latents(0, law, correlation=0.7)
    assert not are_independent(X @ independent_components(X)[0].T)


def test_laws_gain_nothing_on_normal_latents_and_most_along_the_latents():
    Z, X = make_latents(0, "laplace")
    assert law_gain(Z) > law_gain(X) + 10
    # joined by a normal copula, so that correlation costs nothing
    Z, X = make_latents(0, "laplace", correlation=0.7)
    assert law_gain(Z) > law_gain(X) + 10


def test_groups_are_turned_only_for_more_likelihood_together():
    Z, X = make_latents(1, "uniform")
    eye, whole = np.eye(4), [np.arange(4)]
    A, resolved = turn_groups(eye, whole, X, lambda A: 0.0)
    assert resolved.all()
    assert (size_of_correlation(Z, X @ A.T).max(axis=0) > RIGHT).all()
    contradicted, none = turn_groups(
        eye, whole, X, lambda A: 1e6 if np.array_equal(A, eye) else 0.0
    )
    assert np.array_equal(contradicted, eye)
    assert not none.any()
    # a basis that laws agree with is confirmed and stays as it is
    same, confirmed = turn_groups(A, whole, X, lambda B: 1e6 if np.array_equal(A, B) else 0.0)
    assert np.array_equal(same, A)
    assert confirmed.all()


def test_groups_are_turned_within_their_space():
    _, X = make_latents(1, "uniform")
    A, _ = turn_groups(np.eye(4), [np.arange(2), np.arange(2, 4)], X, lambda A: 0.0)
    assert A[:2, 2:] == pytest.approx(0)
    assert A[2:, :2] == pytest.approx(0)
