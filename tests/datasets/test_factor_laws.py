"""Correlated factors and their latents."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sklearn_sparsedis.datasets import draw_correlated_factors, latents_of_factors


def test_frequencies_follow_the_density():
    sizes, rho = (3, 2, 2), 0.6
    cells = np.array(list(itertools.product(*map(range, sizes))))
    z = latents_of_factors(cells, sizes, noise=False)
    density = multivariate_normal(cov=rho + (1 - rho) * np.eye(3)).pdf(z)
    drawn = draw_correlated_factors(sizes, 40_000, correlation=rho, random_state=0)
    counts = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=12)
    # at most 4 standard errors of sqrt(p (1 - p) / n) <= 0.0025
    np.testing.assert_allclose(counts / 40_000, density / density.sum(), atol=0.01)


def test_correlation_grows_and_the_paper_grid_is_drawn():
    sizes = (10, 10, 10, 8, 4, 15)
    for rho in (0.0, 0.9):
        drawn = draw_correlated_factors(sizes, 5000, correlation=rho, random_state=0)
        corr = np.corrcoef(drawn.T)[np.triu_indices(6, 1)]
        np.testing.assert_allclose(corr, rho, atol=0.12)  # the grid is finite
        assert (drawn >= 0).all()
        assert (drawn < np.array(sizes)).all()


def test_latents_are_standardised_on_the_uniform_grid():
    factors = np.repeat(np.arange(6), 5000)[:, None]
    for noise in (True, False):
        z = latents_of_factors(factors, (6,), noise=noise, random_state=0)
        assert z.mean() == pytest.approx(0.0, abs=0.02)
        assert z.std() == pytest.approx(1.0, abs=0.02)
    assert len(np.unique(latents_of_factors(factors, (6,), random_state=0))) == len(factors)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"correlation=1.0 must be in \[0, 1\)"):
        draw_correlated_factors((3, 3), 5, correlation=1.0)
    with pytest.raises(ValueError, match="each of factor_sizes=1 must be >= 2"):
        draw_correlated_factors((3, 1), 5)
    with pytest.raises(ValueError, match=r"factors: column 0 \(factor 0\) must be in \[0, 2\]"):
        latents_of_factors([[3, 0]], (3, 3))
