"""Targets of all tasks with their weights, and what fits make of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_sparsedis.inputs._arrays import check_numbers, column_names, match_names
from sklearn_sparsedis.inputs._observations import Observations, check_observations, require_labels
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._tensors import cast_finite, to_tensor
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = [
    "Targets",
    "check_label_counts",
    "check_range",
    "check_targets",
    "observed_r2",
]


@dataclass(frozen=True)
class Targets:
    """Targets of all tasks on all rows.

    Attributes
    ----------
    values : ndarray or ObservedTargets of shape (n, n_tasks)
        float64; the latter where labels are missing or have weights of their own.
    weights : None or ndarray of shape (n,)
        Nonnegative weights of rows; None stands for all ones, and for those of ObservedTargets.
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

    values: NDArray[np.float64] | ObservedTargets
    weights: NDArray[np.float64] | None
    tasks: NDArray[Any]
    layout: str
    losses: tuple[Loss, ...] | None = None
    task_of_output: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_tasks)."""
        n_rows, n_tasks = self.values.shape
        return n_rows, n_tasks

    @property
    def row_weights(self) -> Tensor | None:
        """Weight of each row, shape (n,): the mean weight of its labels."""
        if isinstance(self.values, ObservedTargets):
            return self.values.row_weights
        return None if self.weights is None else to_tensor(self.weights)

    @property
    def array(self) -> NDArray[np.float64]:
        """The values alone, shape (n, n_tasks) or (n_observed,)."""
        values = self.values
        return values.value.numpy() if isinstance(values, ObservedTargets) else values

    def with_array(self, array: NDArray[np.float64]) -> "Targets":
        """The same with other values."""
        values: NDArray[np.float64] | ObservedTargets = array
        if isinstance(self.values, ObservedTargets):
            values = replace(self.values, value=torch.from_numpy(array))
        return replace(self, values=values)

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """One number a task for each of its values: an array that broadcasts with `array`."""
        if isinstance(self.values, ObservedTargets):
            return numbers[self.values.task.numpy()]
        return numbers

    def mean(self, array: NDArray[np.float64], *, jointly: bool = False) -> NDArray[np.float64]:
        """Weighted mean over each task's labels, or over all, of an array like `array`."""
        if isinstance(self.values, ObservedTargets):
            Y, x = self.values, torch.from_numpy(array)
            if jointly:
                return np.full(Y.shape[1], float((Y.weight * x).sum() / Y.weight.sum()))
            return Y.mean(x).numpy()
        means = array.mean(0) if self.weights is None else self.weights @ array / self.weights.sum()
        return np.full_like(means, means.mean()) if jointly else means

    def apply(self, function: Callable[[Tensor, Tensor | None], Tensor]) -> NDArray[np.float64]:
        """A function of values and weights, (T, k) each, that gives numbers of shape (c, T)."""
        if isinstance(self.values, ObservedTargets):
            return self.values.apply(function).numpy()
        weights = None if self.weights is None else torch.from_numpy(self.weights)
        return function(torch.from_numpy(self.values).T, weights).numpy()

    def any(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tasks that have a label that counts where a mask like `array` is true."""
        if isinstance(self.values, ObservedTargets):
            return (self.values.total(torch.from_numpy(mask)) > 0).numpy()
        counted = mask if self.weights is None else mask[self.weights > 0]
        return np.logical_or.reduce(counted, axis=0)

    def table(self, X: Any, dtype: torch.dtype) -> TaskTable:
        """With rows X, and targets in a dtype."""
        values, weights = self.values, self.weights
        Y: Tensor | ObservedTargets
        if isinstance(values, ObservedTargets):
            Y = replace(values, value=values.value.to(dtype))
        else:
            Y = torch.from_numpy(values).to(dtype)
        of_rows = None if weights is None else to_tensor(weights)
        return TaskTable(X, Y, of_rows, self.losses, self.task_of_output)

    def arrays(self) -> dict[str, NDArray[Any] | None]:
        """All that makes them up, by name."""
        names = [loss.name for loss in self.losses or ()]
        losses: dict[str, NDArray[Any] | None] = {"losses": np.array(names)}
        if isinstance(self.values, ObservedTargets):
            Y = self.values
            parts = {"Y": Y.value, "sample_weight": Y.weight, "rows of Y": Y.row}
            arrays = {name: part.numpy() for name, part in {**parts, "tasks": Y.start}.items()}
            return losses | arrays
        return losses | {"Y": self.values, "sample_weight": self.weights}


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
    weights = _check_weights(sample_weight, observed, column_names(Y))
    targets = Targets(*_values(observed, weights), observed.tasks, observed.layout)
    return check_label_counts(targets) if required else targets


def _values(
    observed: Observations, weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64] | ObservedTargets, NDArray[np.float64] | None]:
    """Values and weights as `Targets` has them."""
    Y = observed.Y
    if not isinstance(Y, Rows):
        if observed.layout != "long" or len(observed.tasks) > 1:
            return _of_sparse(Y, weights), None
        table = np.full(Y.shape, np.nan)
        table[np.flatnonzero(np.diff(observed.before)), 0] = Y.data
    else:
        table = np.array(Y[:], dtype=np.float64)
    counted = ~np.isnan(table)
    if weights is not None:
        counted &= weights.reshape(len(table), -1) > 0
    of_rows = weights is None or weights.ndim == 1
    if of_rows and table.shape[1] > 1 and not np.isnan(table).any():
        return np.where(counted, table, 0.0), weights
    each = np.where(counted, 1.0 if weights is None else weights.reshape(len(table), -1), 0.0)
    values = np.where(counted, table, 0.0)
    if table.shape[1] == 1:
        return values, None if (each == 1).all() else each[:, 0]
    return ObservedTargets.of_table(torch.from_numpy(values), torch.from_numpy(each)), None


def _check_weights(
    sample_weight: ArrayLike | None, observed: Observations, names: list[Any] | None
) -> NDArray[np.float64] | None:
    """Weights of rows, or of labels in the order of the tasks; None for all ones."""
    if sample_weight is None:
        return None
    n_samples, n_tasks = observed.Y.shape
    weights: NDArray[np.float64] = check_numbers(
        sample_weight, "sample_weight", dtype=np.float64, ensure_2d=False, copy=True
    )
    shape = {"flat": (n_samples,), "long": (n_samples,)}.get(observed.layout, (n_samples, n_tasks))
    if weights.shape not in ((n_samples,), shape):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},) or that of Y, {shape}; got "
            f"sample_weight.shape == {weights.shape}."
        )
    if (weights < 0).any() or not (weights > 0).any():
        raise ValueError(
            "sample_weight must be nonnegative with at least one weight that is not zero."
        )
    if weights.ndim == 2:
        own = column_names(sample_weight)
        if own is not None and names is not None:
            weights = weights[:, match_names(own, observed.tasks.tolist(), "sample_weight")]
        elif observed.order is not None:
            weights = weights[:, observed.order]
        weights = weights[:, 0] if n_tasks == 1 else weights
    return None if (weights == 1).all() else weights


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
    """The same targets; raise for tasks without labels that count."""
    require_labels(targets.any(np.ones(targets.array.shape, dtype=bool)), targets.tasks)
    return targets


def check_range(targets: Targets, dtype: np.dtype[Any]) -> None:
    """Raise where predictions in a dtype could not be what the targets are."""
    advice = "Divide Y by a constant, or pass X as float64, for predictions of that dtype."
    cast_finite(targets.array, dtype, "Y", advice)


def observed_r2(Y: ObservedTargets, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """R^2 of each task on its labels, as `metrics.nan_r2_score` defines it."""
    error = Y.value - torch.from_numpy(predicted)
    deviation = Y.value - Y.mean(Y.value)[Y.task]
    left, whole = Y.total(Y.weight * error**2), Y.total(Y.weight * deviation**2)
    share = 1 - left / torch.where(whole > 0, whole, 1.0)
    score = torch.where(whole > 0, share, (left == 0).double())
    return torch.where(Y.count >= 2, score, torch.nan).numpy()
