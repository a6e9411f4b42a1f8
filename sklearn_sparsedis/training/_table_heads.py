"""Heads of all tasks of a table on its components, those with missing labels a pack at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sklearn_sparsedis.nn import GramStatistics, HeadProblem, Heads, head_statistics, merge_heads
from sklearn_sparsedis.tasks import ObservedTargets, Pack, TaskTable

__all__ = ["judge_heads", "observed_gram", "observed_predictions", "solve_heads"]

# numbers in the Gram matrices that are held at a time: 128 MB
HELD = 2**24
# observations that are predicted together
PREDICTED = 2**16


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
        binary=table.binary,
        task_of_output=table.task_of_output,
    )


def _solve_observed(
    problem: HeadProblem,
    Z: Tensor,
    table: TaskTable,
    coef_init: Tensor | None,
    intercept_init: Tensor | None,
) -> Heads:
    """Heads of tasks with values from their statistics, of those with labels from their rows."""
    Y = table.Y
    assert isinstance(Y, ObservedTargets)  # for mypy
    labels = torch.tensor(table.binary or (False,) * Y.shape[1])
    heads, order = [], []
    for tasks in (~labels).nonzero()[:, 0].split(max(1, HELD // Z.shape[1] ** 2)):
        if len(tasks):
            stats = observed_gram(Z, Y.of_tasks(tasks))
            start = None if coef_init is None else coef_init[tasks]
            heads.append(problem.part(tasks).solve_statistics(stats, start))
            order.append(tasks)
    labelled = labels.nonzero()[:, 0]
    for pack in _packs(Y.of_tasks(labelled), Z) if len(labelled) else ():
        tasks = labelled[pack.tasks]
        solved = problem.part(tasks).solve(
            Z[pack.row],
            pack.value.T,
            pack.weight.T,
            None if coef_init is None else coef_init[tasks],
            intercept_init=None if intercept_init is None else intercept_init[tasks],
            binary=(True,) * len(tasks),
        )
        heads.append(solved)
        order.append(tasks)
    return merge_heads(heads, torch.cat(order).argsort().to(Z.device))


def judge_heads(problem: HeadProblem, heads: Heads, Z: Tensor, table: TaskTable) -> Tensor:
    """Losses of heads on the components of a table's rows, as `HeadProblem.judge` gives them."""
    if not isinstance(table.Y, ObservedTargets):
        return problem.judge(heads, Z, table.Y, table.weights, binary=table.binary)
    losses = heads.loss.new_zeros(len(heads.loss))
    for pack in _packs(table.Y, Z):
        some = merge_heads([heads], pack.tasks)
        losses[pack.tasks] = problem.judge(
            some, Z[pack.row], pack.value.T, pack.weight.T, binary=_binary(table, pack)
        )
    return losses


def observed_gram(Z: Tensor, Y: ObservedTargets) -> GramStatistics:
    """Statistics of all tasks, each on the rows where it was observed."""
    found, order = [], []
    for pack in _packs(Y, Z):
        found.append(head_statistics(Z[pack.row], pack.value.T, pack.weight.T))
        order.append(pack.tasks)
    back = torch.cat(order).argsort()
    return GramStatistics(*(torch.cat(parts)[back] for parts in zip(*found, strict=True)))


def observed_predictions(
    Z: Tensor, row: Tensor, task: Tensor, coef: Tensor, intercept: Tensor
) -> Tensor:
    """Predictions of some tasks on some rows, one of each, shape (n_observed,)."""
    found = torch.empty(len(row), dtype=coef.dtype)
    for part in torch.arange(len(row)).split(PREDICTED):
        t = task[part]
        found[part] = (Z[row[part]] * coef[t]).sum(-1) + intercept[t]
    return found


def _packs(Y: ObservedTargets, Z: Tensor) -> Iterator[Pack]:
    """Packs of rows of Z, on its device."""
    for pack in Y.packs(max(1, Z.shape[1])):
        yield Pack(*(x.to(Z.device) for x in pack))


def _binary(table: TaskTable, pack: Pack) -> tuple[bool, ...] | None:
    return table.binary and tuple(table.binary[t] for t in pack.tasks.tolist())
