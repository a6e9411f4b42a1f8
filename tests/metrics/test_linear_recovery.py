"""Linear recovery."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score


def _case(n=100, m=3, k=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, m))
    return Z, np.tanh(Z @ rng.normal(size=(m, k))) + 0.5 * rng.normal(size=(n, k)) + 3


def test_equals_correlation_with_least_squares():
    Z, code = _case()
    prediction = LinearRegression().fit(code, Z).predict(code)
    expected = [np.corrcoef(Z[:, j], prediction[:, j])[0, 1] for j in range(3)]
    scores = linear_recovery_score(Z, code, multioutput="raw_values")
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    assert linear_recovery_score(Z, code) == pytest.approx(np.mean(expected))


def test_invertible_maps_recover_everything():
    Z, _ = _case()
    mixed = Z @ np.random.default_rng(1).normal(size=(3, 3)) + 1e3
    assert linear_recovery_score(Z, mixed) == pytest.approx(1.0, abs=1e-9)


def test_bounds_the_mean_correlation():
    Z, code = _case()
    assert linear_recovery_score(Z, code) >= mean_corrcoef_score(Z, code)


def test_dead_collinear_and_badly_scaled_features_change_nothing():
    Z, code = _case()
    more = np.column_stack([code * [1e8, 1e-8, 1.0, 1.0], code[:, 0] + code[:, 1], np.ones(100)])
    # the column of order 1e-8 is kept: columns are standardised before the rank is judged
    assert linear_recovery_score(Z, more) == pytest.approx(linear_recovery_score(Z, code), abs=1e-9)


def test_fewer_features_and_dead_representation():
    Z, _ = _case()
    scores = linear_recovery_score(Z, Z[:, :1], multioutput="raw_values")
    assert scores[0] == pytest.approx(1.0)
    assert scores[1:].max() < 0.4  # |corr| of independent normals, n = 100: 0.4 is 4 sigma
    assert linear_recovery_score(Z, np.zeros((100, 2))) == 0.0


def test_useless_representation_scores_as_documented():
    rng = np.random.default_rng(0)
    Z, noise = rng.normal(size=(2000, 5)), rng.normal(size=(2000, 10))
    assert linear_recovery_score(Z, noise) == pytest.approx(np.sqrt(10 / 2000), rel=0.4)


def test_too_few_rows_and_unknown_option():
    with pytest.raises(ValueError, match=r"At least n_features \+ 2 = 12 rows are needed"):
        linear_recovery_score(np.eye(11, 2), np.eye(11, 10))
    with pytest.raises(ValueError, match="multioutput='mean' is unknown"):
        linear_recovery_score(np.eye(11, 2), np.eye(11, 2), multioutput="mean")
