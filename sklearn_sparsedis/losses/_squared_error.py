"""Half the squared error."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.losses._base import Loss, TaskTargets, rounding_floor

__all__ = ["SquaredError"]


class SquaredError(Loss):
    r""":math:`(f - y)^2 / 2`, for targets standardised to mean zero and variance one."""

    name = "squared_error"
    from_statistics = True

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Mean and standard deviation of each task; jointly, those of all targets together."""
        mean = targets.mean(targets.array, jointly=jointly)
        with np.errstate(over="ignore"):
            var = targets.mean((targets.array - targets.at(mean)) ** 2, jointly=jointly)
        if not np.isfinite(var).all():
            raise ValueError(
                "Y has values too large for their squares to be represented: divide Y by a "
                "constant."
            )
        varied = var > rounding_floor(mean)
        return mean, np.where(varied, np.sqrt(var), 1.0), varied

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """Half the weighted mean squared error."""
        squares = (score - Y).square()
        if weights is None:
            return 0.5 * squares.mean(0)
        if weights.ndim == 1:
            weights = weights[:, None]
        total = weights.sum(0)
        share = torch.where(total > 0, total, torch.ones_like(total))
        return 0.5 * ((weights * squares).sum(0) / share)
