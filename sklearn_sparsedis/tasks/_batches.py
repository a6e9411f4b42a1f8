"""Batches of rows and tasks for one outer step each."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._file_rows import FileRows

__all__ = ["TaskBatch", "TaskBatches", "TaskTable"]


class TaskTable(NamedTuple):
    """Rows with the targets of all tasks.

    Attributes
    ----------
    X : Tensor or FileRows of shape (n, n_features)
    Y : Tensor of shape (n, n_tasks)
        Zero where there is no label.
    weights : None or Tensor of shape (n,) or (n, n_tasks)
        Weights of rows or labels; a missing label has weight zero.
    binary : None or tuple of bool, one a task
        Which targets are labels 0 and 1 with a logistic loss; None stands for none. The host has to
        know.
    task_of_output : None or tuple of int, one a column of Y
        Which columns are outputs of one task; with None every column is a task.
    """

    X: Tensor | FileRows
    Y: Tensor
    weights: Tensor | None
    binary: tuple[bool, ...] | None = None
    task_of_output: tuple[int, ...] | None = None

    def rows(self, index: Tensor) -> "TaskTable":
        """Part of the rows, read into memory."""
        weights = None if self.weights is None else self.weights[index]
        return self._replace(X=self.X[index], Y=self.Y[index], weights=weights)

    def part(self, index: Tensor) -> "TaskTable":
        """Part of the rows; those in a file stay there."""
        if isinstance(self.X, Tensor):
            return self.rows(index)
        weights = None if self.weights is None else self.weights[index]
        return self._replace(X=self.X.view(index), Y=self.Y[index], weights=weights)

    def to(self, device: torch.device) -> "TaskTable":
        """The same rows on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return self._replace(X=self.X.to(device), Y=self.Y.to(device), weights=weights)

    @property
    def row_weights(self) -> Tensor | None:
        """Weight of each row, shape (n,): the mean weight of its labels."""
        if self.weights is None or self.weights.ndim == 1:
            return self.weights
        return self.weights.mean(1)


class TaskBatch(NamedTuple):
    """What one outer step sees.

    Attributes
    ----------
    X, Y, weights : as in TaskTable, for some rows and tasks
        Where processes share the rows out, X is this one's part.
    tasks : Tensor of int64, shape (n_tasks_in_batch,)
        Which columns of the table the columns of Y are.
    n_support : int
        The heads are fitted on the first `n_support` rows and judged on the others; on all rows
        for both when it equals their number.
    binary, task_of_output : as in TaskTable, for these tasks
    """

    X: Tensor
    Y: Tensor
    weights: Tensor | None
    tasks: Tensor
    n_support: int
    binary: tuple[bool, ...] | None = None
    task_of_output: tuple[int, ...] | None = None


class TaskBatches:
    """Passes over the rows, cut into epochs of `n_batches`.

    Parameters
    ----------
    table : TaskTable
        All rows and tasks.
    batch_size : int
        Rows a batch. The whole table, in its own order, when it has no more rows than that.
    tasks_per_batch : int or None
        Tasks a batch, drawn without replacement, those with more labels more often; all when None.
    query_fraction : float or None
        Share of the batch that is kept from the heads' fit.
    n_batches : int
        Batches in one iteration of this object.
    n_total : int
        Batches in all iterations together.
    seed : int
        Seed of the order.
    part : callable, optional
        From the number of a batch's rows to the slice of those of which X is wanted; all by
        default.
    """

    def __init__(
        self,
        table: TaskTable,
        *,
        batch_size: int,
        tasks_per_batch: int | None,
        query_fraction: float | None,
        n_batches: int,
        n_total: int,
        seed: int,
        part: Callable[[int], slice] = slice,
    ) -> None:
        self.table = table
        self.part = part
        self._whole: Tensor | None = None
        self.n_rows, n_columns = table.Y.shape
        members: dict[int, list[int]] = {}
        for column, task in enumerate(table.task_of_output or range(n_columns)):
            members.setdefault(task, []).append(column)
        self.members = list(members.values())
        self.n_tasks = len(self.members)
        self.batch_size = min(batch_size, self.n_rows)
        self.tasks_per_batch = min(tasks_per_batch or self.n_tasks, self.n_tasks)
        self.query_fraction = query_fraction
        self.n_batches = n_batches
        self.n_left = n_total
        self.n_drawn = 0  # in the current iteration
        # drawn on the CPU, so that every device sees the same batches
        self.generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._chances = self._count_labels()

    def _count_labels(self) -> Tensor | None:
        """Labels of each task, where they differ: a task teaches as much as it has labels."""
        weights = self.table.weights
        if weights is None or weights.ndim == 1 or self.tasks_per_batch == self.n_tasks:
            return None
        labels = (weights > 0).sum(0).double().cpu()
        chances = torch.stack([labels[columns].mean() for columns in self.members])
        return None if (chances == chances[0]).all() else chances

    def __len__(self) -> int:
        return min(self.n_batches - self.n_drawn, self.n_left)

    def __iter__(self) -> Iterator[TaskBatch]:
        for _ in range(len(self)):
            self.n_left -= 1
            self.n_drawn += 1
            yield self._draw()
        self.n_drawn = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the sequence of batches stands."""
        return {
            "n_left": self.n_left,
            "n_drawn": self.n_drawn,
            "generator": self.generator.get_state(),
            "order": self._order,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in the middle of an iteration as well."""
        self.n_left, self.n_drawn = state["n_left"], state["n_drawn"]
        self.generator.set_state(state["generator"])
        self._order = state["order"]

    def _permutation(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.generator)

    def _next_rows(self) -> Tensor | None:
        whole = self.batch_size == self.n_rows
        if whole and self.query_fraction is None:
            return None
        if len(self._order) < self.batch_size:
            self._order = self._permutation(self.n_rows)
        index, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        return index.to(self.table.X.device)

    def _next_tasks(self) -> list[int]:
        if self._chances is None:
            return self._permutation(self.n_tasks)[: self.tasks_per_batch].tolist()
        drawn = torch.multinomial(self._chances, self.tasks_per_batch, generator=self.generator)
        return drawn.tolist()

    def _rows(self, index: Tensor | None) -> tuple[Tensor, *tuple[Any, ...]]:
        """The fields of the table for a batch's rows, all where there is no index."""
        if index is None:
            if self._whole is None:  # few enough for a batch, also where they lie in a file
                self._whole = self.table.X[self.part(self.n_rows)]
            return (self._whole, *self.table[1:])
        Y, weights = self.table.Y[index], self.table.weights
        X = self.table.X[index[self.part(len(index))]]
        return X, Y, None if weights is None else weights[index], *self.table[3:]

    def _draw(self) -> TaskBatch:
        X, Y, weights, binary, task_of_output = self._rows(self._next_rows())
        tasks = torch.arange(Y.shape[1])
        if self.tasks_per_batch < self.n_tasks:
            columns = [column for task in self._next_tasks() for column in self.members[task]]
            binary = binary and tuple(binary[c] for c in columns)
            task_of_output = task_of_output and tuple(task_of_output[c] for c in columns)
            tasks = torch.tensor(columns).to(Y.device)
            Y = Y[:, tasks]
            weights = weights[:, tasks] if weights is not None and weights.ndim == 2 else weights
        tasks = tasks.to(Y.device)
        n_support = len(Y)
        if self.query_fraction is not None:
            n_support -= min(max(round(self.query_fraction * len(Y)), 1), len(Y) - 2)
        return TaskBatch(X, Y, weights, tasks, n_support, binary, task_of_output)
