"""Checks of values that were read from a file: their kinds, and the agreement of their sizes."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["check_arrays"]

FLOATS = (np.float32, np.float64)
# The condition that an array of each kind must meet, in words and as a test.
KINDS: dict[str, tuple[str, Callable[[NDArray[Any]], bool]]] = {
    "count": ("hold whole numbers", lambda a: a.dtype.kind in "iu"),
    "finite": (
        "hold finite numbers in single or double precision",
        lambda a: a.dtype in FLOATS and bool(np.isfinite(a).all()),
    ),
    "flag": ("hold True or False", lambda a: a.dtype == bool),
    "float": ("hold numbers in single or double precision", lambda a: a.dtype in FLOATS),
    "name": ("hold names", lambda a: a.dtype.kind in "OSUMbiuf"),
    "positive": (
        "hold finite numbers above zero in single or double precision",
        lambda a: a.dtype in FLOATS and bool((np.isfinite(a) & (a > 0)).all()),
    ),
}


def check_arrays(values: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Raise an error unless values have the kinds and the axes that are wanted.

    Parameters
    ----------
    values : mapping
        Values by name. A dot in a name leads into a mapping; if that is None, nothing is checked.
    wanted : mapping of str to str
        For each name a kind and the axes of the array, none for a scalar; axes of the same name
        must have the same size. The kind is a key of KINDS, the allowed values separated by bars,
        or "size" for an integer that is the size of its axis; with a question mark the value may be
        missing.

    Raises
    ------
    ValueError
        If a value is missing or wrong; the message names it and what it must be.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, text in wanted.items():
        kind, *axes = text.split()
        *parents, last = name.split(".")
        place: Any = values
        for parent in parents:
            place = None if place is None else place[parent]
        value = None if place is None else place.get(last)
        if value is None:
            if place is None or kind.endswith("?"):
                continue
            raise ValueError(f"{name} is missing")
        shape = _check(name, value, kind.rstrip("?"), axes)
        for axis, size in zip(axes, shape, strict=True):
            known, first = sizes.setdefault(axis, (size, name))
            if size != known:
                raise ValueError(f"{name} is for {size} {axis}, but {first} for {known}")


def _check(name: str, value: Any, kind: str, axes: list[str]) -> tuple[int, ...]:
    """Raise an error unless a value has its kind and its axes; return its shape."""
    if kind == "size":
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a whole number above zero, got {value!r}")
        return (value,)
    if not isinstance(value, np.ndarray | Tensor if axes else Real | str):
        needed = "an array" if axes else "a number or a string"
        raise ValueError(f"{name} must be {needed}, got {type(value).__name__}")
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim != len(axes):
        raise ValueError(f"{name} must have the axes ({', '.join(axes)}), got shape {array.shape}")
    if "|" in kind:
        allowed = kind.split("|")
        needed, good = f"be one of {', '.join(allowed)}", bool(np.isin(array, allowed).all())
    else:
        needed, test = KINDS[kind]
        good = test(array)
    if not good:
        raise ValueError(f"{name} must {needed}")
    return array.shape
