"""The boundary between NumPy and torch: tensors of arrays, and values that a dtype can hold."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sklearn_sparsedis._warnings import hear_out_torch

__all__ = ["cast_finite", "check_magnitude", "csr_tensor", "shared_tensor", "to_tensor"]

_EXTREME_ROWS = (
    "Check X for extreme values; a model that is fitted to and called with float64 holds larger "
    "ones."
)


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Tensor with its own memory: the caller's array may be read-only or change later.

    Its memory and the order of its bytes may be any, which torch alone does not take.
    """
    own = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(own)


class _Shared:
    """Memory of an array, for those who ask whether they might write to it but do not."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def shared_tensor(array: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
    """Tensor on an array's own memory, which must not be written to."""
    # torch warns of memory that is read-only, and filters of warnings are those of all threads
    return torch.from_numpy(np.asarray(_Shared(np.ascontiguousarray(array)))).to(device)


def csr_tensor(X: Any, device: torch.device | str = "cpu") -> Tensor:
    """Tensor on the memory of SciPy's compressed sparse rows."""
    ends, columns, values = (shared_tensor(x, device) for x in (X.indptr, X.indices, X.data))
    hear_out_torch()
    return torch.sparse_csr_tensor(ends, columns, values, X.shape, check_invariants=False)


def check_magnitude(name: str, X: Any) -> None:
    """Raise where squares of a table's values cannot be represented in its dtype."""
    X = X.data if sparse.issparse(X) else X
    largest = max(float(X.max(initial=0.0)), -float(X.min(initial=0.0)))
    limit = 0.1 * float(np.finfo(X.dtype).max) ** 0.5
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.1e}, whose squares {X.dtype} cannot represent: "
            f"values must be below {limit:.1e}. Divide {name} by a constant, or scale its columns."
        )


def cast_finite(
    values: NDArray[Any], dtype: np.dtype[Any], name: str, advice: str = ""
) -> NDArray[Any]:
    """Values in a dtype, or an error where it would make them infinite or they are no numbers."""
    with np.errstate(over="ignore"):
        cast = values.astype(dtype, copy=False)
    if not (finite := np.isfinite(cast)).all():
        raise ValueError(
            f"{np.count_nonzero(~finite)} of {finite.size} values of {name} are not numbers that "
            f"{dtype} can hold. {advice or _EXTREME_ROWS}"
        )
    return cast
