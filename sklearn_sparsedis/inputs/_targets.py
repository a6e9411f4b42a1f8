"""Targets of all tasks with their weights, and what fits make of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_sparsedis.inputs._arrays import column_names
from sklearn_sparsedis.inputs._observations import (
    Observations,
    check_observations,
    check_weights,
    require_labels,
)
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._tensors import cast_finite
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.tasks._dense import DenseTargets, TargetValues
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = [
    "Targets",
    "check_label_counts",
    "check_range",
    "check_targets",
    "r2",
]


@dataclass(frozen=True)
class Targets:
    """Targets of all tasks on all rows.

    Attributes
    ----------
    values : DenseTargets or ObservedTargets of shape (n, n_tasks)
        float64, with weights; the latter where labels are missing or have weights of their own.
    tasks : ndarray of shape (n_tasks,)
        Name of each task.
    layout : {"flat", "wide", "long"}
        How the caller gave them: one column as (n,), a column a task, or a task id a row.
    losses : None or tuple of Loss, one a task
        None stands for squared errors.
    task_of_output : None or tuple of int, one a column
        Which columns are outputs of one task and share their support; above, a task is a column.
        These have the same weights.
    """

    values: TargetValues
    tasks: NDArray[Any]
    layout: str
    losses: tuple[Loss, ...] | None = None
    task_of_output: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_tasks)."""
        return self.values.shape

    @property
    def array(self) -> NDArray[np.float64]:
        """The values alone, shape (n, n_tasks) or (n_observed,)."""
        return self.values.value.numpy()

    def with_array(self, array: NDArray[np.float64]) -> "Targets":
        """Replace the values; those on rows of weight zero become zero."""
        return replace(self, values=self.values.with_value(torch.from_numpy(array)))

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return one entry a task for each of its values: it broadcasts with `array`."""
        return self.values.at(numbers)

    def mean(self, array: NDArray[np.float64], *, jointly: bool = False) -> NDArray[np.float64]:
        """Weighted mean over each task's labels, or over all, of an array like `array`."""
        return self.values.mean(torch.from_numpy(array), jointly=jointly).numpy()

    def apply(self, function: Callable[..., Iterable[Tensor]]) -> list[NDArray[np.float64]]:
        """Apply a function of values and weights, (T, k) each, whose results have T first."""
        return [numbers.numpy() for numbers in self.values.apply(function)]

    def any(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each task has a label that counts where a mask like `array` is true."""
        return self.values.any(torch.from_numpy(mask)).numpy()

    def table(self, X: Any, dtype: torch.dtype) -> TaskTable:
        """Join the targets, in a dtype, with rows X."""
        return TaskTable(X, self.values.cast(dtype), self.losses, self.task_of_output)

    def arrays(self) -> dict[str, NDArray[Any] | None]:
        """Return the arrays that make up the targets, by name."""
        return {
            "losses": np.array([loss.name for loss in self.losses or ()]),
            **self.values.arrays(),
        }


def check_targets(
    Y: Any,
    n_samples: int,
    *,
    task_id: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    tasks: NDArray[Any] | None = None,
    required: bool = True,
    caller: str,
) -> Targets:
    """Targets of `check_observations`, with weights. A label of weight zero is a missing one.

    Parameters
    ----------
    Y, n_samples, task_id, tasks, required, caller
        As in `check_observations`.
    sample_weight : array-like of shape (n,) or (n, n_tasks), optional
        Weights of rows or of labels; of a data frame beside another one, by their names.
    """
    observed = check_observations(
        Y, n_samples, task_id=task_id, tasks=tasks, required=required, caller=caller
    )
    weights = check_weights(sample_weight, observed, column_names(Y))
    targets = Targets(_values(observed, weights), observed.tasks, observed.layout)
    return check_label_counts(targets) if required else targets


def _values(observed: Observations, weights: NDArray[np.float64] | None) -> TargetValues:
    """Values with their weights as `Targets` has them."""
    Y = observed.Y
    if not isinstance(Y, Rows):
        if observed.layout != "long" or len(observed.tasks) > 1:
            return _of_sparse(Y, weights)
        table = np.full(Y.shape, np.nan)
        table[np.flatnonzero(np.diff(observed.before)), 0] = Y.data
    else:
        table = np.array(Y[:], dtype=np.float64)
    counted = ~np.isnan(table)
    if weights is not None:
        counted &= weights.reshape(len(table), -1) > 0
    values = torch.from_numpy(np.where(counted, table, 0.0))
    if (weights is None or weights.ndim == 1) and table.shape[1] > 1 and not np.isnan(table).any():
        return DenseTargets(values, None if weights is None else torch.from_numpy(weights))
    each = np.where(counted, 1.0 if weights is None else weights.reshape(len(table), -1), 0.0)
    if table.shape[1] == 1:
        return DenseTargets(values, None if (each == 1).all() else torch.from_numpy(each[:, 0]))
    return ObservedTargets.of_table(values, torch.from_numpy(each))


def _of_sparse(Y: csr_array, weights: NDArray[np.float64] | None) -> ObservedTargets:
    """Observations in the order of their tasks, but those without weight."""
    table = csc_array(Y)
    row, value = table.indices.astype(np.int64), table.data.astype(np.float64)
    task = np.repeat(np.arange(table.shape[1]), np.diff(table.indptr))
    weight = np.ones(len(row))
    if weights is not None:
        weight = weights[row] if weights.ndim == 1 else weights[row, task]
        counted = weight > 0
        row, task, value, weight = (x[counted] for x in (row, task, value, weight))
    start = np.searchsorted(task, np.arange(table.shape[1] + 1))
    return ObservedTargets(
        torch.from_numpy(row),
        torch.from_numpy(value),
        torch.from_numpy(weight),
        torch.from_numpy(start),
        table.shape[0],
    )


def check_label_counts(targets: Targets) -> Targets:
    """Return the targets; raise for tasks without labels that count."""
    require_labels(targets.values.count.numpy(), targets.tasks)
    return targets


def check_range(targets: Targets, dtype: np.dtype[Any]) -> None:
    """Raise where predictions in a dtype could not be what the targets are."""
    advice = "Divide Y by a constant, or pass X as float64, for predictions of that dtype."
    cast_finite(targets.array, dtype, "Y", advice)


def r2(targets: Targets, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """R^2 of each task on its labels, as `metrics.nan_r2_score` defines it."""
    deviation = targets.array - targets.at(targets.mean(targets.array))
    residual, whole = (targets.mean(x**2) for x in (targets.array - predicted, deviation))
    score = np.where(whole > 0, 1 - residual / np.where(whole > 0, whole, 1.0), residual == 0)
    return np.where(targets.values.count.numpy() >= 2, score, np.nan)
