"""Labels that are kept from training, and the loss on them."""

from collections.abc import Callable

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._objective import BilevelObjective

__all__ = ["evaluation", "hold_out"]

# labels that each task keeps: a head from one is a constant
KEPT_LABELS = 2
# rows, or labels of tasks with rows of their own, on which heads are fitted and judged in each
# evaluation: their errors are far below those of the encoder, and the cost does not grow with the
# table
MAX_ROWS = 5000
MAX_LABELS = 50_000
# tasks that are judged even if they have more labels
MIN_TASKS = 16


def hold_out(table: TaskTable, fraction: float, seed: int) -> tuple[TaskTable, TaskTable] | None:
    """The table without some labels, and these; None where no task can spare one.

    Of a share of the labelled rows, drawn at random, each task gives the labels that it can spare,
    and a task that has none there gives one from another row. A task keeps two labels, and of
    labels 0 and 1 one of each kind. A task whose labels are all equal keeps all of them, because
    every encoder predicts it.

    Parameters
    ----------
    table : TaskTable
        On the CPU.
    fraction : float
        Share of the labelled rows.
    seed : int
        Of the draw.
    """
    order = torch.randperm(len(table.X), generator=torch.Generator().manual_seed(seed))
    order = order[table.Y.labelled[order]]
    rank = torch.full((len(table.X),), len(table.X))
    rank[order] = torch.arange(len(order))
    n_drawn = max(1, round(fraction * len(order)))
    varied = _varied(table)
    if not varied.any():
        return None
    classes = table.which(lambda loss: loss.classes)
    spare = table.Y.spare_rows(order, KEPT_LABELS, classes & varied)
    if spare.any():
        held_out = spare & (rank < max(n_drawn, int(rank[spare].min()) + 1))
        return table.part(~held_out), table.part(held_out)
    # every row has the last label of a kind for some task, but no row has it for all
    return _hold_out_labels(table, table.Y.observed(), rank, n_drawn)


def _varied(table: TaskTable) -> Tensor:
    """Mark tasks whose labels are not all equal, shape (n_columns,)."""
    varied = table.Y.varied
    if table.task_of_output is None:
        return varied
    # outputs of one task have the same rows
    task = torch.tensor(table.task_of_output)
    return torch.zeros(len(task)).index_add_(0, task, varied.float())[task] > 0


def _hold_out_labels(
    table: TaskTable, Y: ObservedTargets, rank: Tensor, n_drawn: int
) -> tuple[TaskTable, TaskTable] | None:
    spare, place = _spare_labels(table, Y, rank), rank[Y.row]
    first = torch.full((Y.shape[1],), Y.n_rows)
    first.scatter_reduce_(0, Y.task[spare], place[spare], "amin")
    held_out = spare & ((place < n_drawn) | (place == first[Y.task]))
    if not held_out.any():
        return None
    judged = torch.zeros(Y.n_rows, dtype=torch.bool)
    judged[Y.row[held_out]] = True
    trained = ~judged
    trained[Y.row[~held_out]] = True
    return (
        table._replace(Y=Y.where(~held_out)).part(trained),
        table._replace(Y=Y.where(held_out)).part(judged),
    )


def _spare_labels(table: TaskTable, Y: ObservedTargets, rank: Tensor) -> Tensor:
    """Mark labels that tasks do not need, shape (n_observed,), if high ranks are needed first."""
    classes = table.which(lambda loss: loss.classes)[Y.task]
    kept = torch.where(classes, 1, KEPT_LABELS)
    # labels 0 and 1 of a task are counted apart
    group = 2 * Y.task + (classes & (Y.value > 0))
    count = torch.bincount(group)
    order = rank[Y.row].argsort()
    order = order[group[order].argsort(stable=True)]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - (count.cumsum(0) - count)[group[order]]
    return (place < count[group] - kept) & _varied(table)[Y.task]


def evaluation(
    table: TaskTable, held_out: TaskTable, seed: int
) -> Callable[[BilevelObjective], float]:
    """The loss on held-out labels, or on part of them where there are many.

    Parameters
    ----------
    table, held_out : TaskTable
        Labels on which heads are fitted, and those on which they are judged.
    seed : int
        Of the choice.
    """
    tasks = _some_tasks(table, held_out, seed)
    if tasks is not None:
        table, held_out = table.of_tasks(tasks), held_out.of_tasks(tasks)
        tasks = tasks.to(table.X.device)
    table, held_out = _some_rows(table, table, seed), _some_rows(held_out, table, seed)
    return lambda objective: objective.held_out_loss(table, held_out, tasks)


def _some_tasks(table: TaskTable, held_out: TaskTable, seed: int) -> Tensor | None:
    """As many tasks as have MAX_LABELS labels, those first that are judged; None for all."""
    Y, judged = table.Y, held_out.Y
    if table.task_of_output is not None or Y.n_row_sets == 1:
        return None
    order = torch.randperm(Y.shape[1], generator=torch.Generator().manual_seed(seed))
    order = order[(judged.count[order] == 0).to(torch.uint8).argsort(stable=True)]
    labels = Y.count[order].cumsum(0)
    n = max(int((labels <= MAX_LABELS).sum()), MIN_TASKS)
    return None if n >= len(order) else order[:n]


def _some_rows(table: TaskTable, train: TaskTable, seed: int) -> TaskTable:
    """Some rows, of a table like that of training; all of them where they have weights."""
    n = len(table.X)
    most = train.Y.most_rows(n, MAX_ROWS, MAX_LABELS)
    if n <= most:
        return table
    index = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:most]
    return table.rows(index.to(table.X.device))
