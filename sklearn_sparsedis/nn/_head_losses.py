"""How well heads predict: squared error of values, log-loss of labels."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional import logistic_loss, row_shares

__all__ = ["balance_classes", "mean_log_loss", "squared_error"]


def squared_error(predicted: Tensor, Y: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted mean squared error of each task that has labels, shape (T,); others get zero."""
    squares = (predicted - Y).square()
    if weights is None:
        return squares.mean(0)
    if weights.ndim == 1:
        weights = weights[:, None]
    total = weights.sum(0)
    return (weights * squares).sum(0) / torch.where(total > 0, total, torch.ones_like(total))


def balance_classes(y: Tensor, weight: Tensor | None) -> Tensor:
    """Weights (T, n) under which each label has half of its task, if the task has both."""
    weight = torch.ones_like(y) if weight is None else weight.to(y.dtype).expand_as(y)
    ones, zeros = weight * y, weight * (1 - y)
    of_ones, of_zeros = ones.sum(-1, keepdim=True), zeros.sum(-1, keepdim=True)
    both = (of_ones > 0) & (of_zeros > 0)
    total = 0.5 * (of_ones + of_zeros)
    balanced = ones * (total / of_ones) + zeros * (total / of_zeros)
    return torch.where(both, balanced, weight)


def mean_log_loss(score: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean log-loss of each task, shape (T,); zero for tasks without labels."""
    return (row_shares(y, weight) * logistic_loss(score, y)).sum(-1)
