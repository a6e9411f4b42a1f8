"""From a correlation matrix to common factors in their sparsest basis."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis.basis._components import Components
from sklearn_sparsedis.basis._factor_analysis import (
    CommonFactors,
    extract_factors,
    likeliest_factors,
    most_factors,
)
from sklearn_sparsedis.basis._given_heads import components_of_heads
from sklearn_sparsedis.inputs._given_heads import check_sample_size

__all__ = ["components_of_correlation"]

# no loading of a real variable is exactly zero, and no factor analyst reads one below .1, which is
# this share of a usual head's norm: where the smallest effect of interest is chosen, it is no less
NEGLIGIBLE = 0.15
# variables that a factor must be the largest one of, where their number is chosen: of fewer the
# correlations do not tell the loadings of a factor of their own
OWN_VARIABLES = 3
# of the search that tells whether they are
QUICK = {"n_starts": 8, "min_effect": NEGLIGIBLE, "trust": False}


def components_of_correlation(
    R: NDArray[np.float64],
    n_samples: int,
    n_factors: int | None,
    *,
    search: Mapping[str, Any],
    **options: Any,
) -> tuple[CommonFactors, Components]:
    """Extract common factors of a correlation matrix, and find the basis of their loadings.

    Parameters
    ----------
    R : ndarray of shape (p, p)
        Positive definite correlation matrix.
    n_samples : int
    n_factors : int or None
        None takes the most with which every factor is the largest one of three variables or more,
        up to the number with the least BIC, which in many rows counts ever smaller factors.
    search, **options
        Of `components_of`.

    Raises
    ------
    ValueError
        If the matrix does not carry so many.
    """
    p, most = len(R), most_factors(len(R))
    if most < 1:
        raise ValueError(
            f"R has {p} variables, but a common factor needs three or more. Add variables."
        )
    check_sample_size(n_samples, p + 1, f"R of {p} variables would not have full rank")
    if n_factors is None:
        factors = _clear_factors(R, n_samples, search, options)
    elif n_factors > most:
        raise ValueError(
            f"n_components={n_factors} must not exceed {most}: the correlations of {p} variables "
            "determine no more common factors. Ask for fewer, or add variables."
        )
    else:
        factors = extract_factors(R, n_factors)
    return factors, _rotate(factors, n_samples, search, options)


def _clear_factors(
    R: NDArray[np.float64], n_samples: int, search: Mapping[str, Any], options: Mapping[str, Any]
) -> CommonFactors:
    """As many factors as are each the largest one of enough variables; at least one."""
    first, *more = likeliest_factors(R, n_samples)
    for factors in reversed(more):
        pattern = _rotate(factors, n_samples, {**search, **QUICK}, options).coef
        own = np.bincount(np.abs(pattern).argmax(axis=1), minlength=pattern.shape[1])
        if own.min() >= OWN_VARIABLES:
            return factors
    return first


def _rotate(
    factors: CommonFactors,
    n_samples: int,
    search: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Components:
    """Find the sparsest basis of loadings, whose components are factors."""
    n_factors = factors.loadings.shape[1]
    return components_of_heads(
        factors.loadings,
        factors.errors(n_samples),
        np.eye(n_factors),
        n_factors,
        search={**search, "least_effect": NEGLIGIBLE},
        **options,
    )
