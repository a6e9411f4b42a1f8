"""Tables of rows and targets, whole and as one outer step sees them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import tasks_where
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._file_rows import FileRows
from sklearn_sparsedis.tasks._transfer import send

__all__ = ["TaskBatch", "TaskTable"]


class TaskTable(NamedTuple):
    """Rows with the targets of all tasks.

    Attributes
    ----------
    X : Tensor or FileRows of shape (n, n_features)
    Y : DenseTargets or ObservedTargets of shape (n, n_tasks)
        The latter where labels are missing or have weights of their own.
    losses : None or tuple of Loss, one a task
        None stands for squared errors.
    task_of_output : None or tuple of int, one a column of Y
        Which columns are outputs of one task; with None every column is a task.
    """

    X: Tensor | FileRows
    Y: TargetValues
    losses: tuple[Loss, ...] | None = None
    task_of_output: tuple[int, ...] | None = None

    def rows(self, index: Tensor) -> "TaskTable":
        """Part of the rows, read into memory."""
        return self.targets(index)._replace(X=self.read(index))

    def read(self, index: Tensor) -> Tensor:
        """Part of the rows of X, read into memory."""
        if isinstance(self.X, FileRows):  # which want an index on the host
            return self.X[index]
        return self.X[send(index, self.X.device)]

    def part(self, index: Tensor) -> "TaskTable":
        """Part of the rows; those in a file stay there."""
        if isinstance(self.X, Tensor):
            return self.rows(index)
        return self.targets(index)._replace(X=self.X.view(index))

    def of_tasks(self, tasks: Tensor) -> "TaskTable":
        """Part of the tasks, with the rows they were observed on."""
        Y = self.Y.of_tasks(tasks)
        losses = self.losses and tuple(self.losses[t] for t in tasks.tolist())
        return self._replace(Y=Y, losses=losses).part(Y.labelled)

    def targets(self, index: Tensor) -> "TaskTable":
        """Part of the rows of the targets, with all of X."""
        return self._replace(Y=self.Y.of_rows(index))

    def to(self, device: torch.device) -> "TaskTable":
        """The same rows on a device."""
        return self._replace(X=self.X.to(device), Y=self.Y.to(device))

    def which(self, condition: Callable[[Loss], bool]) -> Tensor:
        """Tasks whose loss has a property, on the CPU, shape (n_tasks,)."""
        return torch.from_numpy(tasks_where(self.losses, self.Y.shape[1], condition))

    @property
    def row_weights(self) -> Tensor | None:
        """Weight of each row, shape (n,): the mean weight of its labels."""
        weights = self.Y.row_weights
        return None if weights is None else weights.to(self.X.device)


class TaskBatch(NamedTuple):
    """What one outer step sees.

    Attributes
    ----------
    X : Tensor of shape (n, n_features)
        Where processes share the rows out, this one's part.
    Y : Tensor of shape (n, n_tasks_in_batch)
        Zero where there is no label.
    weights : None or Tensor of shape (n,) or (n, n_tasks_in_batch)
        Weights of rows or labels; a missing label has weight zero.
    tasks : Tensor of int64, shape (n_tasks_in_batch,)
        Which columns of the table the columns of Y are.
    n_support : int
        The heads are fitted on the first `n_support` rows and judged on the others; on all rows
        for both when it equals their number.
    losses, task_of_output : as in TaskTable, for these tasks
    rows : None or Tensor of int64, shape (k, n_tasks_in_batch)
        Where every task has rows of its own: which of the n rows they are. Then Y and weights, and
        `n_support`, are those of the k places.
    n_needed : None or int
        n in that case.
    """

    X: Tensor
    Y: Tensor
    weights: Tensor | None
    tasks: Tensor
    n_support: int
    losses: tuple[Loss, ...] | None = None
    task_of_output: tuple[int, ...] | None = None
    rows: Tensor | None = None
    n_needed: int | None = None

    @property
    def n_rows(self) -> int:
        """n, of all processes."""
        return len(self.Y) if self.n_needed is None else self.n_needed

    @property
    def row_weights(self) -> Tensor | None:
        """Weight of each row, shape (n,): the mean weight of its labels."""
        weights = self.weights
        if weights is None or weights.ndim == 1:
            return weights
        if self.rows is None:
            return weights.mean(1)
        total = weights.new_zeros(self.n_rows).index_add_(0, self.rows.flatten(), weights.flatten())
        return total / weights.shape[1]
