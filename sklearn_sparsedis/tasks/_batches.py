"""Batches of rows and tasks for one outer step each."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskBatch, TaskTable
from sklearn_sparsedis.tasks._transfer import send

__all__ = ["TaskBatches"]

# batches of tasks that are drawn together and sorted by size, at most
TOGETHER = 20
# and so few of all tasks that each is drawn as often as its labels say
DRAWN = 0.1


class TaskBatches:
    """Passes over the rows, or over tasks, cut into epochs of `n_batches`.

    Where labels are missing, and some tasks of many are drawn or random rows would hold few labels
    of a task, each task of a batch comes with rows that it was observed on. Tasks of nearly as many
    rows are put together, so that little of the rectangles is empty.

    Parameters
    ----------
    table : TaskTable
        All rows and tasks.
    batch_size : int
        Rows that each task of a batch sees at most. The whole table, in its own order, when it has
        no more rows than that.
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
        self._whole: tuple[Tensor, Tensor, Tensor | None] | None = None
        self.n_rows, n_columns = table.Y.shape
        members: dict[int, list[int]] = {}
        for column, task in enumerate(table.task_of_output or ()):
            members.setdefault(task, []).append(column)
        # columns of tasks with several outputs; elsewhere a task is a column
        self.members = list(members.values())
        self.n_tasks = len(self.members) or n_columns
        self.most_rows = batch_size
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
        # targets whose tasks come with rows of their own; outputs of a task have the same rows
        self._apart = None
        if table.task_of_output is None:
            some = self.tasks_per_batch < self.n_tasks
            self._apart = table.Y.apart(self.batch_size, some=some)

    def _count_labels(self) -> Tensor | None:
        """Labels of each task, where they differ: a task teaches as much as it has labels."""
        if self.tasks_per_batch == self.n_tasks or self.table.Y.n_row_sets == 1:
            return None
        chances = self.table.Y.count.double()
        if self.members:
            chances = torch.stack([chances[columns].mean() for columns in self.members])
        return None if (chances == chances[0]).all() else chances

    def __len__(self) -> int:
        return min(self.n_batches - self.n_drawn, self.n_left)

    def __iter__(self) -> Iterator[TaskBatch]:
        for _ in range(len(self)):
            self.n_left -= 1
            self.n_drawn += 1
            yield self._draw() if self._apart is None else self._draw_tasks(self._apart)
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
        return index

    def _some_tasks(self, n: int) -> Tensor:
        if self._chances is None:
            return self._permutation(self.n_tasks)[:n]
        return torch.multinomial(self._chances, n, generator=self.generator)

    def _next_tasks(self, count: Tensor) -> Tensor:
        """Tasks of nearly as many rows, from those of several batches in a random order."""
        if not len(self._order):
            n_batches = int(DRAWN * self.n_tasks / self.tasks_per_batch)
            n_batches = min(max(n_batches, 1), TOGETHER)
            tasks = self._some_tasks(n_batches * self.tasks_per_batch)
            size = count[tasks].clamp_max(self.most_rows)
            batches = tasks[size.argsort(stable=True)].view(n_batches, -1)
            self._order = batches[self._permutation(n_batches)].flatten()
        first, self._order = self._order.tensor_split([self.tasks_per_batch])
        return first

    def _draw_tasks(self, Y: ObservedTargets) -> TaskBatch:
        """Tasks with rows that they were observed on."""
        tasks = self._next_tasks(Y.count)
        pack, n_support = Y.pack(tasks, self.most_rows, self.generator), None
        if self.query_fraction is not None:
            pack, n_support = pack.split(self.query_fraction, self.generator)
        needed, places = pack.row.unique(return_inverse=True)
        device, losses = self.table.X.device, self.table.losses
        return TaskBatch(
            self.table.read(needed[self.part(len(needed))]),
            send(pack.value, device).T,
            send(pack.weight, device).T,
            send(tasks, device),
            n_support or pack.row.shape[1],
            losses and tuple(losses[t] for t in tasks.tolist()),
            rows=send(places, device).T,
            n_needed=len(needed),
        )

    def _rows(self, index: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rows of a batch, all where there is no index, with their targets and weights."""
        if index is not None:
            X = self.table.read(index[self.part(len(index))])
            return X, *self.table.Y.of_rows(index).dense(X.device)
        if self._whole is None:  # few enough for a batch, also where they lie in a file
            X = self.table.X[self.part(self.n_rows)]
            self._whole = X, *self.table.Y.dense(X.device)
        return self._whole

    def _draw(self) -> TaskBatch:
        X, Y, weights = self._rows(self._next_rows())
        losses, task_of_output = self.table.losses, self.table.task_of_output
        tasks = torch.arange(Y.shape[1])
        if self.tasks_per_batch < self.n_tasks:
            columns = self._some_tasks(self.tasks_per_batch).tolist()
            if self.members:
                columns = [column for task in columns for column in self.members[task]]
            losses = losses and tuple(losses[c] for c in columns)
            task_of_output = task_of_output and tuple(task_of_output[c] for c in columns)
            tasks = send(torch.tensor(columns), Y.device)
            Y = Y[:, tasks]
            weights = weights[:, tasks] if weights is not None and weights.ndim == 2 else weights
        tasks = send(tasks, Y.device)
        n_support = len(Y)
        if self.query_fraction is not None:
            n_support -= min(max(round(self.query_fraction * len(Y)), 1), len(Y) - 2)
        return TaskBatch(X, Y, weights, tasks, n_support, losses, task_of_output)
