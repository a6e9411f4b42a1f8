"""Scorers inside scikit-learn's model selection."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_sparsedis.metrics import (
    LatentScorer,
    linear_recovery_score,
    nan_r2_score,
    nan_r2_scorer,
)
from tests.metrics.cases import normal


def test_latent_scorer_selects_in_a_grid_search():
    Z = normal(200, 3)
    X = Z @ np.random.default_rng(0).normal(size=(3, 8))
    with config_context(enable_metadata_routing=True):
        scorer = LatentScorer(linear_recovery_score).set_score_request(Z_true=True)
        search = GridSearchCV(PCA(), {"n_components": [1, 2, 3]}, scoring=scorer, cv=3)
        search.fit(X, Z_true=Z)
    assert search.best_params_ == {"n_components": 3}
    assert search.best_score_ == pytest.approx(1.0)
    assert scorer(search.best_estimator_, X, Z_true=Z) == pytest.approx(1.0)


def test_latent_scorer_says_how_to_pass_the_latents():
    X = normal(30)
    with pytest.raises(ValueError, match="Enable metadata routing"):
        LatentScorer(linear_recovery_score)(PCA().fit(X), X)


def test_nan_r2_without_nan_equals_scikit_learn():
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    true[:, 3] = 2.0
    expected = r2_score(true, pred, multioutput="raw_values")
    np.testing.assert_allclose(nan_r2_score(true, pred, multioutput="raw_values"), expected)
    assert nan_r2_score(true, pred) == pytest.approx(r2_score(true, pred))
    assert nan_r2_score(true[:, 0], pred[:, 0]) == pytest.approx(r2_score(true[:, 0], pred[:, 0]))
    assert nan_r2_score(np.ones(3), np.ones(3)) == 1.0


def test_nan_r2_scores_observed_labels_only():
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    full = true.copy()
    true[5:, 1] = np.nan
    expected = [r2_score(full[:, 0], pred[:, 0]), r2_score(full[:5, 1], pred[:5, 1])]
    np.testing.assert_allclose(nan_r2_score(true, pred, multioutput="raw_values"), expected)
    true[1:, 1] = np.nan
    assert np.isnan(nan_r2_score(true, pred, multioutput="raw_values")[1])
    assert nan_r2_score(true, pred) == pytest.approx(expected[0])


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
def test_nan_r2_weights_rows_or_labels(shape):
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    true[:4, 1] = np.nan
    weights = rng.integers(0, 4, size=shape).astype(float)
    each = np.broadcast_to(weights.reshape(30, -1), (30, 2))
    expected = [
        r2_score(true[4 * t :, t], pred[4 * t :, t], sample_weight=each[4 * t :, t])
        for t in range(2)
    ]
    found = nan_r2_score(true, pred, sample_weight=weights, multioutput="raw_values")
    np.testing.assert_allclose(found, expected)


def test_nan_r2_scorer_in_cross_validation():
    X = normal(60)
    y = X @ np.ones(4)
    scores = cross_val_score(LinearRegression(), X, y, scoring=nan_r2_scorer, cv=3)
    np.testing.assert_allclose(scores, 1.0)


def test_nan_r2_bad_input():
    with pytest.raises(ValueError, match=r"must have the same shape, .* got \(3,\) and \(2,\)"):
        nan_r2_score(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="Y_pred must not contain NaN, got"):
        nan_r2_score(np.ones(2), np.full(2, np.nan))
    with pytest.raises(ValueError, match="must have a task with two observed targets"):
        nan_r2_score([np.nan, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="multioutput='sum' is unknown"):
        nan_r2_score(np.ones(2), np.ones(2), multioutput="sum")
