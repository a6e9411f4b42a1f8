"""Latents with a given distribution and a given correlation between every two."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import expon, laplace, norm, uniform

from sklearn_sparsedis.datasets._checks import check_choice, check_real

__all__ = ["LATENT_DISTRIBUTIONS", "draw_latents"]

# All have mean 0 and variance 1.
LATENT_DISTRIBUTIONS = {
    "exponential": expon(loc=-1.0),
    "laplace": laplace(scale=np.sqrt(0.5)),
    "normal": norm(),
    "uniform": uniform(loc=-np.sqrt(3.0), scale=2.0 * np.sqrt(3.0)),
}


def _copula_correlation(name: str, correlation: float) -> float:
    """Correlation of normals whose transforms have the given correlation (the NORTA method)."""
    if name == "normal" or correlation == 0.0:
        return correlation
    if name == "uniform":
        return 2.0 * np.sin(np.pi * correlation / 6.0)
    quantile = LATENT_DISTRIBUTIONS[name].ppf
    nodes = np.linspace(-7.0, 7.0, 281)
    weights = norm.pdf(nodes) / norm.pdf(nodes).sum()
    weighted = weights * quantile(norm.cdf(nodes))

    def excess(rho: float) -> float:
        second = rho * nodes[:, None] + np.sqrt(1.0 - rho**2) * nodes
        second = quantile(norm.cdf(np.clip(second, -8.0, 8.0)))  # beyond, the cdf rounds to one
        return float(weighted @ second @ weights - correlation)

    return float(brentq(excess, 0.0, 1.0 - 1e-9))


def draw_latents(
    n_samples: int,
    n_latents: int,
    distribution: str,
    correlation: float,
    rng: np.random.RandomState,
) -> np.ndarray:
    r"""Draw equicorrelated latents with mean 0 and variance 1.

    The latents have a Gaussian copula: equicorrelated normals are mapped to the marginal
    distribution by its quantile function. The correlation of the normals is chosen such that the
    Pearson correlation of the latents themselves is `correlation`.

    Parameters
    ----------
    n_samples, n_latents : int
    distribution : {"normal", "uniform", "laplace", "exponential"}
    correlation : float in [0, 1)
    rng : RandomState

    Returns
    -------
    ndarray of shape (n_samples, n_latents)

    References
    ----------
    .. [1] M. C. Cario and B. L. Nelson, "Modeling and generating random vectors with arbitrary
       marginal distributions and correlation matrix", Northwestern University, 1997.
    """
    check_choice("latent_distribution", distribution, LATENT_DISTRIBUTIONS)
    check_real("correlation", correlation, 0.0, 1.0, closed=False)
    rho = _copula_correlation(distribution, correlation)
    own, common = rng.standard_normal((n_samples, n_latents)), rng.standard_normal((n_samples, 1))
    normal = np.sqrt(1.0 - rho) * own + np.sqrt(rho) * common
    if distribution == "normal":
        return normal
    return LATENT_DISTRIBUTIONS[distribution].ppf(norm.cdf(normal))
