"""Arrays that callers give, of any memory layout and byte order, as plain ones."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

__all__ = ["check_features", "check_labelled", "check_numbers", "readable"]

FLOATS = [np.float64, np.float32]


def readable(given: Any) -> Any:
    """What a caller gave, with its bytes in the order of this machine where it is an array."""
    if isinstance(given, np.ndarray) and not given.dtype.isnative:
        return given.astype(given.dtype.newbyteorder("="))
    return given


def check_numbers(array: Any, name: str, *, missing: bool = False, **options: Any) -> NDArray[Any]:
    """Validate numbers as scikit-learn does; rows come out one after the other in memory.

    The same numbers then give the same sums to the last bit, whatever memory they came in.

    Parameters
    ----------
    array : array-like
    name : str
        Of the argument, for messages.
    missing : bool
        Whether they may be NaN.
    **options
        Of `sklearn.utils.check_array`.
    """
    finite: bool | str = "allow-nan" if missing else True
    options = {"dtype": FLOATS, "order": "C", "ensure_all_finite": finite, **options}
    return check_array(readable(array), input_name=name, **options)


def check_features(
    estimator: BaseEstimator, X: Any, *, reset: bool = False, **options: Any
) -> NDArray[Any]:
    """Validate the features of an estimator as `check_numbers` does, and their number and names."""
    options = {"dtype": FLOATS, "order": "C", **options}
    return validate_data(estimator, readable(X), reset=reset, **options)


def check_labelled(
    estimator: BaseEstimator, X: Any, y: ArrayLike, *, reset: bool = False, **options: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validate features and the labels of classes."""
    options = {"dtype": FLOATS, "order": "C", **options}
    return validate_data(estimator, readable(X), readable(y), reset=reset, **options)
