"""Disentanglement, completeness and informativeness on cases with a known answer."""

import numpy as np
import pytest
from scipy.stats import entropy

from sklearn_sparsedis.metrics import dci_scores
from sklearn_sparsedis.metrics._dci import PREDICTORS, _concentration
from tests.metrics.cases import grid, normal, rotated

FAST = sorted(set(PREDICTORS) - {"boosting"})


def test_concentration_is_one_minus_normalised_entropy():
    weights = np.array([[1.0, 2, 3], [5, 0, 0], [1, 1, 1], [0, 0, 0]])
    expected = [1 - entropy(weights[0], base=3), 1.0, 0.0, 0.0]
    np.testing.assert_allclose(_concentration(weights), expected, atol=1e-12)


@pytest.mark.parametrize("predictor", sorted(PREDICTORS))
@pytest.mark.parametrize("Z", [grid((2, 3), 40), normal(400, 3)], ids=["discrete", "continuous"])
def test_perfect_permuted_code(predictor, Z):
    scores = dci_scores(Z, 1 - 2.0 * Z[:, ::-1], predictor=predictor)
    assert scores.disentanglement > 0.97
    assert scores.completeness > 0.97
    assert scores.informativeness > 0.97
    matched = scores.importances.argmax(axis=0)
    np.testing.assert_array_equal(matched, np.arange(Z.shape[1])[::-1])


@pytest.mark.parametrize("predictor", FAST)
@pytest.mark.parametrize("Z", [grid(copies=20), normal()], ids=["discrete", "continuous"])
def test_rotation_is_clearly_lower(predictor, Z):
    scores = dci_scores(Z, rotated(Z), predictor=predictor)
    assert scores.disentanglement < 0.7
    assert scores.completeness < 0.7


@pytest.mark.parametrize("predictor", FAST)
def test_dead_features_change_nothing(predictor):
    Z = normal(500, 3)
    code = rotated(Z)
    dead = np.column_stack([np.full(500, 0.1), code, np.zeros(500)])
    first, second = (
        dci_scores(Z, code, predictor=predictor),
        dci_scores(Z, dead, predictor=predictor),
    )
    for key in ("disentanglement", "completeness", "informativeness"):
        assert second[key] == pytest.approx(first[key], abs=1e-12)
    assert second.importances.shape == (5, 3)
    assert second.disentanglement_per_feature[0] == 0.0


def test_redundant_code_is_disentangled_but_not_complete():
    # the entropy is steep at zero: coefficients must be known to 0.3 % (0.7 / sqrt(n))
    Z = normal(50_000, 2)
    noise = 0.1 * normal(50_000, 4, seed=1)
    code = np.column_stack([Z, Z]) + noise  # each latent is served by two features alike
    scores = dci_scores(Z, code, predictor="linear")
    assert scores.disentanglement > 0.9
    assert scores.completeness == pytest.approx(0.5, abs=0.1)  # 1 - log 2 / log 4


def test_mixing_code_is_complete_but_not_disentangled():
    Z = normal(1000, 2)
    scores = dci_scores(Z, Z.sum(axis=1), predictor="linear")
    assert scores.completeness == 1.0  # a single feature
    assert scores.disentanglement == pytest.approx(0.0, abs=0.01)
    assert scores.informativeness == pytest.approx(0.5, abs=0.05)


def test_dead_representation_and_single_latent():
    Z = normal(100, 2)
    scores = dci_scores(Z, np.ones((100, 3)))
    assert scores.disentanglement == scores.completeness == scores.informativeness == 0.0
    scores = dci_scores(Z[:, 0], Z, predictor="lasso")
    assert scores.disentanglement == pytest.approx(1.0)


def test_categories_need_trees():
    rng = np.random.default_rng(0)
    shape = rng.integers(3, size=600)
    Z = np.column_stack([shape, rng.integers(3, size=600)])
    code = np.column_stack([(shape + 1) % 3, Z[:, 1]])  # relabelled: not monotone
    assert dci_scores(Z, code).informativeness == 1.0
    assert dci_scores(Z, code, predictor="linear").informativeness < 0.7


def test_seed():
    Z = normal(300, 2)
    first = dci_scores(Z, rotated(Z), random_state=3)
    second = dci_scores(Z, rotated(Z), random_state=3)
    np.testing.assert_array_equal(first.importances, second.importances)


def test_bad_input():
    with pytest.raises(ValueError, match="predictor='svm' is unknown, choose one of"):
        dci_scores(normal(), normal(), predictor="svm")
    with pytest.raises(ValueError, match="test_size=0.25 leaves 3 rows for fitting and 1"):
        dci_scores(normal(4), normal(4))
