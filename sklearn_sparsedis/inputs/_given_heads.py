"""Heads, their errors and correlation matrices that callers give in place of rows."""

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_sparsedis.inputs._arrays import check_numbers

__all__ = ["check_correlation", "check_covariance", "check_errors", "row_names"]

# how far a symmetric matrix that was printed and read again may be from being symmetric
_ROUNDED = 1e-6
# share of the largest eigenvalue below which one is that of a sum of other variables
_SINGULAR = 1e-10
_FLOAT64: dict[str, Any] = {"dtype": np.float64}


def row_names(given: Any, n_rows: int) -> NDArray[Any]:
    """Return the names in the index of a data frame of pandas, or else 0, 1, 2, ..."""
    names = np.arange(n_rows)
    if not nw.dependencies.is_pandas_dataframe(given):
        return names
    index = given.index.to_numpy(dtype=object)
    return names if (index == names).all() else index


def check_errors(
    stderr: ArrayLike | None,
    n_samples: int | None,
    coef: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Errors of heads (T, d): those given, or those of targets of unit variance on so many rows.

    Returns
    -------
    ndarray of shape (T,), (T, d) or (T, d, d)
        Zero where neither is known.
    """
    n_tasks, d = coef.shape
    if stderr is None and n_samples is None:
        return np.zeros(n_tasks)
    if stderr is None:
        return _unit_variance_errors(n_samples, coef, covariance)
    errors = check_numbers(stderr, "stderr", ensure_2d=False, allow_nd=True, **_FLOAT64)
    if errors.shape not in ((n_tasks,), (n_tasks, d), (n_tasks, d, d)):
        raise ValueError(
            f"stderr must have shape ({n_tasks},), one number a head, {(n_tasks, d)}, that of "
            f"coef, or {(n_tasks, d, d)}, a covariance matrix a head; got {errors.shape}."
        )
    if errors.ndim == 3:
        for number, matrix in enumerate(errors):
            _check_definite(matrix, f"stderr[{number}]", "the covariance matrix of a head's errors")
    elif (errors < 0).any() or (errors.ndim == 2 and (errors == 0).any()):
        least = "positive" if errors.ndim == 2 else "nonnegative"
        raise ValueError(
            f"stderr of shape {errors.shape} must be {least}, but its least entry is "
            f"{errors.min():g}."
        )
    return errors


def _unit_variance_errors(
    n_samples: Any, coef: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard errors (T,) of least-squares heads on features of unit covariance."""
    n_tasks, d = coef.shape
    check_sample_size(n_samples, d + 2, f"heads on {d} features leave no degree of freedom")
    explained = ((coef @ covariance) * coef).sum(axis=1)
    over = np.flatnonzero(explained > 1 + _ROUNDED)
    if len(over):
        raise ValueError(
            "n_samples tells the errors of coef where targets have unit variance, but "
            f"{len(over)} of {n_tasks} heads explain more, head {over[0]} a variance of "
            f"{explained[over[0]]:.3g}: divide targets (rows of coef) by their standard "
            "deviations, give feature_covariance if the features have another one than the "
            "identity, or give stderr."
        )
    return np.sqrt(np.maximum(1 - explained, 0) / (n_samples - d - 1))


def check_sample_size(n_samples: Any, least: int, why: str) -> None:
    """Raise unless a number of rows is a finite number of at least `least`."""
    number = isinstance(n_samples, int | float | np.integer | np.floating)
    if isinstance(n_samples, bool) or not number or not np.isfinite(n_samples):
        raise TypeError(f"n_samples must be a number of rows, got {n_samples!r}.")
    if n_samples < least:
        raise ValueError(
            f"n_samples must be at least {least}, got {n_samples!r}: with fewer {why}."
        )


def check_covariance(given: ArrayLike | None, d: int) -> NDArray[np.float64]:
    """Covariance matrix of d features; the identity for None."""
    if given is None:
        return np.eye(d)
    covariance = check_numbers(given, "feature_covariance", **_FLOAT64)
    if covariance.shape != (d, d):
        raise ValueError(
            f"feature_covariance must have shape {(d, d)}, because coef has {d} columns; got "
            f"{covariance.shape}."
        )
    _check_definite(covariance, "feature_covariance", "the covariance matrix of features")
    return (covariance + covariance.T) / 2


def check_correlation(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """A positive definite correlation matrix, symmetric to the last bit."""
    if R.shape[0] != R.shape[1]:
        raise ValueError(
            f"R must be a square correlation matrix, got shape {R.shape}. Of rows of data, pass "
            "numpy.corrcoef(X, rowvar=False), and len(X) as n_samples."
        )
    off = np.abs(R.diagonal() - 1)
    if off.max() > _ROUNDED:
        raise ValueError(
            f"R must be a correlation matrix, with ones on the diagonal, but R[{off.argmax()}, "
            f"{off.argmax()}] is {R.diagonal()[off.argmax()]:g}. Divide a covariance matrix C by "
            "its standard deviations: s = numpy.sqrt(C.diagonal()), R = C / s / s[:, None]."
        )
    _check_definite(R, "R", "a correlation matrix")
    R = (R + R.T) / 2
    np.fill_diagonal(R, 1.0)
    return R


def _check_definite(matrix: NDArray[np.float64], name: str, what: str) -> None:
    """Raise unless a square matrix is symmetric and positive definite."""
    size = np.abs(matrix).max()
    skew = np.abs(matrix - matrix.T)
    if skew.max() > _ROUNDED * size:
        i, j = np.unravel_index(skew.argmax(), skew.shape)
        raise ValueError(
            f"{name} must be {what}, which is symmetric, but {name}[{i}, {j}] is "
            f"{matrix[i, j]:g} and {name}[{j}, {i}] is {matrix[j, i]:g}."
        )
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    if values[0] < -_ROUNDED * size:
        raise ValueError(
            f"{name} must be {what}, but no data have it: it has the negative eigenvalue "
            f"{values[0]:.3g}. Where it was put together from pairs of variables, compute it from "
            "the same rows for all, or smooth it, raising its eigenvalues to zero or above."
        )
    if values[0] <= _SINGULAR * values[-1]:
        raise ValueError(
            f"{name} must be {what} of full rank, but its least eigenvalue is {values[0]:.1e}: "
            "some variables are sums of others. Leave these out, or add rows if there are fewer "
            "rows than variables."
        )
