"""The boundary between NumPy and torch: parameters, targets, weights, devices, seeds."""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from torch import Tensor

from sklearn_sparsedis._warnings import hear_out_torch, warn_caller

LARGEST_INTEGER = 2**31 - 1
# of learning and decay, such that products with them fit into single precision
LARGEST_RATE = 1e30
_EXTREME_ROWS = (
    "Check X for extreme values; a model that is fitted to and called with float64 holds larger "
    "ones."
)


def check_choice(name: str, value: object, choices: Collection[str], also: str = "") -> None:
    """Raise unless a parameter is one of the strings allowed."""
    if not isinstance(value, str) or value not in choices:
        known = ", ".join(repr(c) for c in sorted(choices))
        raise ValueError(f"{name} must be one of {known}{also}, got {value!r}.")


def check_integer(name: str, value: object, minimum: int, none: str = "") -> None:
    """Raise unless a parameter is an integer of at least `minimum`, or None if that has a sense."""
    if value is None and none:
        return
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer{_or_none(none)}, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}{_or_none(none)}, got {value!r}.")
    if int(value) > LARGEST_INTEGER:
        raise ValueError(f"{name} must be at most {LARGEST_INTEGER}, got {value!r}.")


def check_sizes(name: str, value: object, none: str = "") -> None:
    """Raise unless a parameter is a sequence of positive integers, or None if that has a sense."""
    if value is None and none:
        return
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a sequence of integers{_or_none(none)}, got {value!r}.")
    for size in value:
        check_integer(name, size, 1)


def check_real(
    name: str, value: object, low: float, high: float, *, closed: str = "both", none: str = ""
) -> None:
    """Raise unless a parameter is a finite number in an interval, its ends named by `closed`."""
    if value is None and none:
        return
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number{_or_none(none)}, got {value!r}.")
    left, right = closed in ("both", "left"), closed in ("both", "right")
    try:
        number = float(value)
    except OverflowError:  # of an integer with more than 300 digits
        number = np.inf
    above = number >= low if left else number > low
    below = number <= high if right else number < high
    if not (above and below and np.isfinite(number)):
        interval = f"{'[' if left else '('}{low:g}, {high:g}{']' if right else ')'}"
        raise ValueError(f"{name} must be in {interval}{_or_none(none)}, got {value!r}.")


def _or_none(meaning: str) -> str:
    return f" or None ({meaning})" if meaning else ""


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """One integer for everything that is drawn at random in a call."""
    try:
        random = check_random_state(random_state)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "random_state must be an integer in [0, 2**32 - 1], a RandomState instance or None, "
            f"got {random_state!r}."
        ) from error
    return int(random.randint(np.iinfo(np.int32).max))


def check_device(device: str | torch.device, *, fitted: bool = False) -> torch.device:
    """Device to compute on; "auto" takes an accelerator where there is one.

    A fitted model may come from a machine with another one: then the CPU does, with a warning.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = None
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
        if found.type == "meta":
            raise RuntimeError("it holds no values")
    except (RuntimeError, AssertionError, ImportError, TypeError, ValueError) as error:
        if fitted and found is not None:
            warn_caller(
                f"device={str(device)!r}, which this model was fitted with, cannot be used here: "
                'the CPU is. Call set_params(device="auto") to take what is there.',
            )
            return torch.device("cpu")
        raise ValueError(
            f'device={device!r} cannot be used here: {error}. Use "auto", "cpu", or a device that '
            "torch reports as available."
        ) from error
    return found


def to_tensor(array: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
    """Tensor with its own memory: the caller's array may be read-only or change later.

    Its memory and the order of its bytes may be any, which torch alone does not take.
    """
    own = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(own).to(device)


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


@contextmanager
def unchanged_on_failure(estimator: object) -> Iterator[None]:
    """Give an estimator its attributes back when the block fails or is interrupted."""
    before = copy.copy(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


__all__ = [
    "LARGEST_RATE",
    "cast_finite",
    "check_choice",
    "check_device",
    "check_integer",
    "check_magnitude",
    "check_real",
    "check_sizes",
    "csr_tensor",
    "draw_seed",
    "shared_tensor",
    "to_tensor",
    "unchanged_on_failure",
]
