"""Targets of tasks that are observed on some of the rows each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ObservedTargets", "Pack", "segments", "similar_sizes"]

# sizes join a group if they are at least this share of its largest
FILLED = 0.9
# numbers in a pack of rows, such as fit into the cache and below: 32 MB in double precision
PACKED = 2**22


class Pack(NamedTuple):
    """What was observed of T tasks, in rectangles.

    Attributes
    ----------
    tasks : Tensor of int64, shape (T,)
        Which tasks.
    row : Tensor of int64, shape (T, k)
        Rows they were observed on; any row where a rectangle is not filled.
    value : Tensor of shape (T, k)
        Targets, zero where not filled.
    weight : Tensor of shape (T, k)
        Weights, zero where not filled.
    """

    tasks: Tensor
    row: Tensor
    value: Tensor
    weight: Tensor

    def split(
        self, fraction: float, generator: torch.Generator | None = None
    ) -> tuple["Pack", int]:
        """Part of each task's observations, drawn at random, after the others.

        Returns
        -------
        pack : Pack
            With the part in places of its own.
        n_before : int
            Places before it. At least two observations stay there, if there are so many.
        """
        filled = self.weight > 0
        count = filled.sum(1)
        n_after = (fraction * count).round().long().clamp_min(1).minimum((count - 2).clamp_min(0))
        keys = torch.rand(filled.shape, generator=generator, dtype=torch.float64)
        order = torch.where(filled, keys, 2.0).argsort(dim=1)
        n_before, width = int((count - n_after).max()), int(n_after.max())
        place = torch.arange(n_before + width)
        after = place >= n_before
        source = torch.where(after, (count - n_after)[:, None] + place - n_before, place)
        kept = torch.where(after, count[:, None], (count - n_after)[:, None])
        chosen = order.gather(1, source.clamp_max(filled.shape[1] - 1))
        row, value, weight = (x.gather(1, chosen) for x in self[1:])
        inside = source < kept
        return Pack(
            self.tasks, row, torch.where(inside, value, 0.0), torch.where(inside, weight, 0.0)
        ), n_before


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

    def total(self, x: Tensor) -> Tensor:
        """Sum over each task's observations of one number an observation, shape (T,)."""
        sums = torch.zeros(self.shape[1], dtype=torch.float64)
        return sums.index_add_(0, self.task, x.double())

    def mean(self, x: Tensor) -> Tensor:
        """Weighted mean over each task's observations, shape (T,); zero where there are none."""
        total = self.total(self.weight)
        return self.total(self.weight * x) / torch.where(total > 0, total, 1.0)

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

    def dense(self) -> tuple[Tensor, Tensor]:
        """Targets (n, T), zero where not observed, and their weights."""
        values = self.value.new_zeros(self.shape)
        weights = self.weight.new_zeros(self.shape)
        values[self.row, self.task] = self.value
        weights[self.row, self.task] = self.weight
        return values, weights

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
            position = torch.where(count > width, _spread(count, width, generator), position)
        filled = slot < count
        chosen = torch.where(filled, self.start[tasks, None] + position, 0)
        value = torch.where(filled, self.value[chosen], 0.0)
        weight = torch.where(filled, self.weight[chosen], 0.0)
        return Pack(tasks, self.row[chosen], value, weight)

    def apply(self, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A function of values and weights in packs, (T, k) each, that gives (c, T) numbers."""
        found, order = [], []
        for pack in self.packs(1):
            found.append(function(pack.value, pack.weight))
            order.append(pack.tasks)
        return torch.cat(found, 1)[:, torch.cat(order).argsort()]

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


def _starts(count: Tensor) -> Tensor:
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def segments(start: Tensor, count: Tensor) -> Tensor:
    """Positions of segments, one after the other: start[0], start[0] + 1, ..., start[1], ..."""
    shift = start - (count.cumsum(0) - count)
    return torch.arange(int(count.sum())) + shift.repeat_interleave(count)


def _spread(count: Tensor, width: int, generator: torch.Generator | None) -> Tensor:
    """`width` different positions below each count (T, 1), all with the same probability.

    One in each of as many parts of a circle, which is turned at random.
    """
    bounds = torch.arange(width + 1) * count // width
    inside = torch.rand(len(count), width, generator=generator, dtype=torch.float64)
    turn = torch.rand(len(count), 1, generator=generator, dtype=torch.float64)
    place = bounds[:, :-1] + (inside * bounds.diff(dim=1)).long()
    return (place + (turn * count).long()) % count.clamp_min(1)


def similar_sizes(count: Tensor) -> list[Tensor]:
    """Groups of positions in `count` (G,) with similar sizes, of which rectangles are nearly full.

    In each the smallest size is nine tenths of the largest or more.
    """
    sizes, order = count.sort(descending=True, stable=True)
    negative = -sizes.double()
    groups, first = [], 0
    while first < len(order):
        bound = FILLED * negative[first]
        last = max(int(torch.searchsorted(negative, bound, right=True)), first + 1)
        groups.append(order[first:last])
        first = last
    return groups
