"""Rows of components on which tasks were observed: statistics and predictions."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.nn._head_parts import head_statistics
from sklearn_sparsedis.tasks._observed import ObservedTargets, Pack

__all__ = ["observed_gram", "observed_predictions", "packs_of_rows"]

# observations that are predicted together
PREDICTED = 2**16


def observed_gram(Z: Tensor, Y: ObservedTargets) -> GramStatistics:
    """Statistics of all tasks, each on the rows where it was observed."""
    found, order = [], []
    for pack in packs_of_rows(Y, Z):
        found.append(head_statistics(Z[pack.row], pack.value.T, pack.weight.T))
        order.append(pack.tasks)
    back = torch.cat(order).argsort()
    return GramStatistics(*(torch.cat(parts)[back] for parts in zip(*found, strict=True)))


def observed_predictions(
    Z: Tensor, row: Tensor, task: Tensor, coef: Tensor, intercept: Tensor
) -> Tensor:
    """Predictions of some tasks on some rows, one of each, shape (n_observed,)."""
    found = torch.empty(len(row), dtype=coef.dtype)
    for part in torch.arange(len(row)).split(PREDICTED):
        t = task[part]
        found[part] = (Z[row[part]] * coef[t]).sum(-1) + intercept[t]
    return found


def packs_of_rows(Y: ObservedTargets, Z: Tensor) -> Iterator[Pack]:
    """Packs of rows of Z, on its device."""
    for pack in Y.packs(max(1, Z.shape[1])):
        yield Pack(*(x.to(Z.device) for x in pack))
