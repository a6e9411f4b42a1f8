"""Networks applied to many rows, a chunk at a time."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

__all__ = ["encode", "rows_at_once"]

# rows, and values of their features, that pass through the encoder at once outside training
CHUNK = 1024
CHUNK_VALUES = 2**21


def encode(network: Callable[[Any], Tensor], X: Any, part: slice = slice(None)) -> Tensor:
    """Apply a network to rows, or part of them, a chunk at a time.

    Parameters
    ----------
    network : callable
        Of what a slice of X is.
    X : Tensor, FileRows or other table of shape (n, d)
    part : slice, optional
    """
    start, stop, _ = part.indices(len(X))
    size = rows_at_once(X.shape[1])
    first = network(X[start : min(start + size, stop)])
    # in place: small results that are kept between large buffers break up the memory
    full = first.new_empty(max(stop - start, 0), *first.shape[1:])
    full[:size] = first
    for i in range(start + size, stop, size):
        full[i - start : i - start + size] = network(X[i : min(i + size, stop)])
    return full


def rows_at_once(n_features: int) -> int:
    """Rows that are encoded together outside training."""
    return max(1, min(CHUNK, CHUNK_VALUES // n_features))
