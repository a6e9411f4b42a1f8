"""Bootstrap intervals."""

import numpy as np
import pytest

from sklearn_sparsedis.metrics import bootstrap_interval, linear_recovery_score
from tests.metrics.cases import normal


def _correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def test_standard_error_equals_theory():
    rng = np.random.default_rng(0)
    z = rng.normal(size=1000)
    code = z + rng.normal(size=1000)
    interval = bootstrap_interval(_correlation, z, code, n_resamples=500)
    theory = (1 - interval.score**2) / np.sqrt(1000)  # asymptotic, for normals
    # relative error of a standard deviation from 500 resamples: 1/sqrt(1000), and the sample's own
    assert interval.standard_error == pytest.approx(theory, rel=0.2)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * theory, rel=0.2)
    assert interval.low < interval.score < interval.high


def test_coverage():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        z = rng.normal(size=200)
        code = z + rng.normal(size=200)
        interval = bootstrap_interval(
            _correlation, z, code, confidence=0.8, n_resamples=100, random_state=seed
        )
        hits += interval.low < np.sqrt(0.5) < interval.high
    assert 0.65 < hits / 60 < 0.95  # 0.8 +- 3 standard errors


def test_perfect_score_has_no_width():
    interval = bootstrap_interval(linear_recovery_score, normal(50), normal(50), n_resamples=5)
    assert interval.low == pytest.approx(1.0)
    assert interval.high == pytest.approx(1.0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"confidence=1.0 must be in \(0, 1\)"):
        bootstrap_interval(linear_recovery_score, normal(), normal(), confidence=1.0)
    with pytest.raises(ValueError, match="n_resamples=1 must be an integer >= 2"):
        bootstrap_interval(linear_recovery_score, normal(), normal(), n_resamples=1)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        bootstrap_interval(linear_recovery_score, normal(10), normal(9))
