"""Observations of tasks from targets in the wide, the long and the sparse layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse

from sklearn_sparsedis._distributed import ALONE, Ranks
from sklearn_sparsedis.inputs._arrays import check_numbers, column_names, match_names
from sklearn_sparsedis.inputs._rows import Rows, check_table
from sklearn_sparsedis.inputs._task_names import check_task_id, find_tasks

_FORMATS = ("coo", "csc", "csr")


@dataclass(frozen=True)
class Observations:
    """Targets of tasks, each observed on some of the rows.

    Attributes
    ----------
    Y : Rows of shape (n, n_tasks) or csr_array of shape (n, n_tasks)
        Wide targets (NaN: not observed), or the observations alone.
    tasks : ndarray of shape (n_tasks,)
        Names of the tasks.
    before : ndarray of shape (n + 1,)
        How many observations the rows before have.
    layout : {"flat", "wide", "long"}
        How the caller gave them: one column as (n,), a column a task, or a task id a row.
    order : None or ndarray of shape (n_tasks,)
        Where each task is among the columns that the caller gave; None for their order.
    """

    Y: Rows | csr_array
    tasks: NDArray[Any]
    before: NDArray[np.int64]
    layout: str = "wide"
    order: NDArray[np.intp] | None = None

    @property
    def shared(self) -> bool:
        """Whether every task is observed on every row."""
        return isinstance(self.Y, Rows) and self.before[-1] == self.Y.shape[0] * self.Y.shape[1]

    def chunks(self, size: int, ranks: Ranks = ALONE) -> list[slice]:
        """All rows, in slices of at most `size` observations (more, if one row has more).

        Of several ranks each gets rows with its share of the observations.
        """
        part = ranks.part(int(self.before[-1]))
        first, last = np.searchsorted(self.before, (part.start, part.stop)).tolist()
        bounds = [first]
        while bounds[-1] < last:
            start = bounds[-1]
            stop = int(np.searchsorted(self.before, self.before[start] + size, side="right")) - 1
            bounds.append(min(max(stop, start + 1), last))
        return [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]

    def arrays(self) -> dict[str, Rows | NDArray[Any]]:
        """What was observed, by names."""
        if isinstance(self.Y, Rows):
            return {"Y": self.Y}
        return {"Y": self.Y.data, "tasks of Y": self.Y.indices, "rows of Y": self.before}

    def on(
        self, rows: slice, tasks: slice
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """What was observed of some tasks on some rows.

        Returns
        -------
        row, task : ndarray of shape (n_observed,)
            Positions within the slices, task after task.
        y : ndarray of shape (n_observed,)
        """
        if isinstance(self.Y, Rows):
            block = self.Y[rows][:, tasks]
            task, row = np.nonzero(~np.isnan(block.T))
            return row, task, block[row, task].astype(np.float64)
        first, last = self.before[rows.start], self.before[rows.stop]
        task = self.Y.indices[first:last].astype(np.intp)
        row = np.repeat(np.arange(rows.stop - rows.start), np.diff(self.Y.indptr[_ends(rows)]))
        y = self.Y.data[first:last]
        chosen = (task >= tasks.start) & (task < tasks.stop)
        if not chosen.all():
            row, task, y = row[chosen], task[chosen], y[chosen]
        order = np.argsort(task, kind="stable")
        return row[order], task[order] - tasks.start, y[order].astype(np.float64)


def _ends(rows: slice) -> slice:
    return slice(rows.start, rows.stop + 1)


def check_observations(
    Y: Any,
    n_samples: int,
    *,
    task_id: ArrayLike | None = None,
    tasks: NDArray[Any] | None = None,
    required: bool = True,
    caller: str,
    ranks: Ranks = ALONE,
) -> Observations:
    """Validate targets in the wide (dense or sparse) or the long layout.

    This is the one place that decides what a target is and what is missing, for all estimators and
    methods. Of dense targets each of several ranks counts its part, so that a file is read once.

    Parameters
    ----------
    Y : array-like, dataset or data frame of shape (n,) or (n, n_tasks), or sparse (n, n_tasks)
        NaN or masked where a task was not observed on a row; no entry in a sparse Y.
    n_samples : int
        Rows of X.
    task_id : array-like of shape (n,), optional
        Task of each row, in the long layout; Y is one-dimensional then.
    tasks : ndarray, optional
        Names of the tasks of a fitted model, in whose order they come out: those of a Y with names
        are matched with them.
    required : bool
        Whether each task must have a label.
    caller : str
        Name of the estimator, for messages.
    ranks : Ranks, optional
        Each of which counts a part.

    Raises
    ------
    ValueError
        If lengths or names differ, or a task has no label that is required.
    """
    if Y is None:
        raise ValueError(f"{caller} requires y to be passed, but the target y is None.")
    if task_id is not None:
        return _long(Y, task_id, n_samples, tasks, required=required)
    names, order, layout = column_names(Y), None, "wide"
    table: Rows | csr_array
    if issparse(Y):
        table = check_sparse_targets(Y, n_samples)
        counts, per_task = np.diff(table.indptr), np.bincount(table.indices, minlength=Y.shape[1])
    else:
        table, layout = check_table(Y, "Y")
        _check_length(n_samples, len(table))
        if names is not None and tasks is not None and tasks.dtype == object:
            order = match_names(names, tasks.tolist(), "Y")
            table = table.columns(order)
        counts, per_task = _count(table, ranks)
    if tasks is None:
        tasks = np.arange(table.shape[1]) if names is None else _as_objects(names)
    elif len(tasks) != table.shape[1]:
        raise ValueError(
            f"Y must have a column for each of the {len(tasks)} tasks that were seen in fit, got "
            f"{table.shape[1]}."
        )
    if required:
        require_labels(per_task, tasks)
    before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Observations(table, tasks, before, layout, order)


def check_weights(
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


def known_tasks(Y: Any, tasks: NDArray[Any]) -> NDArray[Any] | None:
    """Tasks of a fitted model, if those are the names of the columns of Y, in any order."""
    names = column_names(Y)
    same = names is not None and len(names) == len(tasks) and set(names) == set(tasks.tolist())
    return tasks if same else None


def _as_objects(names: Sequence[Any]) -> NDArray[np.object_]:
    """Names as an array with one entry each, also where they are tuples."""
    array = np.empty(len(names), dtype=object)
    for i, name in enumerate(names):
        array[i] = name
    return array


def require_labels(per_task: NDArray[Any], tasks: NDArray[Any]) -> None:
    """Raise for tasks without labels that count."""
    empty = np.flatnonzero(per_task == 0)
    if len(empty):
        named = ", ".join(str(tasks[t]) for t in empty[:5])
        raise ValueError(
            f"Y: each task needs at least one row with a label of positive weight; {len(empty)} of "
            f"{len(tasks)} tasks have none: {named}. Remove these tasks or add labels."
        )


def _check_length(n_samples: int, n_targets: int) -> None:
    if n_targets != n_samples:
        raise ValueError(
            f"X and Y have inconsistent numbers of samples: X has {n_samples} rows, Y has "
            f"{n_targets}."
        )


def _count(table: Rows, ranks: Ranks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Observations of each row and of each task."""
    n_samples, n_tasks = table.shape
    ranks.require_same({"shape of Y": table.shape})
    counts, per_task = np.zeros(n_samples), np.zeros(n_tasks)

    def count() -> None:
        for rows, block in table.chunks(part=ranks.part(n_samples)):
            observed = ~np.isnan(block)
            counts[rows] = observed.sum(axis=1)
            per_task[:] += observed.sum(axis=0)

    ranks.each(count)
    in_all = ranks.add(counts, per_task)
    return in_all[0].astype(np.int64), in_all[1].astype(np.int64)


