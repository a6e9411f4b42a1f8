"""Input checks that all metrics share."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length

__all__ = ["as_codes", "check_pair", "is_constant", "standardise"]


def as_codes(Z: Any, name: str, min_samples: int = 2) -> np.ndarray:
    """Return `Z` as a finite float64 array (n_samples, n_columns); a vector is one column."""
    Z = np.asarray(Z)
    if Z.ndim == 1:
        Z = Z[:, None]
    Z = check_array(Z, dtype=np.float64, ensure_min_samples=min_samples, input_name=name)
    return np.asarray(Z)


def is_constant(Z: np.ndarray) -> np.ndarray:
    """Return True for columns that are constant up to the rounding of float64."""
    scale = np.max(np.abs(Z), axis=0)
    return np.ptp(Z / np.where(scale > 0, scale, 1.0), axis=0) <= 16 * np.finfo(float).eps


def check_pair(Z_true: Any, Z_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Validate true latents and a representation of the same rows.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or a true latent is constant: the recovery of a
        constant cannot be scored.
    """
    true, pred = as_codes(Z_true, "Z_true"), as_codes(Z_pred, "Z_pred")
    check_consistent_length(true, pred)
    constant = np.flatnonzero(is_constant(true))
    if constant.size:
        raise ValueError(
            f"Z_true has constant columns {constant.tolist()}: their recovery cannot be scored. "
            f"Drop these columns or pass rows on which they vary."
        )
    return true, pred


def standardise(Z: np.ndarray) -> np.ndarray:
    """Centre the columns and give them unit Euclidean norm; constant columns become zero."""
    constant = is_constant(Z)
    scale = np.max(np.abs(Z), axis=0)
    Z = Z / np.where(scale > 0, scale, 1.0)  # squares of very large values would overflow
    Z = Z - Z.mean(axis=0)
    norm = np.linalg.norm(Z, axis=0)
    return np.where(constant, 0.0, Z / np.where(constant, 1.0, norm))
