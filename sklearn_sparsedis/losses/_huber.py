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

# standard targets farther from zero than this are taken for outliers where a square needs a bound
CLIPPED = 3.0


class Huber(Loss):
    r"""Half the square of the residual up to :math:`\delta` in size and linear beyond, so that
    outliers among the targets have a bounded influence; their unit comes from medians.

    Parameters
    ----------
    delta : float or Tensor of shape (T,), optional
        Positive, in units of standard targets; from the data by `solvers.huber_delta` by default.
    """

    name = "huber"

    def __init__(self, delta: Tensor | float | None = None) -> None:
        self.delta = delta

    @classmethod
    def join(cls, losses: Sequence[Loss], device: torch.device | str = "cpu") -> Self:
        """With the delta of each task; NaN where it is not known."""
        deltas = [loss.delta for loss in losses if isinstance(loss, Huber)]
        known = [float("nan") if delta is None else float(delta) for delta in deltas]
        return cls(torch.tensor(known, dtype=torch.float64).to(device))

    @property
    def smooth(self) -> HuberLoss:
        """With the same delta."""
        assert self.delta is not None  # for mypy
        return HuberLoss(self.delta)

    @property
    def bounds(self) -> tuple[Tensor | float, float]:
        """A residual counts as delta at most."""
        assert self.delta is not None  # for mypy
        return self.delta, 1.0

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Median, and standard deviation of normal values with the same median deviation."""
        location, scale = targets.apply(location_and_scale)
        varied = scale**2 > rounding_floor(location)
        return location, np.where(varied, scale, 1.0), varied

    @property
    def settled(self) -> bool:
        """Whether delta is known."""
        return self.delta is not None

    def settle(self, Z: Tensor, y: Tensor, weight: Tensor | None) -> Sequence["Huber"]:
        """Delta from the residuals of robust ridge fits."""
        return [Huber(delta) for delta in huber_delta(Z, y, weight).tolist()]

    def starting_targets(
        self, Y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Without what outliers would do to least squares."""
        return Y.clip(-CLIPPED, CLIPPED)

    def task_weights(self, targets: TaskTargets, *, balanced: bool) -> Tensor:
        """Those of the median, for which outliers do not count in full."""
        assert isinstance(self.delta, Tensor)  # for mypy
        residual = torch.from_numpy(targets.array.clip(-CLIPPED, CLIPPED))
        delta = torch.from_numpy(targets.at(self.delta.numpy()))
        constant = torch.from_numpy(targets.mean(huber_loss(residual, delta).numpy()))
        return torch.where(constant > 0, 0.5 / constant, 1.0)

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """The mean loss."""
        assert isinstance(self.delta, Tensor)  # for mypy
        rows = huber_loss(Y - score, self.delta)
        if weights is None:
            return rows.mean(0)
        weights = weights if weights.ndim == 2 else weights[:, None]
        total = weights.sum(0)
        return (weights * rows).sum(0) / torch.where(total > 0, total, torch.ones_like(total))
