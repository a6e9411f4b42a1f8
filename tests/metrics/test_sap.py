"""Separated attribute predictability on cases with a known answer."""

import numpy as np
import pytest

from sklearn_sparsedis.metrics import sap_score
from tests.metrics.cases import grid, normal, rotated


def test_continuous_score_is_the_gap_of_squared_correlations():
    Z = normal()
    rng = np.random.default_rng(1)
    code = Z @ rng.normal(size=(4, 6)) + rng.normal(size=(2000, 6))
    r2 = np.sort(np.corrcoef(Z.T, code.T)[:4, 4:] ** 2, axis=1)
    assert sap_score(Z, code) == pytest.approx(np.mean(r2[:, -1] - r2[:, -2]), abs=1e-12)


def test_perfect_code():
    Z = grid(copies=60)
    # the runner-up predicts by chance, up to the noise of about 900 rows a value
    assert sap_score(Z, 1.0 - 2.0 * Z[:, ::-1]) == pytest.approx(1.0, abs=0.05)
    published = np.mean([1 - 1 / v for v in (3, 4, 5)])
    assert sap_score(Z, Z, adjusted=False) == pytest.approx(published, abs=0.05)
    assert sap_score(normal(), normal()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("Z", [grid(copies=30), normal()], ids=["discrete", "continuous"])
def test_rotation_redundancy_and_dead_features(Z):
    perfect = sap_score(Z, Z)
    assert sap_score(Z, rotated(Z)) < perfect - 0.3
    assert sap_score(Z, np.column_stack([Z, Z])) == 0.0
    dead = np.column_stack([Z, np.full(len(Z), 0.7)])
    assert sap_score(Z, dead) == pytest.approx(perfect, abs=1e-12)
    assert sap_score(Z, np.zeros((len(Z), 3))) == 0.0


def test_single_feature_competes_with_chance():
    Z = grid(copies=60)
    assert sap_score(Z[:, 2], Z[:, 2]) == 1.0
    assert sap_score(Z[:, 2], Z[:, 2], adjusted=False) == pytest.approx(0.8)


def test_mixed_factors():
    Z = np.column_stack([grid((2, 3), 100), normal(600, 1)])
    assert sap_score(Z, Z, discrete_factors=[True, True, False]) == pytest.approx(1.0, abs=0.1)


def test_bad_input():
    with pytest.raises(ValueError, match="test_size=1.0 must be a share of the rows"):
        sap_score(grid(), grid(), test_size=1.0)
    with pytest.raises(ValueError, match="n_samples=3: test_size=0.5 leaves 1 rows for fitting"):
        sap_score(np.array([0, 1, 2]), np.array([0, 1, 2]))
