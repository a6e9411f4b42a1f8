"""Explicitness on cases with a known answer."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sklearn_sparsedis.metrics import explicitness_score
from sklearn_sparsedis.metrics._explicitness import _area
from tests.metrics.cases import grid, normal, rotated


def test_area_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    positive, decision = rng.random(300) < 0.3, rng.integers(6, size=300) / 5
    assert _area(positive, decision) == pytest.approx(roc_auc_score(positive, decision))


@pytest.mark.parametrize("Z", [grid(copies=20), normal()], ids=["discrete", "continuous"])
def test_linear_codes_are_explicit_and_noise_is_not(Z):
    assert explicitness_score(Z, 3 - 2.0 * Z[:, ::-1]) > 0.97
    assert explicitness_score(Z, rotated(Z)) > 0.97  # explicit, though not disentangled
    noise = normal(len(Z), 3, seed=5)
    assert explicitness_score(Z, noise) == pytest.approx(0.5, abs=0.05)
    assert explicitness_score(Z, np.ones((len(Z), 2))) == 0.5


def test_dead_features_change_nothing_and_missing_factors_cost():
    Z = grid(copies=20)
    dead = np.column_stack([Z, np.ones(len(Z))])
    assert explicitness_score(Z, dead) == pytest.approx(explicitness_score(Z, Z), abs=1e-6)
    assert explicitness_score(Z, Z[:, :2]) < explicitness_score(Z, Z) - 0.1


def test_bad_input():
    rare = np.r_[np.zeros(9, int), 1]
    with pytest.raises(ValueError, match="only one value is in the rows for fitting or for"):
        explicitness_score(rare, rare)
    with pytest.raises(ValueError, match="max_train=1 must be an integer >= 2"):
        explicitness_score(grid(), grid(), max_train=1)
