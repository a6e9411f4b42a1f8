"""Names of tasks, one for each row of the long layout."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_sparsedis.inputs._arrays import readable

__all__ = ["check_sortable", "check_task_id", "find_tasks"]


def check_task_id(task_id: ArrayLike, n_samples: int) -> NDArray[Any]:
    """Task of each row as an array of shape (n,) of integers or strings."""
    ids = np.asarray(readable(task_id, "task_id"))
    if ids.shape != (n_samples,):
        raise ValueError(
            f"task_id must name a task for each of {n_samples} rows, in an array of shape "
            f"({n_samples},), got shape {ids.shape}."
        )
    if ids.dtype.kind in "OT":
        return _check_names(ids.tolist())
    if ids.dtype.kind == "f" and np.isnan(ids).any():
        raise ValueError("task_id contains NaN: drop those rows or give them a task.")
    if ids.dtype.kind not in "iuU":
        advice = "str" if ids.dtype.kind in "SmM" else "int"
        raise TypeError(
            f"task_id must hold integers or strings, got an array of {ids.dtype}: convert it, for "
            f"instance by numpy.asarray(task_id).astype({advice})."
        )
    return ids


def _check_names(values: list[Any]) -> NDArray[Any]:
    """All integers or all strings."""
    kinds = set(map(type, values))
    if any(_is_missing(value) for value in values if not isinstance(value, str | int)):
        raise ValueError("task_id contains NaN: drop those rows or give them a task.")
    if all(issubclass(kind, str) for kind in kinds):
        return np.array(values, dtype=object)
    if all(issubclass(kind, Integral) and not issubclass(kind, bool) for kind in kinds):
        return np.array(values)
    raise TypeError(
        "task_id must have values of one kind, all integers or all strings, got "
        f"{', '.join(sorted(kind.__name__ for kind in kinds))}."
    )


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # the missing value of pandas is neither equal nor unequal
        return True


def check_sortable(name: str, values: NDArray[Any]) -> None:
    """Raise unless the values of an array of objects can be put in order."""
    if values.dtype != object:
        return
    try:
        np.sort(values)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in values.tolist()})
        raise TypeError(
            f"{name} must have values of one kind, all integers or all strings, got "
            f"{', '.join(kinds)}."
        ) from error


def find_tasks(task_id: ArrayLike, tasks: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Column of each row's task among the tasks of a fitted model."""
    ids = check_task_id(task_id, n_samples)
    columns = {task: column for column, task in enumerate(tasks.tolist())}
    unknown = sorted({str(i) for i in ids.tolist() if i not in columns})
    if unknown:
        raise ValueError(
            f"task_id has tasks that were not seen in fit: {', '.join(unknown[:5])}"
            f"{', ...' if len(unknown) > 5 else ''}. Use adapt for new tasks."
        )
    return np.array([columns[i] for i in ids.tolist()], dtype=np.int64)
