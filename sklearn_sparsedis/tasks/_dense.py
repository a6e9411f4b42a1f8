"""Targets of tasks that are all observed on the same rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._packs import Block
from sklearn_sparsedis.tasks._transfer import send

__all__ = ["DenseTargets", "TargetValues"]


@dataclass(frozen=True)
class DenseTargets:
    """Targets (n, T) of tasks that share their rows.

    It has the methods of `ObservedTargets`, so that those who call them need not know which it is.

    Attributes
    ----------
    value : Tensor of shape (n, T)
        Zero on rows of weight zero.
    weight : None or Tensor of shape (n,)
        Nonnegative weights of rows; None stands for all ones.
    """

    value: Tensor
    weight: Tensor | None = None

    # sets of rows on which tasks are fitted
    n_row_sets = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(n, T)."""
        n_rows, n_tasks = self.value.shape
        return n_rows, n_tasks

    @property
    def labelled(self) -> Tensor:
        """Whether each row has labels, shape (n,)."""
        if self.weight is None:
            return torch.ones(len(self.value), dtype=torch.bool, device=self.value.device)
        return self.weight > 0

    @property
    def count(self) -> Tensor:
        """Labels of each task, shape (T,)."""
        return self.labelled.sum().expand(self.shape[1])

    @property
    def n_labels(self) -> Tensor:
        """Weight of each task's labels, at least their number, shape (T,)."""
        n_rows = self.labelled.sum().double()
        n_rows = n_rows if self.weight is None else n_rows.maximum(self.weight.sum())
        return n_rows.expand(self.shape[1])

    @property
    def row_weights(self) -> Tensor | None:
        """Weight of each row, shape (n,); None for all ones."""
        return self.weight

    @property
    def varied(self) -> Tensor:
        """Whether the labels of each task are not all equal, shape (T,)."""
        first = self.labelled.to(torch.uint8).argmax()
        return self.any(self.value != self.value[first])

    def any(self, mask: Tensor) -> Tensor:
        """Whether each task has a label where a mask like `value` is true, shape (T,)."""
        return (mask & self.labelled[:, None]).any(0)

    def mean(self, x: Tensor, *, jointly: bool = False) -> Tensor:
        """Weighted mean over each task's labels, or over all, of numbers like `value`."""
        array = x.numpy()
        if self.weight is None:
            means = array.mean(0)
        else:
            weight = self.weight.numpy()
            means = weight @ array / (weight.sum() or 1.0)
        return torch.from_numpy(np.full_like(means, means.mean()) if jointly else means)

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return one entry a task for each of its values: it broadcasts with `value`."""
        return numbers

    def labels_of(self, task: int) -> Tensor:
        """Labels of one task."""
        return self.value[self.labelled, task]

    def with_value(self, value: Tensor) -> "DenseTargets":
        """Replace the values; those on rows of weight zero become zero."""
        if self.weight is not None:
            value = torch.where(self.weight[:, None] > 0, value, 0.0)
        return replace(self, value=value)

    def cast(self, dtype: torch.dtype) -> "DenseTargets":
        """Convert the values to a dtype."""
        return replace(self, value=self.value.to(dtype))

    def to(self, device: torch.device) -> "DenseTargets":
        """Move values and weights to a device."""
        weight = None if self.weight is None else self.weight.to(device)
        return DenseTargets(self.value.to(device), weight)

    def of_tasks(self, tasks: Tensor) -> "DenseTargets":
        """Select tasks, in the order given."""
        return replace(self, value=self.value[:, tasks])

    def of_rows(self, index: Tensor) -> "DenseTargets":
        """Select rows; row i of the result is row ``index[i]``."""
        index = send(index, self.value.device)
        weight = None if self.weight is None else self.weight[index]
        return DenseTargets(self.value[index], weight)

    def of_complete_rows(self, numbers: NDArray[np.int64], names: NDArray[Any]) -> "DenseTargets":
        """Return these targets, because no row lacks an output."""
        return self

    def dense(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Return targets (n, T) and weights of rows, which are on the device already."""
        return self.value, self.weight

    def observed(self) -> ObservedTargets:
        """Convert to observations, so that labels can be left out one by one."""
        weight = self.labelled.double() if self.weight is None else self.weight
        return ObservedTargets.of_table(self.value, weight[:, None].expand_as(self.value))

    def apart(self, n_rows: int, *, some: bool) -> None:
        """Return None: tasks that share their rows are drawn with rows of all."""

    def blocks(self, Z: Tensor) -> Iterator[Block]:
        """Yield one block of all tasks, whose rows are those of Z (n, m)."""
        yield Block(torch.arange(self.shape[1]), Z, self.value, self.weight)

    def apply(self, function: Callable[..., Iterable[Tensor]], *tables: Tensor) -> Iterable[Tensor]:
        """Apply a function of values (T, n), weights and tables, whose results have T first."""
        return function(self.value.T, self.weight, *tables)

    def same_rows(self) -> Iterator[tuple[range, slice | NDArray[np.int64], Tensor, Tensor]]:
        """Yield all tasks, the rows that have weight, targets (k, T) and weights (k,) on them."""
        tasks = range(self.shape[1])
        if self.weight is None:
            yield tasks, slice(None), self.value, torch.ones(len(self.value), dtype=torch.float64)
        else:
            rows = np.flatnonzero(self.weight.numpy())
            yield tasks, rows, self.value[rows], self.weight[rows]

    def spare_rows(self, order: Tensor, n_kept: int, kinds: Tensor) -> Tensor:
        """Mark rows that no task needs, shape (n,), if the last ones of an order are needed first.

        Parameters
        ----------
        order : Tensor of int64
            Rows with labels.
        n_kept : int
            Labels that a task needs.
        kinds : Tensor of bool, shape (T,)
            Tasks that need a label of each kind.
        """
        spare, backwards = self.labelled, order.flip(0)
        spare[backwards[:n_kept]] = False
        ones = (self.value[:, kinds] > 0)[backwards].to(torch.uint8)
        for kind in (ones, 1 - ones):
            spare[backwards[kind.argmax(0)]] = False
        return spare

    def most_rows(self, n: int, rows: int, labels: int) -> int:
        """Return how many of n rows an evaluation takes: `rows`, or all where they have weights."""
        return rows if self.weight is None else n

    def predictions(self, Z: Tensor, coef: Tensor, intercept: Tensor) -> Tensor:
        """Predict all tasks on rows Z (n, m); the result is like `value`."""
        return Z.to(coef.dtype) @ coef.T + intercept

    def arrays(self) -> dict[str, NDArray[Any] | None]:
        """Return the arrays that make up the targets, by name."""
        weight = None if self.weight is None else self.weight.numpy()
        return {"Y": self.value.numpy(), "sample_weight": weight}


TargetValues = DenseTargets | ObservedTargets
