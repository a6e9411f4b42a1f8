"""The outer objective: how well heads fitted on a batch predict it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_sparsedis.nn import GAMMA, Encoder, HeadProblem, Heads, HeadTargets
from sklearn_sparsedis.tasks import FileRows, TaskBatch, TaskTable
from sklearn_sparsedis.training._ranks import Ranks
from sklearn_sparsedis.training._table_heads import judge_heads, solve_heads

__all__ = ["BilevelObjective", "encode", "rows_at_once"]

# rows, and values of their features, that pass through the encoder at once outside training
CHUNK = 1024
CHUNK_VALUES = 2**21
# schedule of the heads' strength: from half of alpha_max down to where alpha takes over
START_ALPHA = 0.5
END_ALPHA = 0.01
ANNEALED = 0.8
# width of the MCP where it takes over from the Lasso
START_GAMMA = 30.0
# strength at which it does
MCP_ALPHA = 0.3


def _between(start: float, end: float, share: float) -> float:
    return start * (end / start) ** share


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
        self._whole: tuple[Tensor, TaskBatch, HeadTargets] | None = None
        # heads of the last step that saw each task: where the next solve starts
        coef = torch.zeros(n_tasks, n_components, dtype=torch.float64)
        self.register_buffer("coef", coef, persistent=False)
        self.register_buffer("intercept", coef.new_zeros(n_tasks), persistent=False)
        self.register_buffer("task_weight", task_weight, persistent=False)

    def anneal(self, progress: float) -> None:
        """Set the penalty of the heads in training for a share `progress` of all steps done.

        A weak penalty has many bases in which it is locally best; a strong one has few. So the
        penalty falls from a strong one, which finds the basis, to the one asked for. The MCP
        starts as a strong Lasso; in the second third of the schedule its width gamma falls from
        one that is all but a Lasso's, and in the last third its strength.
        """
        if progress >= ANNEALED:
            self.training_problem = self.problem
            return
        share = progress / ANNEALED
        if self.problem.penalty != "mcp":
            self.training_problem = replace(
                self.problem, floor=_between(START_ALPHA, END_ALPHA, share)
            )
            return
        third, part = divmod(3 * share, 1)
        changes: dict[str, Any]
        if third == 0:
            changes = {"penalty": "l1", "floor": _between(START_ALPHA, MCP_ALPHA, part)}
        elif third == 1:
            gamma = _between(START_GAMMA, GAMMA, part)
            changes = {"floor": MCP_ALPHA, "options": {"gamma": gamma}}
        else:
            changes = {"floor": _between(MCP_ALPHA, END_ALPHA, part)}
        self.training_problem = replace(self.problem, **changes)

    def forward(self, batch: TaskBatch) -> Tensor:
        """This rank's share of the mean loss over the tasks of a batch.

        Ranks encode a part of the rows each, and then solve the heads of a part of the tasks on all
        of them.
        """
        Z = self.encoder.normalise(self._raw(batch.X), batch.row_weights)
        own, targets = self._own(batch)
        heads, losses = self._solve(Z, own, targets)
        self._remember(batch, heads)
        tasks = own.tasks
        if self.ranks.size > 1 and len(tasks) == len(batch.tasks):  # all ranks have solved all
            losses, tasks = losses[self.ranks.every()], tasks[self.ranks.every()]
        # a rank without tasks takes part in the gradient all the same
        nothing = 0.0 * Z.sum() if self.ranks.size > 1 else 0.0
        return self._weighted(losses, tasks).sum() / len(batch.tasks) + nothing

    def _raw(self, X: Tensor) -> Tensor:
        """Raw outputs of rows, of which each rank computes its part."""
        part = X if self.ranks.size == 1 else X[self.ranks.part(len(X))]
        return self.ranks.join(self.encoder.raw(part), len(X))

    def _own(self, batch: TaskBatch) -> tuple[TaskBatch, Tensor | HeadTargets]:
        """This rank's tasks of a batch, and their targets; centred where no row is left out.

        Where every batch is the whole table, that is done once. For a common head each rank needs
        all tasks; of fewer tasks than ranks, and of tasks with several outputs, each takes all.
        """
        if self._whole is not None and self._whole[0] is batch.Y:
            return self._whole[1:]
        own = batch
        alone = batch.task_of_output is None and self.problem.common is False
        if alone and 1 < self.ranks.size <= len(batch.tasks):
            part, weights, binary = self.ranks.every(), batch.weights, batch.binary
            own = batch._replace(
                Y=batch.Y[:, part],
                weights=weights[:, part] if weights is not None and weights.ndim == 2 else weights,
                tasks=batch.tasks[part],
                binary=None if binary is None else binary[part],
                rows=None if batch.rows is None else batch.rows[:, part],
            )
        if own.weights is not None or own.binary is not None or own.n_support < len(own.Y):
            return own, own.Y[: own.n_support]
        self._whole = batch.Y, own, self.problem.centre(own.Y)
        return self._whole[1:]

    def _solve(
        self, Z: Tensor, batch: TaskBatch, targets: Tensor | HeadTargets
    ) -> tuple[Heads, Tensor]:
        """Heads fitted on the support rows of a batch, and their losses on the others."""
        k, weights = batch.n_support, batch.weights
        whole = k == len(batch.Y)
        support = Z
        if batch.rows is not None:
            support, Z = own_rows(Z, batch.rows[:k]), own_rows(Z, batch.rows[k:])
        elif not whole:
            support, Z = Z[:k], Z[k:]
        heads = self.training_problem.solve(
            support,
            targets,
            weights if whole or weights is None else weights[:k],
            self.coef.index_select(0, batch.tasks),
            intercept_init=self.intercept.index_select(0, batch.tasks),
            binary=batch.binary,
            task_of_output=batch.task_of_output,
        )
        if whole:
            return heads, heads.loss
        query = None if weights is None else weights[k:]
        losses = self.training_problem.judge(heads, Z, batch.Y[k:], query, binary=batch.binary)
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
        Z = self.calibrate(table)
        chosen = slice(None) if tasks is None else tasks
        heads = solve_heads(self.problem, Z, table, self.coef[chosen], self.intercept[chosen])
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
        """Mean over tasks of the loss on held-out rows, in units of that of the constant.

        Parameters
        ----------
        train, held_out : TaskTable
        tasks : Tensor of int64, optional
            Which tasks they have; all by default.
        """
        training = self.training
        self.eval()
        heads = self.fit_heads(train, tasks)
        Z = self._encode(self.encoder, held_out.X)
        losses = judge_heads(self.problem, heads, Z, held_out)
        self.train(training)
        return 2 * float(self.mean_loss(losses, tasks))

    def _encode(self, network: Callable[[Tensor], Tensor], X: Tensor | FileRows) -> Tensor:
        """As `encode`, by all ranks together."""
        n = len(X)
        return self.ranks.join(encode(network, X, self.ranks.part(n)), n)


def encode(network: Callable[[Any], Tensor], X: Any, part: slice = slice(None)) -> Tensor:
    """Apply a network to rows, or part of them, a chunk at a time.

    Parameters
    ----------
    network : callable
        Of what a slice of X is.
    X : Tensor, FileRows or other table of shape (n, d)
    part : slice, optional
    """
    start, stop, _ = part.indices(len(X))
    size = rows_at_once(X.shape[1])
    first = network(X[start : min(start + size, stop)])
    # in place: small results that are kept between large buffers break up the memory
    full = first.new_empty(max(stop - start, 0), *first.shape[1:])
    full[:size] = first
    for i in range(start + size, stop, size):
        full[i - start : i - start + size] = network(X[i : min(i + size, stop)])
    return full


def rows_at_once(n_features: int) -> int:
    """Rows that are encoded together outside training."""
    return max(1, min(CHUNK, CHUNK_VALUES // n_features))


def own_rows(Z: Tensor, rows: Tensor) -> Tensor:
    """Rows (T, k, m) of tasks that each have their own, from positions (k, T)."""
    index = rows.T
    # the gradient of selected rows costs less than that of an index
    return Z.index_select(0, index.reshape(-1)).unflatten(0, index.shape)
