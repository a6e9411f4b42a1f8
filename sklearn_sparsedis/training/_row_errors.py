"""Losses of single rows, and comparisons of predictions by them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import kinds_of
from sklearn_sparsedis.tasks._dense import TargetValues

__all__ = ["RowErrors", "exceeds", "first_as_good", "fewest_directions", "matters"]

# differences of the mean loss that matter, in units of that of the constant, and of the loss itself
WORTH, WORTH_OF_IT = 0.005, 0.05


class RowErrors:
    """Losses of the rows of some targets, whose mean is that of the tasks.

    They are squared errors, and twice any other loss.

    Parameters
    ----------
    targets : TargetValues
        In standard units.
    losses : sequence of Loss, one a task, optional
        Squared errors by default.
    task_weight : Tensor of shape (n_tasks,), optional
        Weights that bring losses of different kinds to one scale.
    """

    def __init__(
        self,
        targets: TargetValues,
        losses: Sequence[Loss] | None = None,
        task_weight: Tensor | None = None,
    ) -> None:
        self._targets, self._labels, self._losses = targets, targets.observed(), losses
        total = self._labels.total(self._labels.weight)
        each = total.repeat_interleave(self._labels.count)
        # of means over rows that are means over tasks
        self._share = self._labels.weight / each * self._labels.n_rows / (total > 0).sum()
        if task_weight is not None:
            self._share = self._share * task_weight[self._labels.task]

    def __call__(self, score: Tensor) -> Tensor:
        """Losses (n,) of scores that are laid out as the values of the targets."""
        score = self._targets.with_value(score).observed().value.cpu()
        total = torch.zeros(self._labels.n_rows, dtype=torch.float64)
        return total.index_add_(0, self._labels.row, self._share * self._of_labels(score))

    def _of_labels(self, score: Tensor) -> Tensor:
        value = self._labels.value
        if self._losses is None:
            return (score - value).double().square()
        losses = torch.zeros(len(score), dtype=torch.float64)
        for kind, tasks in kinds_of(self._losses).items():
            chosen = torch.isin(self._labels.task, torch.tensor(tasks))
            loss = kind.join([self._losses[t] for t in self._labels.task[chosen].tolist()])
            each = loss.mean(score[None, chosen], value[None, chosen], None, balanced=False)
            losses[chosen] = 2 * each.double()
        return losses


def exceeds(larger: Tensor, smaller: Tensor, *, times: float = 1.0) -> bool:
    """Whether losses of rows exceed others by so many standard errors."""
    excess = larger - smaller
    error = excess.std(correction=0) / max(len(excess) - 1, 1) ** 0.5
    return float(excess.mean()) > times * float(error)


def matters(larger: Tensor, smaller: Tensor, *, share: float = 1.0) -> bool:
    """Whether errors of rows exceed others by a standard error, and by a share of what matters."""
    least = share * min(WORTH, WORTH_OF_IT * float(smaller.mean()))
    return exceeds(larger, smaller) and float((larger - smaller).mean()) > least


def first_as_good(losses: Tensor, *, share: float = 1.0) -> int:
    """Index of the first of losses of rows (k, n) that are no worse than the lowest.

    Worse are those that exceed it by a standard error and by a share of what matters.
    """
    lowest = losses[losses.mean(1).argmin()]
    return next(i for i, one in enumerate(losses) if not matters(one, lowest, share=share))


def fewest_directions(losses: Tensor) -> int:
    """Fewest directions that predict as well as any, given losses with 1, 2, ... (r, n).

    What a direction fewer loses cannot be had again by heads: a fifth of what matters otherwise.
    """
    return first_as_good(losses, share=0.2) + 1
