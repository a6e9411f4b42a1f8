"""Columns of Y that are outputs of one task, and what follows from that."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis.inputs._targets import Targets, check_label_counts
from sklearn_sparsedis.losses._groups import tasks_where

__all__ = ["common_scale", "join_supports", "number_tasks", "share_supports"]


def number_tasks(targets: Targets, task_of_output: Any) -> NDArray[np.int64] | None:
    """Task of each column as a number, in the order of their first columns.

    None where every column is a task.
    """
    if task_of_output is None:
        return None
    numbers = _numbers(task_of_output, targets)
    return None if np.bincount(numbers).max() == 1 else numbers


def share_supports(targets: Targets, numbers: NDArray[np.int64]) -> Targets:
    """Targets, with their losses, whose columns of one number share a support."""
    shared = np.bincount(numbers)[numbers] > 1
    of_rows = tasks_where(targets.losses, len(shared), lambda loss: not loss.from_statistics)
    wrong = np.flatnonzero(shared & of_rows)
    if targets.losses is not None and len(wrong):
        name, output = targets.losses[wrong[0]].name, targets.tasks[wrong[0]]
        raise ValueError(
            f"The loss {name!r}, which output {output} has, is not available "
            "in a task with several outputs: give it the loss 'squared_error', or a task of its "
            "own in task_of_output."
        )
    values = targets.values.of_complete_rows(numbers, targets.tasks)
    targets = check_label_counts(replace(targets, values=values))
    return replace(targets, task_of_output=tuple(numbers.tolist()))


def _numbers(given: Any, targets: Targets) -> NDArray[np.int64]:
    """Task of each column as a number, in the order of their first columns."""
    n_outputs = targets.shape[1]
    if targets.layout == "long":
        raise ValueError(
            "task_of_output names the tasks of columns of Y, but task_id already names those of "
            "rows. With task_id, leave task_of_output None."
        )
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        raise TypeError(
            f"task_of_output must be a sequence of one name a column of Y, or None, got {given!r}."
        )
    names = np.asarray(given).tolist() if isinstance(given, np.ndarray) else list(given)
    if len(names) != n_outputs:
        raise ValueError(
            f"task_of_output must name the task of each of {n_outputs} columns of Y, got "
            f"{len(names)} names. In adapt, pass those of the new columns."
        )
    numbers: dict[Hashable, int] = {}
    for name in names:
        if not isinstance(name, Hashable) or name is None or name != name:
            raise ValueError(f"task_of_output must have integers or strings, got {name!r}.")
        numbers.setdefault(name, len(numbers))
    return np.array([numbers[name] for name in names], dtype=np.int64)


def common_scale(scale: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Unit of a task's penalty, the root mean square of its outputs' scales; one a column.

    Outputs that do not vary, whose standardised targets are zero, do not count.
    """
    if targets.task_of_output is None:
        return scale
    numbers = np.array(targets.task_of_output)
    counted = targets.any(targets.array != 0)
    squares = np.bincount(numbers, counted * scale**2)
    counts = np.bincount(numbers, counted.astype(float))
    common = np.sqrt(squares / np.maximum(counts, 1))[numbers]
    alone = (np.bincount(numbers) == 1)[numbers]
    return np.where(alone | (common == 0), scale, common)


def join_supports(support: NDArray[np.bool_], targets: Targets) -> NDArray[np.bool_]:
    """Components that a task uses, for each of its outputs, also those that do not vary."""
    if targets.task_of_output is None:
        return support
    numbers = np.array(targets.task_of_output)
    used = np.zeros((numbers.max() + 1, support.shape[1]), dtype=bool)
    np.logical_or.at(used, numbers, support)
    return used[numbers]
