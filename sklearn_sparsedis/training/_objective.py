"""The outer objective: how well heads fitted on a batch predict it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._component_statistics import component_statistics, statistics_of_tasks
from sklearn_sparsedis.nn._head_parts import Heads, HeadTargets
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.tasks._file_rows import FileRows
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskBatch, TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._table_heads import judge_heads, solve_heads

__all__ = ["BilevelObjective"]

# tasks that are dealt out to ranks, and whether their heads need the rows: heads of statistics cost
# less than the messages of a deal as long as they are fewer
MIN_DEALT = {False: 1000, True: 1}


class BilevelObjective(nn.Module):
    """theta -> mean over tasks of the outer loss of the heads that the inner problem gives.

    Parameters
    ----------
    encoder : Encoder
        Trained in place.
    problem : HeadProblem
        Inner problem of every task.
    n_tasks, n_components : int
        Sizes of the heads.
    task_weight : Tensor of shape (n_tasks,), optional
        Weights of the tasks' losses, which bring losses of different kinds to one scale.
    """

    # share of the steps in which the heads' alpha follows the schedule of their penalty
    annealed_share = 0.8

    coef: Tensor
    intercept: Tensor
    task_weight: Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        problem: HeadProblem,
        n_tasks: int,
        n_components: int,
        task_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.problem = problem
        self.training_problem = problem
        self.ranks = Ranks.joined()
        self._whole: tuple[Tensor, HeadTargets | None] | None = None
        self._stepped = False
        # heads of the last step that saw each task: where the next solve starts
        coef = torch.zeros(n_tasks, n_components, dtype=torch.float64)
        self.register_buffer("coef", coef, persistent=False)
        self.register_buffer("intercept", coef.new_zeros(n_tasks), persistent=False)
        self.register_buffer("task_weight", task_weight, persistent=False)

    @property
    def convex(self) -> bool:
        """Whether the penalty of the heads is convex."""
        return self.problem.penalty.convex

    def anneal(self, progress: float) -> None:
        """Set the penalty of the heads for a share `progress` of all steps done (`Penalty.at`)."""
        if progress >= self.annealed_share:
            self.training_problem = self.problem
            return
        penalty, floor = self.problem.penalty.at(progress / self.annealed_share)
        self.training_problem = replace(self.problem, penalty=penalty, floor=floor)

    def forward(self, batch: TaskBatch) -> Tensor:
        """This rank's share of the mean loss over the tasks of a batch.

        Each rank encodes its part of the rows. Their statistics are all that least squares needs of
        them; where heads or losses need the rows, these are joined. Of many tasks each rank solves
        some, of few all.
        """
        raw = self.encoder.raw(batch.X)
        rows = _need_rows(batch)
        dealt = self._are_dealt(batch, MIN_DEALT[rows])
        own = self._own(batch) if dealt else batch
        if rows:
            raw = self.ranks.join(raw, batch.n_rows, alike=not dealt)
            heads, losses = self._solve(self.encoder.normalise(raw, batch.row_weights), own)
        else:
            heads = self.training_problem.solve(
                raw,
                self._targets(batch),
                batch.weights,
                self.coef.index_select(0, own.tasks),
                task_of_output=batch.task_of_output,
                statistics=partial(self._statistics, dealt=dealt),
            )
            losses = heads.loss
        self._remember(batch, heads)
        loss = self._weighted(losses, own.tasks).sum() / len(batch.tasks)
        return loss if dealt else loss / self.ranks.size

    def _are_dealt(self, batch: TaskBatch, least: int) -> bool:
        """Whether each rank solves some of the tasks: if each is by itself, and it pays."""
        apart = batch.task_of_output is None and self.problem.common is False
        return apart and self.ranks.size > 1 and len(batch.tasks) >= max(least, self.ranks.size)

    def _own(self, batch: TaskBatch) -> TaskBatch:
        """This rank's tasks of a batch."""
        part, weights, losses = self.ranks.every(), batch.weights, batch.losses
        return batch._replace(
            Y=batch.Y[:, part],
            weights=weights[:, part] if weights is not None and weights.ndim == 2 else weights,
            tasks=batch.tasks[part],
            losses=None if losses is None else losses[part],
            rows=None if batch.rows is None else batch.rows[:, part],
        )

    def _targets(self, batch: TaskBatch) -> Tensor | HeadTargets:
        """Targets of a batch; centred once where one batch after the other is the whole table."""
        if batch.weights is not None:
            return batch.Y
        if self._whole is None or self._whole[0] is not batch.Y:
            self._whole = batch.Y, None
            return batch.Y
        centred = self._whole[1] or self.problem.centre(batch.Y)
        self._whole = batch.Y, centred
        return centred

    def _statistics(self, *args: Any, dealt: bool = False, **options: Any) -> GramStatistics:
        """Statistics of components on the rows of all ranks; of dealt tasks this rank's."""
        ranks = self.ranks
        if ranks.size > 1:
            total = partial(ranks.total, alike=not dealt)
            # from one step to the next the mean of the outputs hardly moves
            options |= {"part": ranks.part, "total": total, "near": self._stepped}
            self._stepped = True
        stats = component_statistics(self.encoder, *args, **options)
        return statistics_of_tasks(stats, ranks.every()) if dealt else stats

    def _solve(self, Z: Tensor, batch: TaskBatch) -> tuple[Heads, Tensor]:
        """Heads fitted on the support rows of a batch, and their losses on the others."""
        k, weights = batch.n_support, batch.weights
        if batch.rows is None:
            support, query = Z[:k], Z[k:]
        else:
            support, query = rows_of_tasks(Z, batch.rows[:k]), rows_of_tasks(Z, batch.rows[k:])
        heads = self.training_problem.solve(
            support,
            batch.Y[:k],
            None if weights is None else weights[:k],
            self.coef.index_select(0, batch.tasks),
            intercept_init=self.intercept.index_select(0, batch.tasks),
            losses=batch.losses,
            task_of_output=batch.task_of_output,
        )
        if k == len(batch.Y):
            return heads, heads.loss
        query_weights = None if weights is None else weights[k:]
        losses = self.training_problem.judge(
            heads, query, batch.Y[k:], query_weights, losses=batch.losses
        )
        return heads, losses

    def _remember(self, batch: TaskBatch, heads: Heads) -> None:
        """Keep the heads of a batch's tasks, from all ranks."""
        coef, intercept = heads.coef.detach(), heads.intercept.detach()
        if len(coef) < len(batch.tasks):
            both = coef.new_zeros(len(batch.tasks), coef.shape[1] + 1)
            both[self.ranks.every()] = torch.cat([coef, intercept[:, None]], 1)
            both = self.ranks.total(both)
            coef, intercept = both[:, :-1], both[:, -1]
        self.coef.index_copy_(0, batch.tasks, coef)
        self.intercept.index_copy_(0, batch.tasks, intercept)

    def mean_loss(self, losses: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Mean loss of some tasks, or of all, on their common scale."""
        return self._weighted(losses, tasks).mean()

    def _weighted(self, losses: Tensor, tasks: Tensor | None) -> Tensor:
        if self.task_weight is None:
            return losses
        weight = self.task_weight if tasks is None else self.task_weight.index_select(0, tasks)
        return weight * losses

    @torch.no_grad()
    def fit_heads(self, table: TaskTable, tasks: Tensor | None = None) -> Heads:
        """Heads on all rows given, after taking the output normalisation from these rows.

        Parameters
        ----------
        table : TaskTable
        tasks : Tensor of int64, optional
            Which tasks the table has; all by default.
        """
        chosen = slice(None) if tasks is None else tasks
        start = self.coef[chosen], self.intercept[chosen]
        if isinstance(table.Y, ObservedTargets) or _have_rows(table.losses):
            heads = solve_heads(self.problem, self.calibrate(table), table, *start)
        else:
            heads = self.problem.solve(
                encode(self.encoder.raw, table.X, self.ranks.part(len(table.X))),
                *table.Y.dense(table.X.device),
                start[0],
                task_of_output=table.task_of_output,
                statistics=partial(self._statistics, calibrate=True),
            )
        self.coef[chosen] = heads.coef
        self.intercept[chosen] = heads.intercept
        return heads

    @torch.no_grad()
    def calibrate(self, table: TaskTable) -> Tensor:
        """Take the output normalisation from these rows; their components."""
        raw = self._encode(self.encoder.raw, table.X)
        self.encoder.calibrate(raw, table.row_weights)
        return (raw - self.encoder.mean) / self.encoder.std

    @torch.no_grad()
    def held_out_loss(
        self, train: TaskTable, held_out: TaskTable, tasks: Tensor | None = None
    ) -> float:
        """Mean loss of the tasks with held-out labels, in units of that of the constant.

        Parameters
        ----------
        train, held_out : TaskTable
        tasks : Tensor of int64, optional
            Which tasks they have; all by default.
        """
        training = self.training
        self.eval()
        heads = self.fit_heads(train, tasks)
        losses = judge_heads(self.problem, heads, self._encode(self.encoder, held_out.X), held_out)
        self.train(training)
        losses = self._weighted(losses, tasks)
        judged = (held_out.Y.count > 0).to(losses.device)
        return 2 * float(losses[judged].mean())

    def _encode(self, network: Callable[[Tensor], Tensor], X: Tensor | FileRows) -> Tensor:
        """As `encode`, by all ranks together."""
        n = len(X)
        return self.ranks.join(encode(network, X, self.ranks.part(n)), n)


def rows_of_tasks(Z: Tensor, rows: Tensor) -> Tensor:
    """Rows (T, k, m) of tasks that each have their own, from positions (k, T)."""
    index = rows.T
    # the gradient of selected rows costs less than that of an index
    return Z.index_select(0, index.reshape(-1)).unflatten(0, index.shape)


def _have_rows(losses: tuple[Loss, ...] | None) -> bool:
    """Whether the heads of a loss need the rows."""
    return not all(loss.from_statistics for loss in losses or ())


def _need_rows(batch: TaskBatch) -> bool:
    """Whether heads or losses need the rows of all ranks, and not only their statistics."""
    apart = batch.weights is not None and batch.weights.ndim == 2
    if batch.n_support < len(batch.Y) or _have_rows(batch.losses):
        return True
    return batch.rows is not None or (apart and batch.task_of_output is not None)
