"""Targets of all tasks in the layouts that callers give them in, and what fits make of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, issparse
from torch import Tensor

from sklearn_sparsedis._arrays import check_numbers
from sklearn_sparsedis._observations import check_sparse_targets
from sklearn_sparsedis._validation import cast_finite, check_task_id, find_tasks, to_tensor
from sklearn_sparsedis.tasks import ObservedTargets, TaskTable

__all__ = [
    "Targets",
    "check_label_counts",
    "check_observed",
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
    binary : None or tuple of bool, one a task
        Which tasks have labels 0 and 1 with a logistic loss; None stands for none.
    task_of_output : None or tuple of int, one a column
        Which columns are outputs of one task and share their support; above, a task is a column.
        These have the same weights.
    """

    values: NDArray[np.float64] | ObservedTargets
    weights: NDArray[np.float64] | None
    tasks: NDArray[Any]
    layout: str
    binary: tuple[bool, ...] | None = None
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
        return TaskTable(X, Y, of_rows, self.binary, self.task_of_output)

    def arrays(self) -> dict[str, NDArray[Any] | None]:
        """All that makes them up, by name."""
        if isinstance(self.values, ObservedTargets):
            Y = self.values
            parts = {"Y": Y.value, "sample_weight": Y.weight, "rows of Y": Y.row}
            return {name: part.numpy() for name, part in {**parts, "tasks": Y.start}.items()}
        return {"Y": self.values, "sample_weight": self.weights}


def check_targets(
    Y: Any,
    n_samples: int,
    *,
    task_id: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    caller: str,
) -> Targets:
    """Targets in the wide (dense or sparse) or the long layout.

    Parameters
    ----------
    Y : array-like of shape (n,) or (n, n_tasks), or sparse of shape (n, n_tasks)
        NaN where a task was not observed on a row; no entry in a sparse Y.
    n_samples : int
        Rows of X.
    task_id : array-like of shape (n,), optional
        Task of each row, in the long layout.
    sample_weight : array-like of shape (n,) or (n, n_tasks), optional
        Weights of rows or of labels.
    caller : str
        Name of the estimator, for messages.
    """
    if Y is None:
        raise ValueError(f"{caller} requires y to be passed, but the target y is None.")
    if issparse(Y) or task_id is not None:
        observed, tasks = check_observed(Y, n_samples, task_id, sample_weight)
        if len(tasks) > 1 or task_id is None:
            targets = Targets(observed, None, tasks, "wide" if task_id is None else "long")
            return check_label_counts(targets)
    names = getattr(Y, "columns", None)
    table = _check_table(Y, n_samples)
    weights = _check_weights(sample_weight, n_samples, table.shape)
    layout = "flat" if table.ndim == 1 else "wide"
    table = table.reshape(n_samples, -1)
    if task_id is not None:
        layout = "long"
    else:
        tasks = np.arange(table.shape[1]) if names is None else np.asarray(names, dtype=object)
    missing = np.isnan(table)
    if table.shape[1] == 1 and missing.any():
        weights = np.where(missing[:, 0], 0.0, 1.0 if weights is None else weights)
        table = np.nan_to_num(table)
    if missing.any() and table.shape[1] > 1 or (weights is not None and weights.ndim == 2):
        full = np.where(missing, 0.0, 1.0 if weights is None else weights.reshape(n_samples, -1))
        given = ObservedTargets.of_table(torch.from_numpy(table), torch.from_numpy(full))
        return check_label_counts(Targets(given, None, tasks, layout))
    return check_label_counts(Targets(table, weights, tasks, layout))


