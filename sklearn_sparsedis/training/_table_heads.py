"""Heads of all tasks of a table on its components, those with missing labels a pack at a time."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.losses import Loss, SquaredError
from sklearn_sparsedis.losses._groups import kinds_of
from sklearn_sparsedis.nn._head_parts import (
    Heads,
    head_statistics,
    merge_heads,
    refit_on_supports,
    weights_by_task,
)
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = ["judge_heads", "refit_heads", "settle_losses", "solve_heads"]

# numbers in the Gram matrices that are held at a time: 128 MB
HELD = 2**24
# rows of a task from which parameters of its loss are taken
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
    if isinstance(table.Y, ObservedTargets):
        if problem.common is not False:
            corr = (stats := head_statistics(Z, table.Y)).corr
            total = table.Y.total(table.Y.weight)
            n_labels, share = table.Y.n_labels, total / total.sum()
            return problem.solve_deviations(stats, n_labels.to(corr), share.to(corr), coef_init)
        if table.task_of_output is None:
            return _solve_observed(problem, Z, table, table.Y, coef_init, intercept_init)
    return problem.solve(
        Z,
        *table.Y.dense(Z.device),
        coef_init,
        intercept_init=intercept_init,
        losses=table.losses,
        task_of_output=table.task_of_output,
    )


def _solve_observed(
    problem: HeadProblem,
    Z: Tensor,
    table: TaskTable,
    Y: ObservedTargets,
    coef_init: Tensor | None,
    intercept_init: Tensor | None,
) -> Heads:
    """Heads from statistics where these suffice for the loss, of other tasks from their rows."""
    of_rows = table.which(lambda loss: not loss.from_statistics)
    heads, order = [], []
    for tasks in (~of_rows).nonzero()[:, 0].split(max(1, HELD // Z.shape[1] ** 2)):
        if len(tasks):
            stats = head_statistics(Z, Y.of_tasks(tasks))
            start = None if coef_init is None else coef_init[tasks]
            heads.append(problem.part(tasks).solve_statistics(stats, start))
            order.append(tasks)
    others = of_rows.nonzero()[:, 0]
    for own, rows, values, weights in Y.of_tasks(others).blocks(Z) if len(others) else ():
        tasks = others[own]
        solved = problem.part(tasks).solve(
            rows,
            values,
            weights,
            None if coef_init is None else coef_init[tasks],
            intercept_init=None if intercept_init is None else intercept_init[tasks],
            losses=_losses(table, tasks),
        )
        heads.append(solved)
        order.append(tasks)
    return merge_heads(heads, torch.cat(order).argsort().to(Z.device))


def refit_heads(heads: Heads, Z: Tensor, table: TaskTable) -> Heads:
    """Heads whose tasks with squared errors are fitted again by least squares on their supports.

    For targets without noise, such as stacked predictions: what a penalty takes from the
    coefficients that it keeps is no protection there, but an error (the relaxed Lasso [1]_).

    References
    ----------
    .. [1] Meinshausen, "Relaxed Lasso", Computational Statistics & Data Analysis, 2007.
    """
    refitted = refit_on_supports(heads, head_statistics(Z, table.Y))
    squared = table.which(lambda loss: isinstance(loss, SquaredError))
    return replace(
        heads,
        coef=torch.where(squared[:, None], refitted.coef, heads.coef),
        intercept=torch.where(squared, refitted.intercept, heads.intercept),
    )


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
            columns = torch.tensor(tasks)
            for own, rows, Y, weights in table.Y.of_tasks(columns).blocks(Z):
                some = slice(None, None, -(-len(Y) // SETTLED_ROWS))
                weight = weights_by_task(None if weights is None else weights[some])
                settled = kind().settle(rows[..., some, :].double(), Y[some].T.double(), weight)
                found |= dict(zip(columns[own].tolist(), settled, strict=True))
    return table._replace(losses=tuple(found.values()) or None)


def judge_heads(problem: HeadProblem, heads: Heads, Z: Tensor, table: TaskTable) -> Tensor:
    """Losses of heads on the components of a table's rows, as `HeadProblem.judge` gives them."""
    losses = heads.loss.new_zeros(len(heads.loss))
    for tasks, rows, Y, weights in table.Y.blocks(Z):
        some = merge_heads([heads], tasks.to(Z.device))
        losses[tasks] = problem.judge(some, rows, Y, weights, losses=_losses(table, tasks))
    return losses


def _losses(table: TaskTable, tasks: Tensor) -> tuple[Loss, ...] | None:
    return table.losses and tuple(table.losses[t] for t in tasks.tolist())
