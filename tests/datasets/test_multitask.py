"""The generator of sparse multi-task data."""

import pickle

import numpy as np
import pytest
from scipy.stats import kstest

from sklearn_sparsedis.datasets import make_sparse_multitask, make_sparse_tasks
from sklearn_sparsedis.datasets._latents import LATENT_DISTRIBUTIONS
from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score


def _latents(n=300, m=6):
    return np.random.RandomState(0).standard_normal((n, m))


def test_shapes_and_model():
    data = make_sparse_multitask(50, 7, 4, 9, noise=0.0, random_state=0)
    assert data.X.shape == (50, 9)
    np.testing.assert_allclose(data.Y, data.Z @ data.coef.T, atol=1e-12)
    np.testing.assert_array_equal(data.support, data.coef != 0)
    np.testing.assert_allclose(data.mixing(data.Z), data.X, atol=1e-12)


def test_noise_is_a_fraction_of_the_signal():
    data = make_sparse_multitask(500, 5, noise=0.1, observation_noise=0.3, random_state=0)
    signal = data.Z @ data.coef.T
    ratio = np.linalg.norm(data.Y - signal, axis=0) / np.std(signal, axis=0) / np.sqrt(500)
    np.testing.assert_allclose(ratio, 0.1, rtol=1e-10)
    clean = data.mixing(data.Z)
    ratio = np.linalg.norm(data.X - clean, axis=0) / np.std(clean, axis=0) / np.sqrt(500)
    np.testing.assert_allclose(ratio, 0.3, rtol=1e-10)


@pytest.mark.parametrize("distribution", sorted(LATENT_DISTRIBUTIONS))
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.99])
def test_latents_have_the_marginal_and_the_correlation(distribution, correlation):
    data = make_sparse_multitask(
        20_000, 1, 3, 3, latent_distribution=distribution, correlation=correlation, random_state=0
    )
    observed = np.corrcoef(data.Z.T)[np.triu_indices(3, 1)]
    # standard error of a correlation at most 1.5/sqrt(n) = 0.01 for these marginals
    np.testing.assert_allclose(observed, correlation, atol=0.03)
    for column in data.Z.T:
        assert kstest(column, LATENT_DISTRIBUTIONS[distribution].cdf).statistic < 0.02


def test_linear_mixing_is_entangled_and_linearly_equivalent():
    data = make_sparse_multitask(1000, 1, random_state=0)
    assert linear_recovery_score(data.Z, data.X) == pytest.approx(1.0, abs=1e-9)
    assert mean_corrcoef_score(data.Z, data.X) < 0.9
    assert np.linalg.cond(data.mixing.matrix) == pytest.approx(3.0)


def test_mlp_mixing_is_injective_and_not_linear():
    data = make_sparse_multitask(1000, 1, mixing="mlp", random_state=0)
    assert linear_recovery_score(data.Z, data.X) < 0.97
    weights, biases = data.mixing.weights, data.mixing.biases
    Z = data.X @ np.linalg.pinv(weights[-1]).T
    for weight, bias in zip(weights[-2::-1], biases[::-1], strict=True):
        Z = (np.where(Z < 0, Z / 0.2, Z) - bias) @ weight
    np.testing.assert_allclose(Z, data.Z, atol=1e-10)


def test_callable_mixing_and_fresh_data_of_the_same_world():
    data = make_sparse_multitask(20, 2, mixing=lambda Z: np.hstack([Z, Z**2]), random_state=0)
    np.testing.assert_array_equal(data.X, np.hstack([data.Z, data.Z**2]))
    world = make_sparse_multitask(20, 2, mixing="mlp", random_state=0)
    fresh = make_sparse_multitask(30, 2, mixing=world.mixing, random_state=1)
    np.testing.assert_array_equal(fresh.X, world.mixing(fresh.Z))


@pytest.mark.parametrize("mixing", ["linear", "mlp"])
def test_one_latent_and_as_many_features_as_latents(mixing):
    assert make_sparse_multitask(10, 2, 1, 1, mixing=mixing, random_state=0).X.shape == (10, 1)
    assert make_sparse_multitask(10, 2, 4, 4, mixing=mixing, random_state=0).X.shape == (10, 4)


def test_bernoulli_support():
    support = make_sparse_tasks(_latents(), 4000, support_prob=0.3, random_state=0).support
    assert support.any(axis=1).all()
    expected = 0.3 / (1 - 0.7**6)  # given that the support is not empty
    np.testing.assert_allclose(support.mean(axis=0), expected, atol=0.03)  # 4 standard errors


def test_fixed_size_support():
    support = make_sparse_tasks(
        _latents(), 3000, support="fixed_size", support_size=2, random_state=0
    ).support
    np.testing.assert_array_equal(support.sum(axis=1), 2)
    pairs, counts = np.unique(support, axis=0, return_counts=True)
    assert len(pairs) == 15
    np.testing.assert_allclose(counts / 3000, 1 / 15, atol=0.02)  # 4 standard errors


