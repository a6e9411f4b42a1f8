"""The logistic loss."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.functional import logistic_loss
from sklearn_sparsedis.functional._logistic import bernoulli_entropy, row_shares
from sklearn_sparsedis.losses._base import Loss, TaskTargets
from sklearn_sparsedis.solvers import LogisticLoss

__all__ = ["Logistic"]


class Logistic(Loss):
    r""":math:`\log(1 + e^f) - y f` of the log-odds f of label 1, for labels 0 and 1."""

    name = "logistic"
    classes = True
    domain = "labels 0 and 1"
    remedy = "Encode its labels as 0 and 1"
    response = staticmethod(torch.sigmoid)
    smooth = LogisticLoss()
    bounds = 0.5, 0.25  # the standard deviation of labels 0 and 1 is one half at most

    def allows(self, Y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return True for zeros and ones."""
        return (Y == 0) | (Y == 1)

    def suits(self, targets: TaskTargets) -> NDArray[np.bool_]:
        """Return True for tasks whose labels are all 0 or 1 and both occur."""
        Y = targets.array
        return targets.any(Y == 1) & targets.any(Y == 0) & ~targets.any(~self.allows(Y))

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return zeros and ones: labels stay as they are."""
        n_tasks = targets.shape[1]
        return np.zeros(n_tasks), np.ones(n_tasks), np.ones(n_tasks, dtype=bool)

    def starting_targets(
        self, Y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Divide labels by their standard deviation, as other targets are."""
        if not len(weight):
            return Y
        share = weight / weight.sum()
        spread = np.sqrt(share @ (Y - share @ Y) ** 2)
        scaled: NDArray[np.float64] = Y / np.where(spread > 0, spread, 1.0)
        return scaled

    def task_weights(self, targets: TaskTargets, *, balanced: bool) -> Tensor:
        """Weights from the best constant probability; zero for a task of one class."""
        rate = torch.from_numpy(targets.mean(targets.array)).clamp(0, 1)
        constant = bernoulli_entropy(torch.full_like(rate, 0.5) if balanced else rate)
        return torch.where((rate > 0) & (rate < 1), 0.5 / constant, 0.0)

    def balance(self, y: Tensor, weight: Tensor | None) -> Tensor:
        """Give each class half of the weight of its task, if the task has both."""
        weight = torch.ones_like(y) if weight is None else weight.to(y.dtype).expand_as(y)
        ones, zeros = weight * y, weight * (1 - y)
        of_ones, of_zeros = ones.sum(-1, keepdim=True), zeros.sum(-1, keepdim=True)
        both = (of_ones > 0) & (of_zeros > 0)
        total = 0.5 * (of_ones + of_zeros)
        balanced = ones * (total / of_ones) + zeros * (total / of_zeros)
        return torch.where(both, balanced, weight)

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """Weighted mean log-loss."""
        y = Y.to(score.dtype).T
        weight = weights.T if weights is not None and weights.ndim == 2 else weights
        if balanced:
            weight = self.balance(y, weight)
        return (row_shares(y, weight) * logistic_loss(score.T, y)).sum(-1)