def _long(
    Y: Any, task_id: ArrayLike, n_samples: int, tasks: NDArray[Any] | None, *, required: bool
) -> Observations:
    if issparse(Y):
        raise ValueError(
            "Y is sparse and task_id is given: a sparse Y says by its columns which task a value "
            "belongs to. Leave out task_id, or give y of shape (n_samples,)."
        )
    table, _ = check_table(Y, "Y")
    _check_length(n_samples, len(table))
    if table.shape[1] != 1:
        raise ValueError(
            f"Y must have shape (n_samples,) when task_id is given, got {table.shape}: each row "
            "belongs to one task."
        )
    if tasks is None:
        tasks, task = np.unique(check_task_id(task_id, n_samples), return_inverse=True)
    else:
        task = find_tasks(task_id, tasks, n_samples)
    y = table[:][:, 0]
    there = ~np.isnan(y)
    y, task = y[there], task[there]
    if required:
        require_labels(np.bincount(task, minlength=len(tasks)), tasks)
    before = np.concatenate([[0], np.cumsum(there, dtype=np.int64)])
    Y = csr_array((y, task, before), shape=(n_samples, len(tasks)))
    return Observations(Y, tasks, before, "long")


def check_sparse_targets(Y: Any, n_samples: int) -> csr_array:
    """Validate a sparse Y, in which an explicit entry, also of zero, is an observation.

    Parameters
    ----------
    Y : sparse array or matrix of shape (n_samples, n_tasks)
        In the CSR, CSC or COO format.
    n_samples : int
        Rows of X.

    Returns
    -------
    csr_array of shape (n_samples, n_tasks), float32 or float64
        With explicit zeros as they were given; its values may be those of Y.

    Raises
    ------
    TypeError
        If the format does not tell explicit zeros from what is missing.
    ValueError
        If the shape does not fit, an entry occurs twice or is not finite.
    """
    if Y.format not in _FORMATS:
        raise TypeError(
            f"A sparse Y must have one of the formats {', '.join(_FORMATS)}, got {Y.format}, which "
            "does not tell an observed zero from a missing value."
        )
    if Y.ndim != 2 or Y.shape[0] != n_samples:
        raise ValueError(
            f"A sparse Y must have shape (n_samples, n_tasks) with n_samples={n_samples}, the rows "
            f"of X; got {Y.shape}."
        )
    native = Y.dtype.newbyteorder("=")
    dtype = native if native in (np.float32, np.float64) else np.float64
    data = check_numbers(Y.data, "Y", dtype=dtype, ensure_2d=False, ensure_all_finite=False)
    if not np.isfinite(data).all():
        raise ValueError(
            "A sparse Y has entries that are NaN or infinite. What is missing must have no entry; "
            "scipy.sparse.csr_array of a dense Y with NaN does the opposite: build it from the "
            "observed rows, columns and values."
        )
    csr = csr_array(Y, dtype=dtype, copy=Y.format == "csr" and not Y.has_canonical_format)
    csr.sum_duplicates()
    if csr.nnz < Y.nnz:
        raise ValueError(
            f"{Y.nnz - csr.nnz} entries of a sparse Y occur more than once: give each task at most "
            "one value a row."
        )
    return csr
