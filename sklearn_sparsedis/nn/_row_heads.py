"""Heads of tasks whose loss needs their rows."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.implicit import SmoothFit, fit_smooth
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.solvers import alpha_unit

__all__ = ["fit_row_heads"]

# Least alpha: below it, the head of a task whose classes are separable would grow without bound.
LEAST_ALPHA = 1e-10
# On the CPU, tasks are packed if all have labels on fewer rows than this share of the rows.
PACKED_SHARE = 0.5


def fit_row_heads(
    penalty: Penalty,
    loss: Loss,
    Z: Tensor,
    y: Tensor,
    weight: Tensor | None,
    alpha_of_unit: Callable[[Tensor], Tensor],
    *,
    balanced: bool,
    rounding: float,
    options: Mapping[str, Any],
) -> tuple[SmoothFit, Tensor]:
    """Fit the heads of T tasks; return them and the units of their alphas.

    Parameters
    ----------
    penalty : Penalty
        A penalty whose `smooth` is not None.
    loss : Loss
        The joined loss of all tasks.
    Z : Tensor of shape (n, m) or (T, n, m)
    y : Tensor of shape (T, n)
    weight : Tensor of shape (n,) or (T, n), optional
    alpha_of_unit : callable
        Maps the units of alpha, shape (T,), to the alphas.
    balanced : bool
        Whether both classes of a task get the same total weight.
    rounding : float
        Standard deviation that rounding gives to components; a task in which they vary no more
        gets coefficients of zero.
    options : mapping
        Arguments of the solver.
    """
    smooth = penalty.smooth
    assert smooth is not None  # for mypy
    if balanced:
        weight = loss.balance(y, weight)
    Z, y, weight = _packed(Z, y, weight)
    with torch.no_grad():
        unit = alpha_unit(loss.smooth, smooth, Z, y, weight)
        residual, curvature = ((torch.zeros_like(unit) + x)[..., None] for x in loss.bounds)
        constant = unit <= smooth.unit(rounding * residual, rounding**2 * curvature)
        alpha = alpha_of_unit(unit).clamp_min(LEAST_ALPHA)
        alpha = torch.where(constant, alpha.clamp_min(1.0), alpha)
    return fit_smooth(loss.smooth, smooth, Z, y, alpha, sample_weight=weight, **options), unit


def _packed(Z: Tensor, y: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gather the labelled rows of each task, if all tasks have labels on few rows."""
    same_rows = weight is None or weight.ndim == 1
    if Z.ndim == 3 or same_rows or Z.device.type != "cpu" or not len(y):
        return Z, y, weight
    assert weight is not None  # for mypy
    labelled = weight > 0
    longest = max(1, int(labelled.sum(1).max()))
    if longest > PACKED_SHARE * y.shape[1]:
        return Z, y, weight
    order = torch.sort(labelled.to(torch.uint8), dim=1, descending=True, stable=True)
    index = order.indices[:, :longest]
    return Z[index], y.gather(1, index), weight.gather(1, index)
