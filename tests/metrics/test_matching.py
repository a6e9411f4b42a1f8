"""Matching, and the mean correlation coefficient."""

import itertools

import numpy as np
import pytest
from scipy.stats import ortho_group, spearmanr

from sklearn_sparsedis.metrics import match_latents, mean_corrcoef_score


def _latents(n=200, m=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, m))


def test_permuted_scaled_shifted_code_is_perfect_and_can_be_put_in_order():
    Z = _latents()
    order, scale = [2, 0, 3, 1], np.array([-3.0, 1e-6, 1e6, -1.0])
    code = Z[:, order] * scale + 7
    match = match_latents(Z, code)
    assert mean_corrcoef_score(Z, code) == pytest.approx(1.0, abs=1e-9)  # 7 + 1e-6 z loses digits
    np.testing.assert_array_equal(match.permutation, np.argsort(order))
    aligned = code[:, match.permutation] * match.sign
    for j in range(4):
        assert np.corrcoef(aligned[:, j], Z[:, j])[0, 1] == pytest.approx(1.0, abs=1e-9)


def test_assignment_is_the_best_of_all_permutations():
    rng = np.random.default_rng(3)
    Z = _latents(30, 4)
    code = Z @ rng.normal(size=(4, 5)) + rng.normal(size=(30, 5))
    corr = np.abs(np.corrcoef(Z.T, code.T)[:4, 4:])
    best = max(
        np.mean([corr[j, k] for j, k in enumerate(p)]) for p in itertools.permutations(range(5), 4)
    )
    assert mean_corrcoef_score(Z, code) == pytest.approx(best, abs=1e-12)


def test_rotation_scores_lower():
    Z = _latents(2000, 5)
    rotation = ortho_group.rvs(5, random_state=0)
    assert mean_corrcoef_score(Z, Z @ rotation) < 0.9


def test_missing_features_count_as_zero():
    Z = _latents()
    match = match_latents(Z, Z[:, [1, 2]])
    assert mean_corrcoef_score(Z, Z[:, [1, 2]]) == pytest.approx(0.5)
    np.testing.assert_array_equal(match.permutation, [-1, 0, 1, -1])
    np.testing.assert_array_equal(match.sign, [0, 1, 1, 0])


def test_additional_and_dead_features_are_ignored():
    Z = _latents()
    code = np.column_stack([np.full(200, 0.1), _latents(seed=1), Z])
    match = match_latents(Z, code)
    assert mean_corrcoef_score(Z, code) == pytest.approx(1.0)
    np.testing.assert_array_equal(match.permutation, [5, 6, 7, 8])
    np.testing.assert_array_equal(match.correlation_matrix[:, 0], 0.0)


def test_dead_representation_scores_zero():
    Z = _latents()
    assert mean_corrcoef_score(Z, np.full((200, 4), 1e9 / 3)) == 0.0


def test_values_near_the_float_limit_do_not_overflow():
    Z = _latents()
    assert mean_corrcoef_score(Z, Z * 1e300) == pytest.approx(1.0)


def test_vectors_are_single_columns():
    Z = _latents(m=1)
    assert mean_corrcoef_score(Z[:, 0], -Z[:, 0]) == pytest.approx(1.0)


def test_spearman_forgives_monotone_distortion_and_equals_scipy():
    Z = _latents(m=3)
    assert mean_corrcoef_score(Z, np.exp(3 * Z), method="spearman") == pytest.approx(1.0)
    assert mean_corrcoef_score(Z, np.exp(3 * Z)) < 0.8
    code = np.round(Z @ np.random.default_rng(0).normal(size=(3, 3)))  # with ties
    expected = spearmanr(Z, code).statistic[:3, 3:]
    matrix = match_latents(Z, code, method="spearman").correlation_matrix
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        (np.ones((10, 2)), np.eye(10, 2), r"Z_true has constant columns \[0, 1\]"),
        (np.eye(10, 2), np.eye(9, 2), "inconsistent numbers of samples"),
        (np.eye(10, 2), np.full((10, 2), np.nan), "Input Z_pred contains NaN"),
        (np.full((10, 2), np.inf), np.eye(10, 2), "Input Z_true contains infinity"),
        (np.eye(1, 2), np.eye(1, 2), "minimum of 2 is required"),
    ],
)
def test_bad_input(true, pred, message):
    with pytest.raises(ValueError, match=message):
        mean_corrcoef_score(true, pred)


def test_unknown_method():
    with pytest.raises(ValueError, match=r"method='kendall' is unknown, choose one of"):
        match_latents(_latents(), _latents(), method="kendall")
