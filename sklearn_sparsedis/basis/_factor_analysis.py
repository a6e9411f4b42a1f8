"""Common factors of a correlation matrix: how many, their loadings, and the errors of these."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["CommonFactors", "extract_factors", "likeliest_factors", "most_factors"]

# least share of a variable's variance that is its own: where it would be zero, the maximum of the
# likelihood lies on the boundary (a Heywood case)
_LEAST_UNIQUE = 0.005


@dataclass(frozen=True)
class CommonFactors:
    """Factors of unit covariance that p variables of unit variance have in common.

    Attributes
    ----------
    loadings : ndarray of shape (p, k)
    uniqueness : ndarray of shape (p,)
        Variance that the factors do not explain.
    """

    loadings: NDArray[np.float64]
    uniqueness: NDArray[np.float64]

    def scores(self) -> NDArray[np.float64]:
        """Weights (k, p) of the variables in the expectation of the factors given them."""
        weighted: NDArray[Any] = self.loadings.T / self.uniqueness
        return np.linalg.solve(np.eye(len(weighted)) + weighted @ self.loadings, weighted)

    def errors(self, n_samples: int) -> NDArray[np.float64]:
        """Covariance matrices (p, k, k) of the errors of the loadings, each given the others.

        The loadings of a variable are its regression on the factors, of which the other variables
        tell the expectation. Its covariance ``S`` is below the identity by what remains unknown,
        which joins the variance of the residuals, and the errors are those of least squares.
        """
        weighted = self.loadings[:, :, None] * self.loadings[:, None, :]
        weighted /= self.uniqueness[:, None, None]
        eye = np.eye(self.loadings.shape[1])
        unknown = np.linalg.inv(eye + weighted.sum(0) - weighted)
        missed = np.einsum("pi,pij,pj->p", self.loadings, unknown, self.loadings)
        dof = max(n_samples - len(eye) - 1, 1)
        variance = (self.uniqueness + missed) / dof
        return variance[:, None, None] * np.linalg.inv(eye - unknown)


def most_factors(p: int) -> int:
    """Return how many common factors the correlations of p variables can determine (Ledermann)."""
    return int(p + (1 - np.sqrt(8 * p + 1)) / 2)


def extract_factors(R: NDArray[np.float64], n_factors: int) -> CommonFactors:
    """Extract common factors of a positive definite correlation matrix by maximum likelihood [1]_.

    For given uniquenesses the loadings are eigenvectors, so that the search is over these alone.

    .. [1] Jöreskog, "Some contributions to maximum likelihood factor analysis", Psychometrika,
       1967.
    """

    def loadings_of(uniqueness: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        root: NDArray[Any] = np.sqrt(uniqueness)
        values, vectors = np.linalg.eigh(R / root / root[:, None])
        size = np.sqrt(np.maximum(values[::-1][:n_factors] - 1, 0))
        return values[::-1][n_factors:], root[:, None] * vectors[:, ::-1][:, :n_factors] * size

    def discrepancy(log_unique: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        uniqueness = np.exp(log_unique)
        rest, loadings = loadings_of(uniqueness)
        residual = np.square(loadings).sum(1) + uniqueness - R.diagonal()
        return float((rest - np.log(rest) - 1).sum()), residual / uniqueness

    start = (1 - 0.5 * n_factors / len(R)) / np.linalg.inv(R).diagonal()
    bounds = [(np.log(_LEAST_UNIQUE), 0.0)] * len(R)
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    start = np.log(np.clip(start, _LEAST_UNIQUE, 1.0))
    found = minimize(
        discrepancy, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    uniqueness = np.exp(found.x)
    return CommonFactors(loadings_of(uniqueness)[1], uniqueness)


def likeliest_factors(R: NDArray[np.float64], n_samples: int) -> list[CommonFactors]:
    """Extract one factor, two, ..., up to the number with the least BIC."""
    p, found, least = len(R), [], np.inf
    for n_factors in range(1, most_factors(p) + 1):
        factors = extract_factors(R, n_factors)
        implied = factors.loadings @ factors.loadings.T + np.diag(factors.uniqueness)
        misfit = np.linalg.slogdet(implied)[1] + np.linalg.solve(implied, R).trace()
        n_parameters = p * n_factors - n_factors * (n_factors - 1) / 2
        criterion = n_samples * misfit + n_parameters * np.log(n_samples)
        if criterion >= least:
            break
        found.append(factors)
        least = criterion
    return found
