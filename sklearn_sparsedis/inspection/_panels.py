"""Axes on which displays draw."""

from typing import Any

import numpy as np

__all__ = ["panels"]


def panels(ax: Any, n: int, size: tuple[float, float]) -> Any:
    """Return the given axes, or those of a new figure, as an array of n axes."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(1, n, figsize=size, layout="constrained", squeeze=False)
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != n:
        raise ValueError(
            f"ax must be {n} axes, got {len(axes)}. Pass plt.subplots(1, {n})[1], or leave it out."
        )
    return axes