def check_observed(
    Y: Any,
    n_samples: int,
    task_id: ArrayLike | None,
    sample_weight: ArrayLike | None,
    tasks: NDArray[Any] | None = None,
) -> tuple[ObservedTargets, NDArray[Any]]:
    """What a sparse Y, or a Y in the long layout, observes; and the names of the tasks.

    Parameters
    ----------
    Y, n_samples, task_id, sample_weight
        As in `check_targets`.
    tasks : ndarray, optional
        Names of the tasks that there are; those that have rows by default.
    """
    if task_id is None:
        table = csc_array(check_sparse_targets(Y, n_samples))
        weights = _check_weights(sample_weight, n_samples, table.shape)
        task = np.repeat(np.arange(table.shape[1]), np.diff(table.indptr))
        if tasks is not None and len(tasks) != table.shape[1]:
            raise ValueError(
                f"A sparse Y must have a column for each of the {len(tasks)} tasks that were seen "
                f"in fit, got {table.shape[1]}."
            )
        row, value, shape = table.indices, table.data, table.shape
        return _observed(row, task, value, shape, weights), np.arange(table.shape[1])
    if issparse(Y):
        raise ValueError(
            "Y is sparse and task_id is given: a sparse Y says by its columns which task a value "
            "belongs to. Leave out task_id, or give y of shape (n_samples,)."
        )
    y = _check_table(Y, n_samples)
    weights = _check_weights(sample_weight, n_samples, y.shape)
    if y.ndim != 1:
        raise ValueError(
            f"Y must have shape (n_samples,) when task_id is given, got {y.shape}: each row "
            "belongs to one task."
        )
    if tasks is None:
        tasks, task = np.unique(check_task_id(task_id, n_samples), return_inverse=True)
    else:
        task = find_tasks(task_id, tasks, n_samples)
    row = np.argsort(task, kind="stable")
    row = row[~np.isnan(y[row])]
    return _observed(row, task[row], y[row], (n_samples, len(tasks)), weights), tasks


def _check_table(Y: Any, n_samples: int) -> NDArray[np.float64]:
    """Targets in float64, of shape (n,) or (n, n_tasks), with NaN where they are missing."""
    values: NDArray[np.float64] = check_numbers(
        Y, "Y", missing=True, dtype=np.float64, ensure_2d=False, allow_nd=True, copy=True
    )
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] == 0):
        raise ValueError(
            f"Y must have shape (n_samples,) or (n_samples, n_tasks), got {values.shape}."
        )
    if len(values) != n_samples:
        raise ValueError(
            f"X and Y have inconsistent numbers of samples: X has {n_samples} rows, Y has "
            f"{len(values)}."
        )
    return values


def _check_weights(
    sample_weight: ArrayLike | None, n_samples: int, shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    weights: NDArray[np.float64] = check_numbers(
        sample_weight, "sample_weight", dtype=np.float64, ensure_2d=False, copy=True
    )
    if weights.shape not in ((n_samples,), shape):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},) or that of Y, {shape}; got "
            f"sample_weight.shape == {weights.shape}."
        )
    if (weights < 0).any() or not (weights > 0).any():
        raise ValueError(
            "sample_weight must be nonnegative with at least one weight that is not zero."
        )
    if weights.ndim == 2 and weights.shape[1] == 1:
        weights = weights[:, 0]
    return None if (weights == 1).all() else weights


def _observed(
    row: NDArray[Any],
    task: NDArray[Any],
    value: NDArray[Any],
    shape: tuple[int, ...],
    weights: NDArray[np.float64] | None,
) -> ObservedTargets:
    """Observations in the order of their tasks, but those without weight."""
    weight = np.ones(len(row))
    if weights is not None:
        weight = weights[row] if weights.ndim == 1 else weights[row, task]
        counted = weight > 0
        row, task, value, weight = (x[counted] for x in (row, task, value, weight))
    start = np.searchsorted(task, np.arange(shape[1] + 1))
    return ObservedTargets(
        torch.from_numpy(row.astype(np.int64)),
        torch.from_numpy(value.astype(np.float64)),
        torch.from_numpy(weight),
        torch.from_numpy(start),
        shape[0],
    )


def check_label_counts(targets: Targets) -> Targets:
    """The same targets; raise for tasks without labels that count."""
    empty = np.flatnonzero(~targets.any(np.ones(targets.array.shape, dtype=bool)))
    if len(empty):
        named = ", ".join(str(targets.tasks[t]) for t in empty[:5])
        raise ValueError(
            f"Y: each task needs at least one row with a label of positive weight; {len(empty)} of "
            f"{len(targets.tasks)} tasks have none: {named}. Remove these tasks or add labels."
        )
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
