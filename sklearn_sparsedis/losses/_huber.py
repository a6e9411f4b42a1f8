"""Huber's loss."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.functional import huber_loss
from sklearn_sparsedis.losses._base import Loss, TaskTargets, rounding_floor
from sklearn_sparsedis.solvers import HuberLoss, huber_delta
from sklearn_sparsedis.solvers.smooth_loss._scale import location_and_scale

__all__ = ["Huber"]

# Standardised targets are clipped to this size where their squares need a bound.
CLIPPED = 3.0


class Huber(Loss):
    r"""Half the square of the residual up to :math:`\delta` in size and linear beyond, so that
    outliers among the targets have a bounded influence; targets are standardised by medians.

    Parameters
    ----------
    delta : float or Tensor of shape (T,), optional
        Positive, for standardised targets; by default `solvers.huber_delta` of the data.
    """

    name = "huber"

    def __init__(self, delta: Tensor | float | None = None) -> None:
        self.delta = delta

    @classmethod
    def join(cls, losses: Sequence[Loss], device: torch.device | str = "cpu") -> Self:
        """Join the deltas of the tasks; NaN stands for one that is not known."""
        deltas = [loss.delta for loss in losses if isinstance(loss, Huber)]
        known = [float("nan") if delta is None else float(delta) for delta in deltas]
        return cls(torch.tensor(known, dtype=torch.float64).to(device))

    @property
    def smooth(self) -> HuberLoss:
        """Huber's loss of the same delta for `solvers.solve_smooth`."""
        assert self.delta is not None  # for mypy
        return HuberLoss(self.delta)

    @property
    def bounds(self) -> tuple[Tensor | float, float]:
        """Bound the residuals by delta, which clips them, and the curvature by one."""
        assert self.delta is not None  # for mypy
        return self.delta, 1.0

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Median, and standard deviation of normal targets of the same median deviation."""
        location, scale = targets.apply(location_and_scale)
        varied = scale**2 > rounding_floor(location)
        return location, np.where(varied, scale, 1.0), varied

    @property
    def settled(self) -> bool:
        """True if delta is known."""
        return self.delta is not None

    def settle(self, Z: Tensor, y: Tensor, weight: Tensor | None) -> Sequence["Huber"]:
        """Take delta from the residuals of robust ridge fits."""
        return [Huber(delta) for delta in huber_delta(Z, y, weight).tolist()]

    def starting_targets(
        self, Y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Clip outliers, to which least squares is sensitive."""
        return Y.clip(-CLIPPED, CLIPPED)

    def task_weights(self, targets: TaskTargets, *, balanced: bool) -> Tensor:
        """Weights from the loss of the median, with outliers clipped."""
        assert isinstance(self.delta, Tensor)  # for mypy
        residual = torch.from_numpy(targets.array.clip(-CLIPPED, CLIPPED))
        delta = torch.from_numpy(targets.at(self.delta.numpy()))
        constant = torch.from_numpy(targets.mean(huber_loss(residual, delta).numpy()))
        return torch.where(constant > 0, 0.5 / constant, 1.0)

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """Weighted mean of Huber's loss."""
        assert isinstance(self.delta, Tensor)  # for mypy
        rows = huber_loss(Y - score, self.delta)
        if weights is None:
            return rows.mean(0)
        weights = weights if weights.ndim == 2 else weights[:, None]
        total = weights.sum(0)
        return (weights * rows).sum(0) / torch.where(total > 0, total, torch.ones_like(total))