def test_block_support():
    tasks = make_sparse_tasks(
        _latents(m=5), 200, support="blocks", support_size=2, support_prob=0.2, random_state=0
    )
    np.testing.assert_array_equal(tasks.support[:, 0], tasks.support[:, 1])
    np.testing.assert_array_equal(tasks.support[:, 2], tasks.support[:, 3])
    assert len(np.unique(tasks.support, axis=0)) == 7  # three blocks, the last of one latent
    assert tasks.support.any(axis=1).all()


def test_finite_and_given_supports():
    tasks = make_sparse_tasks(_latents(), 200, support="finite", n_supports=3, random_state=0)
    assert 1 < len(np.unique(tasks.support, axis=0)) <= 3
    given = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    tasks = make_sparse_tasks(_latents(), 50, support=given, random_state=0)
    np.testing.assert_array_equal(np.unique(tasks.support, axis=0), given[::-1])


@pytest.mark.parametrize(("law", "kurtosis"), [("gaussian", 3.0), ("laplace", 6.0)])
def test_dense_laws(law, kurtosis):
    tasks = make_sparse_tasks(_latents(), 5000, support=law, random_state=0)
    assert tasks.support.all()
    assert tasks.coef.var() == pytest.approx(1.0, abs=0.05)
    assert np.mean(tasks.coef**4) == pytest.approx(kurtosis, rel=0.15)


def test_missing_labels():
    data = make_sparse_multitask(40, 10, missing_fraction=0.25, random_state=0)
    np.testing.assert_array_equal(np.isnan(data.Y).sum(axis=0), 10)
    assert len({tuple(column) for column in np.isnan(data.Y).T}) == 10
    almost = make_sparse_multitask(4, 10, missing_fraction=0.99, random_state=0)
    np.testing.assert_array_equal(np.isnan(almost.Y).sum(axis=0), 3)


def test_seed_gives_equal_data_and_leaves_the_global_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make_sparse_multitask(30, 3, mixing="mlp", random_state=5)
    second = make_sparse_multitask(30, 3, mixing="mlp", random_state=5)
    other = make_sparse_multitask(30, 3, mixing="mlp", random_state=6)
    for key in ("X", "Y", "Z", "coef"):
        np.testing.assert_array_equal(first[key], second[key])
        assert not np.array_equal(first[key], other[key])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_task_law_does_not_change_the_world():
    first = make_sparse_multitask(30, 3, noise=0.0, random_state=5)
    second = make_sparse_multitask(30, 9, noise=1.0, support="laplace", random_state=5)
    np.testing.assert_array_equal(first.X, second.X)


def test_bunch_can_be_pickled():
    data = make_sparse_multitask(10, 2, mixing="mlp", random_state=0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).mixing(data.Z), data.X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_samples": 1}, ValueError, "n_samples=1 must be >= 2"),
        ({"n_tasks": 0}, ValueError, "n_tasks=0 must be >= 1"),
        ({"n_latents": 2.0}, TypeError, "n_latents must be an integer >= 1, got 2.0"),
        ({"n_features": 3}, ValueError, "n_features=3 is less than n_latents=6"),
        ({"mixing": "conv"}, ValueError, "mixing='conv' is unknown, choose one of"),
        ({"mixing": lambda Z: Z[:5]}, ValueError, "mixing must return one row for each of the"),
        ({"mixing": lambda Z: Z * np.nan}, ValueError, r"Input mixing\(Z\) contains NaN"),
        ({"correlation": 1.0}, ValueError, r"correlation=1.0 must be in \[0, 1\)"),
        ({"correlation": "high"}, TypeError, r"correlation must be a number in \[0, 1\)"),
        ({"latent_distribution": "cauchy"}, ValueError, "latent_distribution='cauchy' is unknown"),
        ({"support": "group"}, ValueError, "support='group' is unknown, choose one of"),
        ({"support": np.ones(6)}, ValueError, r"boolean array of shape \(n_supports, 6\)"),
        ({"support": np.eye(6) * 0}, ValueError, "each row must use a latent"),
        ({"support_prob": 0.0}, ValueError, "support_prob must be positive"),
        ({"support_prob": 1.5}, ValueError, r"support_prob=1.5 must be in \[0, 1\]"),
        (
            {"support": "fixed_size", "support_size": 7},
            ValueError,
            "support_size=7 must be at most n_latents=6",
        ),
        ({"noise": -0.1}, ValueError, r"noise=-0.1 must be in \[0, inf\)"),
        ({"noise": np.nan}, ValueError, "noise=nan must be in"),
        ({"observation_noise": np.inf}, ValueError, "observation_noise=inf must be in"),
        ({"missing_fraction": 1.0}, ValueError, "missing_fraction=1.0 must be in"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        make_sparse_multitask(**arguments, random_state=0)
