"""Comparison of data and parameters between ranks, and between two parts of a training."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis.estimators._base import Identity
from sklearn_sparsedis.estimators._identity import NotComparable, describe
from sklearn_sparsedis.inputs._rows import Rows

__all__ = ["agree", "describe_parameters", "digest"]

# Parameters that do not change the result of a training from a given seed.
WITHOUT_EFFECT = ("callbacks", "device", "random_state", "verbose", "warm_start")
# Number of rows of a large table that ranks compare.
COMPARED_ROWS = 1000


def agree(identity: Identity, arrays: Mapping[str, NDArray[Any] | Rows | None], seed: int) -> int:
    """Return the seed of a fit, after checking that all ranks have the same data and parameters.

    Parameters
    ----------
    identity : Identity
    arrays : mapping of str to ndarray
        Data by name; only some rows of large arrays are compared.
    seed : int
        Seed drawn on this rank. Without a `random_state` the seed of the main rank is returned.
    """
    ranks = Ranks.joined()
    if ranks.size == 1:
        return seed
    params = describe_parameters(identity.params, strict=False)
    shapes = {f"shape of {name}": getattr(array, "shape", None) for name, array in arrays.items()}
    ranks.require_same(params | shapes)
    ranks.require_same({name: digest(_compared_rows(array)) for name, array in arrays.items()})
    if identity.params["random_state"] is not None:
        ranks.require_same({"the seed drawn from random_state": seed})
    return ranks.from_main(lambda: seed)


def _compared_rows(array: NDArray[Any] | Rows | None) -> NDArray[Any] | None:
    if array is None:
        return None
    step = max(1, -(-len(array) // COMPARED_ROWS))
    return array.take(np.arange(0, len(array), step)) if isinstance(array, Rows) else array[::step]


def describe_parameters(params: Mapping[str, Any], *, strict: bool) -> dict[str, str]:
    """Describe the parameters that change a training; `strict` refuses values without a state."""
    texts = {}
    for name, value in params.items():
        if name in WITHOUT_EFFECT:
            continue
        try:
            texts[name] = describe(value)
        except NotComparable as error:
            if strict:
                raise ValueError(
                    f"Checkpoint cannot tell one {name} from another, and so whose training it "
                    f"goes on with: {name} holds {error}, of which the state cannot be read. Make "
                    "such things where they are used, or leave the Checkpoint out."
                ) from error
            texts[name] = type(value).__qualname__
    return texts


def digest(array: NDArray[Any] | Rows | None) -> str:
    if array is None:
        return "None"
    total = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    parts = (part for _, part in array.chunks()) if isinstance(array, Rows) else (array,)
    for part in parts:
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()[:16]
