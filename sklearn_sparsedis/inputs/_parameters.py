"""Checks of parameters, among them the device and the seed."""

from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils import check_random_state

from sklearn_sparsedis._warnings import warn_caller

__all__ = [
    "LARGEST_RATE",
    "check_choice",
    "check_device",
    "check_integer",
    "check_real",
    "check_sizes",
    "draw_seed",
]

LARGEST_INTEGER = 2**31 - 1
# of learning and decay, such that products with them fit into single precision
LARGEST_RATE = 1e30


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
