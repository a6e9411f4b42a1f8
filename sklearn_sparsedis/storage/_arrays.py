"""What values that were read must be, each by itself and beside the others."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["check_arrays"]

FLOATS = (np.float32, np.float64)
# kind -> what an array must do to be of it, in words and as a test
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
    """Raise unless values are what is wanted of them.

    Parameters
    ----------
    values : mapping
        Values by name. A dot in a name leads into a mapping; in a None nothing is wanted.
    wanted : mapping of str to str
        For each name a kind and the axes of an array, none for a scalar; axes of one name have one
        size. The kind is a key of KINDS, the values allowed with bars between, or "size" for a
        whole number that is the size of its axis; with a question mark the value may be missing.

    Raises
    ------
    ValueError
        Which names the value and what it must be.
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
    """Shape of a value that is of its kind and has its axes."""
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
