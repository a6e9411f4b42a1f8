"""Checks of the arguments of the generators."""

import numbers
from typing import Any

__all__ = ["check_choice", "check_integer", "check_real"]


def check_integer(name: str, value: Any, low: int) -> int:
    """Return `value` as an int of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer >= {low}, got {value!r}.")
    value = int(value)
    if value < low:
        raise ValueError(f"{name}={value} must be >= {low}.")
    return value


def check_real(name: str, value: Any, low: float, high: float, *, closed: bool = True) -> float:
    """Return `value` as a float in [low, high], or in [low, high) unless `closed`."""
    wanted = f"in [{low:g}, {high:g}" + ("]" if closed else ")")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number {wanted}, got {value!r}.")
    value = float(value)
    if not (low <= value < high or (closed and value == high)):
        raise ValueError(f"{name}={value} must be {wanted}.")
    return value


def check_choice(name: str, value: Any, choices: Any, also: str = "") -> str:
    """Return `value` if it is one of the names in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value!r} is unknown, choose one of {sorted(choices)}{also}.")
    return value
