"""Heads of all tasks of a table on its components, those with missing labels a pack at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import kinds_of
from sklearn_sparsedis.nn._head_parts import Heads, merge_heads
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.nn._observed_rows import observed_gram, packs_of_rows
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = ["judge_heads", "settle_losses", "solve_heads"]

# numbers in the Gram matrices that are held at a time: 128 MB
HELD = 2**24
# rows from which parameters of losses are taken
SETTLED_ROWS = 5000


def solve_heads(
    problem: HeadProblem,
    Z: Tensor,
    table: TaskTable,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> Heads:
    """Heads on the components Z (n, m) of a table's rows.

    Parameters
    ----------
    problem : HeadProblem
    Z : Tensor of shape (n, m)
    table : TaskTable
    coef_init, intercept_init : Tensor, optional
        As in `HeadProblem.solve`.

    Notes
    -----
    Packs of tasks with nearly as many labels bound the memory beside Z and the heads by some tens
    of megabytes, and a table of the Gram matrices of all tasks with a common head.
    """
    Y, weights = table.Y, table.weights
    if isinstance(Y, ObservedTargets):
        if problem.common is not False:
            corr = (stats := observed_gram(Z, Y)).corr
            total = Y.total(Y.weight)
            n_labels, share = total.maximum(Y.count), total / total.sum()
            return problem.solve_deviations(stats, n_labels.to(corr), share.to(corr), coef_init)
        if table.task_of_output is None:
            return _solve_observed(problem, Z, table, coef_init, intercept_init)
        Y, weights = (x.to(Z.device) for x in Y.dense())
    return problem.solve(
        Z,
        Y,
        weights,
        coef_init,
        intercept_init=intercept_init,
        losses=table.losses,
        task_of_output=table.task_of_output,
    )


def _solve_observed(
    problem: HeadProblem,
    Z: Tensor,
    table: TaskTable,
    coef_init: Tensor | None,
    intercept_init: Tensor | None,
) -> Heads:
    """Heads from statistics where these suffice for the loss, of other tasks from their rows."""
    Y = table.Y
    assert isinstance(Y, ObservedTargets)  # for mypy
    of_rows = table.which(lambda loss: not loss.from_statistics)
    heads, order = [], []
    for tasks in (~of_rows).nonzero()[:, 0].split(max(1, HELD // Z.shape[1] ** 2)):
        if len(tasks):
            stats = observed_gram(Z, Y.of_tasks(tasks))
            start = None if coef_init is None else coef_init[tasks]
            heads.append(problem.part(tasks).solve_statistics(stats, start))
            order.append(tasks)
    left = of_rows.nonzero()[:, 0]
    for pack in packs_of_rows(Y.of_tasks(left), Z) if len(left) else ():
        tasks = left[pack.tasks]
        solved = problem.part(tasks).solve(
            Z[pack.row],
            pack.value.T,
            pack.weight.T,
            None if coef_init is None else coef_init[tasks],
            intercept_init=None if intercept_init is None else intercept_init[tasks],
            losses=_losses(table, tasks),
        )
        heads.append(solved)
        order.append(tasks)
    return merge_heads(heads, torch.cat(order).argsort().to(Z.device))


def settle_losses(Z: Tensor, table: TaskTable) -> TaskTable:
    """The table with losses whose parameters come from its targets.

    Parameters
    ----------
    Z : Tensor of shape (n, m)
        What predicts the targets, such as components of the rows.
    table : TaskTable
        With standard targets.
    """
    found = dict(enumerate(table.losses or ()))
    for kind, tasks in kinds_of(table.losses or ()).items():
        if not all(found[task].settled for task in tasks):
            for own, rows, y, weight in _task_rows(Z, table, torch.tensor(tasks)):
                settled = kind().settle(rows.double(), y.double(), weight)
                found |= dict(zip(own.tolist(), settled, strict=True))
    return table._replace(losses=tuple(found.values()) or None)


def _task_rows(
    Z: Tensor, table: TaskTable, tasks: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Some tasks with their rows, targets (T, n) and weights; not all rows of a large table."""
    if isinstance(table.Y, ObservedTargets):
        for pack in packs_of_rows(table.Y.of_tasks(tasks), Z):
            yield tasks[pack.tasks], Z[pack.row], pack.value, pack.weight
        return
    some = slice(None, None, -(-len(Z) // SETTLED_ROWS))
    weights = None if table.weights is None else table.weights[some]
    yield tasks, Z[some], table.Y[some][:, tasks].T, weights


def judge_heads(problem: HeadProblem, heads: Heads, Z: Tensor, table: TaskTable) -> Tensor:
    """Losses of heads on the components of a table's rows, as `HeadProblem.judge` gives them."""
    if not isinstance(table.Y, ObservedTargets):
        return problem.judge(heads, Z, table.Y, table.weights, losses=table.losses)
    losses = heads.loss.new_zeros(len(heads.loss))
    for pack in packs_of_rows(table.Y, Z):
        some = merge_heads([heads], pack.tasks)
        losses[pack.tasks] = problem.judge(
            some, Z[pack.row], pack.value.T, pack.weight.T, losses=_losses(table, pack.tasks)
        )
    return losses


def _losses(table: TaskTable, tasks: Tensor) -> tuple[Loss, ...] | None:
    return table.losses and tuple(table.losses[t] for t in tasks.tolist())
