"""Targets of tasks that are observed on some of the rows each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.tasks._packs import (
    Block,
    Pack,
    predictions_at,
    segments,
    similar_sizes,
    spread,
)
from sklearn_sparsedis.tasks._transfer import send

__all__ = ["ObservedTargets"]

# labels of a task that rows drawn at random must hold in the mean: one alone gives a constant
LEAST_LABELS = 2
# numbers in a pack of rows, such as fit into the cache and below: 32 MB in double precision
PACKED = 2**22


@dataclass(frozen=True)
class ObservedTargets:
    """Targets (n, T) of which some are observed, one after the other; on the CPU.

    Attributes
    ----------
    row : Tensor of int64, shape (n_observed,)
        Row of each observation; increasing within a task.
    value : Tensor of shape (n_observed,)
    weight : Tensor of shape (n_observed,)
        Positive weights.
    start : Tensor of int64, shape (T + 1,)
        The observations of task t are those from ``start[t]`` to ``start[t + 1]``.
    n_rows : int
        n.
    """

    row: Tensor
    value: Tensor
    weight: Tensor
    start: Tensor
    n_rows: int

    @classmethod
    def of_table(cls, values: Tensor, weights: Tensor) -> "ObservedTargets":
        """Those of a table (n, T) that have a weight above zero."""
        task, row = (weights.T > 0).nonzero(as_tuple=True)
        count = torch.bincount(task, minlength=values.shape[1])
        return cls(row, values[row, task], weights[row, task], _starts(count), len(values))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, T)."""
        return self.n_rows, len(self.start) - 1

    @cached_property
    def count(self) -> Tensor:
        """Observations of each task, shape (T,)."""
        return self.start.diff()

    @cached_property
    def task(self) -> Tensor:
        """Task of each observation, shape (n_observed,)."""
        return torch.arange(self.shape[1]).repeat_interleave(self.count)

    @cached_property
    def row_weights(self) -> Tensor:
        """Mean weight of each row over all tasks, shape (n,)."""
        total = torch.zeros(self.n_rows, dtype=self.weight.dtype)
        return total.index_add_(0, self.row, self.weight) / self.shape[1]

    @property
    def n_row_sets(self) -> int:
        """Sets of rows on which tasks are fitted: each has its own."""
        return self.shape[1]

    @property
    def labelled(self) -> Tensor:
        """Whether each row has labels, shape (n,)."""
        return torch.zeros(self.n_rows, dtype=torch.bool).index_fill_(0, self.row, value=True)

    @property
    def n_labels(self) -> Tensor:
        """Weight of each task's labels, at least their number, shape (T,)."""
        return self.total(self.weight).maximum(self.count)

    @property
    def varied(self) -> Tensor:
        """Whether the labels of each task are not all equal, shape (T,)."""
        return self.any(self.value != self.value[self.start[self.task]])

    def any(self, mask: Tensor) -> Tensor:
        """Whether each task has a label where a mask like `value` is true, shape (T,)."""
        return self.total(mask) > 0

    def total(self, x: Tensor) -> Tensor:
        """Sum over each task's observations of one number an observation, shape (T,)."""
        sums = torch.zeros(self.shape[1], dtype=torch.float64)
        return sums.index_add_(0, self.task, x.double())

    def mean(self, x: Tensor, *, jointly: bool = False) -> Tensor:
        """Weighted mean over each task's labels, or over all, of numbers like `value`.

        Zero for a task that has none.
        """
        if jointly:
            return ((self.weight * x).sum() / self.weight.sum()).expand(self.shape[1])
        total = self.total(self.weight)
        return self.total(self.weight * x) / torch.where(total > 0, total, 1.0)

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return one entry a task for each of its values: it broadcasts with `value`."""
        return numbers[self.task.numpy()]

    def labels_of(self, task: int) -> Tensor:
        """Labels of one task."""
        return self.value[self.start[task] : self.start[task + 1]]

    def with_value(self, value: Tensor) -> "ObservedTargets":
        """Replace the values."""
        return replace(self, value=value)

    def cast(self, dtype: torch.dtype) -> "ObservedTargets":
        """Convert the values to a dtype."""
        return self.with_value(self.value.to(dtype))

    def to(self, device: torch.device) -> "ObservedTargets":
        """Return these targets: only those of a batch follow its rows to a device."""
        return self

    def observed(self) -> "ObservedTargets":
        """Return these targets."""
        return self

    def where(self, kept: Tensor) -> "ObservedTargets":
        """The observations that a mask keeps."""
        start = _starts(self.total(kept).long())
        return replace(
            self,
            row=self.row[kept],
            value=self.value[kept],
            weight=self.weight[kept],
            start=start,
        )

    def of_tasks(self, tasks: Tensor) -> "ObservedTargets":
        """The observations of some tasks, in the order given."""
        chosen = segments(self.start[tasks], self.count[tasks])
        return replace(
            self,
            row=self.row[chosen],
            value=self.value[chosen],
            weight=self.weight[chosen],
            start=_starts(self.count[tasks]),
        )

    def of_rows(self, index: Tensor) -> "ObservedTargets":
        """The observations on rows at an index, of which none comes twice; row i is ``index[i]``.

        The cost does not depend on the number of rows.
        """
        index = index.cpu()
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        order, start = self._by_row
        count = start.diff()[index]
        chosen = order[segments(start[index], count)]
        row = torch.arange(len(index)).repeat_interleave(count)
        task, back = self.task[chosen].sort(stable=True)
        chosen, row = chosen[back], row[back]
        starts = _starts(torch.bincount(task, minlength=self.shape[1]))
        return ObservedTargets(row, self.value[chosen], self.weight[chosen], starts, len(index))

    @cached_property
    def _by_row(self) -> tuple[Tensor, Tensor]:
        """Observations in the order of their rows, and where each row starts."""
        return self.row.argsort(stable=True), _starts(
            torch.bincount(self.row, minlength=self.n_rows)
        )

    def of_complete_rows(
        self, numbers: NDArray[np.int64], names: NDArray[Any]
    ) -> "ObservedTargets":
        """Leave out labels of outputs on rows that lack another output of the task.

        Parameters
        ----------
        numbers : ndarray of int, shape (T,)
            Tasks of which the columns are outputs.
        names : ndarray of shape (T,)
            Of the columns, for the message where outputs of a task have different weights.
        """
        column = self.task.numpy()
        place = numbers[column] * self.n_rows + self.row.numpy()
        _, first, back, n_there = np.unique(
            place, return_index=True, return_inverse=True, return_counts=True
        )
        complete = n_there[back] == np.bincount(numbers)[numbers[column]]
        weight = self.weight.numpy()
        differ = complete & (weight != weight[first][back])
        if differ.any():
            raise ValueError(
                "sample_weight must be the same for all outputs of a task: on some rows those of "
                f"output {names[column[differ][0]]} and of others of its task differ."
            )
        return self.where(torch.from_numpy(complete))

    def dense(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return targets (n, T), zero where not observed, and their weights, on a device."""
        values = self.value.new_zeros(self.shape)
        weights = self.weight.new_zeros(self.shape)
        values[self.row, self.task] = self.value
        weights[self.row, self.task] = self.weight
        return send(values, device), send(weights, device)

    def apart(self, n_rows: int, *, some: bool) -> "ObservedTargets | None":
        """Return these targets if the tasks of a batch are drawn with rows of their own, else None.

        They are if a batch has some of the tasks, or if `n_rows` rows that all tasks share would
        hold few labels of a task.
        """
        drawn = float(self.count.double().mean()) * n_rows / self.n_rows
        return self if some or (drawn < LEAST_LABELS and n_rows < self.n_rows) else None

    def pack(
        self, tasks: Tensor, most: int | None = None, generator: torch.Generator | None = None
    ) -> Pack:
        """Some tasks in rectangles; of a task observed more than `most` times as many at random.

        Every observation of such a task is drawn with the same probability.
        """
        count = self.count[tasks, None]
        width = max(1, int(count.max()) if most is None else min(most, int(count.max())))
        slot = torch.arange(width)
        position = slot.minimum((count - 1).clamp_min(0))
        if most is not None:
            position = torch.where(count > width, spread(count, width, generator), position)
        filled = slot < count
        chosen = torch.where(filled, self.start[tasks, None] + position, 0)
        value = torch.where(filled, self.value[chosen], 0.0)
        weight = torch.where(filled, self.weight[chosen], 0.0)
        return Pack(tasks, self.row[chosen], value, weight)

    def blocks(self, Z: Tensor) -> Iterator[Block]:
        """Yield blocks of tasks, each with its own of the rows Z (n, m), on their device."""
        for pack in self.packs(max(1, Z.shape[1])):
            row, y, weight = (x.to(Z.device) for x in pack[1:])
            yield Block(pack.tasks, Z[row], y.T, weight.T)

    def apply(self, function: Callable[..., Iterable[Tensor]], *tables: Tensor) -> Iterable[Tensor]:
        """Apply a function of values, weights and rows of tables, whose results have T first.

        It is called with packs: values and weights of shape (T, k), rows of shape (T, k, m).
        """
        found, order = [], []
        device = (*tables, self.value)[0].device
        for pack in self.packs(sum(table.shape[1] for table in tables) or 1):
            row, y, weight = (x.to(device) for x in pack[1:])
            found.append(function(y, weight, *(table[row] for table in tables)))
            order.append(pack.tasks)
        back = torch.cat(order).argsort()
        return [torch.cat(parts)[back] for parts in zip(*found, strict=True)]

    def packs(self, width: int) -> Iterator[Pack]:
        """All tasks in packs of tasks with nearly as many observations.

        Parameters
        ----------
        width : int
            Numbers that a caller holds for each observation in a pack, which is kept small.
        """
        for group in similar_sizes(self.count):
            longest = max(1, int(self.count[group[0]]))
            for tasks in group.split(max(1, PACKED // (longest * width))):
                yield self.pack(tasks)

    def same_rows(self) -> Iterator[tuple[list[int], NDArray[np.int64], Tensor, Tensor]]:
        """Yield tasks observed on the same rows, these rows, targets (k, T) and weights (k,)."""
        same: dict[bytes, list[int]] = {}
        ends = list(pairwise(self.start.tolist()))
        row, weight = self.row.numpy(), self.weight.numpy()
        for task, (first, last) in enumerate(ends):
            key = row[first:last].tobytes() + weight[first:last].tobytes()
            same.setdefault(key, []).append(task)
        for tasks in same.values():
            own = slice(*ends[tasks[0]])
            value = torch.stack([self.labels_of(task) for task in tasks], dim=1)
            yield tasks, row[own], value, self.weight[own]

    def spare_rows(self, order: Tensor, n_kept: int, kinds: Tensor) -> Tensor:
        """Mark no row, shape (n,), because tasks spare labels and not rows."""
        return torch.zeros(self.n_rows, dtype=torch.bool)

    def most_rows(self, n: int, rows: int, labels: int) -> int:
        """Return how many of n rows an evaluation takes: those that have `labels` in the mean."""
        return round(n * min(1.0, labels / len(self.row)))

    def predictions(self, Z: Tensor, coef: Tensor, intercept: Tensor) -> Tensor:
        """Predict on rows Z (n, m) where there are observations; the result is like `value`."""
        return predictions_at(self.row, self.task, Z, coef, intercept)

    def arrays(self) -> dict[str, NDArray[Any] | None]:
        """Return the arrays that make up the targets, by name."""
        parts = {"Y": self.value, "sample_weight": self.weight, "rows of Y": self.row}
        return {name: part.numpy() for name, part in {**parts, "tasks": self.start}.items()}


def _starts(count: Tensor) -> Tensor:
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
