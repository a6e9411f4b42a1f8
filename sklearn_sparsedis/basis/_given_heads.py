"""From heads that a user has, with their errors, to what the search for their basis needs."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis.basis._components import Components, components_of, shared_reader
from sklearn_sparsedis.basis._heads import HeadEstimates, whiten
from sklearn_sparsedis.basis._moments import Moments

__all__ = ["components_of_heads"]

# errors that differ less from those of least squares on shared rows count as such
_EQUAL = 1e-6


def components_of_heads(
    coef: NDArray[np.float64],
    stderr: NDArray[np.float64],
    feature_covariance: NDArray[np.float64],
    n_components: int | None,
    **options: Any,
) -> Components:
    """Find the components in which given heads are sparsest.

    Parameters
    ----------
    coef : ndarray of shape (T, d)
    stderr : ndarray of shape (T,), (T, d) or (T, d, d)
        One number a head is that of each coefficient on features of unit covariance. Numbers of
        all coefficients have the correlations that least squares gives them. Else the covariance
        matrices of the errors.
    feature_covariance : ndarray of shape (d, d)
        Positive definite.
    n_components : int or None
        None takes as many as the heads use.
    **options
        Of `find_components`.
    """
    n_tasks, d = coef.shape
    features = replace(Moments.none(d, 0, shared=True), gram=feature_covariance)
    white = whiten(features)
    gram: NDArray[Any] = feature_covariance
    turned = coef @ white.backward.T
    if stderr.ndim == 1:
        heads = HeadEstimates(turned, np.zeros(n_tasks), np.repeat(stderr[:, None], d, axis=1))
    else:
        errors = _error_matrices(stderr, feature_covariance)
        covariance = white.backward @ errors @ white.backward.T
        each = np.sqrt(covariance.diagonal(axis1=1, axis2=2))
        heads = HeadEstimates(turned, np.zeros(n_tasks), each)
        size = np.square(heads.error)[:, None, None]
        if (np.abs(covariance - size * np.eye(d)) > _EQUAL * size).any():
            heads = replace(heads, covariance=covariance)
            # least squares with these moments weighs coefficients by their errors
            gram = np.linalg.inv(errors / size)
    corr = (gram @ coef[..., None])[..., 0]
    moments = replace(
        Moments.none(d, n_tasks, shared=gram.ndim == 2),
        gram=gram,
        corr=corr,
        y_sq=(coef * corr).sum(axis=1),
    )
    return components_of(white, heads, shared_reader(moments), n_components, **options)


def _error_matrices(
    stderr: NDArray[np.float64], feature_covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance matrices (T, d, d) of errors, from these or from standard errors (T, d)."""
    if stderr.ndim == 3:
        return stderr
    inverse = np.linalg.inv(feature_covariance)
    size = np.sqrt(inverse.diagonal())
    return stderr[:, :, None] * (inverse / size / size[:, None]) * stderr[:, None, :]
