"""Choice of the factors of data sets that are rendered from a grid of factors."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sklearn_sparsedis.datasets._checks import check_integer

__all__ = ["choose_factors"]


def _check_factors(factors: Any, sizes: tuple[int, ...], names: tuple[str, ...]) -> np.ndarray:
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(sizes) or factors.dtype.kind not in "iu":
        raise ValueError(
            f"factors must be an integer array of shape (n_samples, {len(sizes)}) with columns "
            f"{names}, got {factors.dtype} of shape {factors.shape}."
        )
    outside = ((factors < 0) | (factors >= np.array(sizes))).any(axis=0)
    if outside.any():
        j = int(np.argmax(outside))
        raise ValueError(
            f"factors: column {j} ({names[j]}) must be in [0, {sizes[j] - 1}], "
            f"got values from {factors[:, j].min()} to {factors[:, j].max()}."
        )
    return factors.astype(np.intp)


def choose_factors(
    n_samples: Any,
    factors: Any,
    sizes: tuple[int, ...],
    names: tuple[str, ...],
    random_state: Any,
) -> np.ndarray:
    """Return the given factors, a uniform sample, or the whole grid.

    Returns
    -------
    ndarray of int, shape (n_samples, n_factors)
    """
    if factors is not None:
        if n_samples is not None:
            raise ValueError(
                "n_samples and factors exclude each other: pass one of them, got factors and "
                f"n_samples={n_samples!r}."
            )
        return _check_factors(factors, sizes, names)
    if n_samples is None:
        return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    check_integer("n_samples", n_samples, 1)
    rng = check_random_state(random_state)
    return np.stack([rng.randint(size, size=n_samples) for size in sizes], axis=1).astype(np.intp)
