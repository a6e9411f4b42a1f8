"""Training from start to end: schedule, evaluations, early stopping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._callbacks import EarlyStopping, ProgressBar
from sklearn_sparsedis.training._checkpoint import TrainingRecord
from sklearn_sparsedis.training._episodes import EpisodeObjective
from sklearn_sparsedis.training._held_out import evaluation
from sklearn_sparsedis.training._net import BilevelNet
from sklearn_sparsedis.training._objective import ANNEALED, BilevelObjective
from sklearn_sparsedis.training._state import TrainingRun

__all__ = ["TrainingPlan", "run_steps", "train"]

# evaluations on held-out labels during a full training
N_EVALUATIONS = 50


@dataclass(frozen=True)
class TrainingPlan:
    """How an encoder is trained; the estimators' parameters of the same names.

    Attributes
    ----------
    max_iter : int
        Length of the schedules in outer steps.
    anneal : bool
        Whether the heads start at a strong penalty.
    constant_rate : bool
        Whether the learning rate stays what it is instead of falling to zero.
    patience : int
        Evaluations without improvement after which training stops.
    title : str
        Of the progress bar under `verbose`.
    record : TrainingRecord, optional
        Where the training is written down, and continued from.
    """

    max_iter: int
    batch_size: int
    tasks_per_batch: int | None
    query_fraction: float | None
    optimizer: str
    learning_rate: float
    weight_decay: float
    device: torch.device
    anneal: bool = True
    constant_rate: bool = False
    patience: int = N_EVALUATIONS
    callbacks: Sequence[Callback] = ()
    verbose: bool = False
    title: str = "outer steps"
    record: TrainingRecord | None = None


def train(
    objective: BilevelObjective,
    table: TaskTable,
    plan: TrainingPlan,
    *,
    seed: int,
    held_out: TaskTable | None = None,
    n_steps: int | None = None,
) -> TrainingRun:
    """Train the encoder of an objective in place.

    Parameters
    ----------
    objective : BilevelObjective
        On the CPU, before and after.
    table : TaskTable
        Labels to train on.
    plan : TrainingPlan
        How.
    seed : int
        Of the batches.
    held_out : TaskTable, optional
        Labels on which the best encoder is chosen; without them the last one is kept.
    n_steps : int, optional
        Stop after so many steps of the schedule; all of it by default.

    Raises
    ------
    DivergenceError
        When a loss or a parameter is not finite.
    """
    n_steps = plan.max_iter if n_steps is None else n_steps
    block = max(1, plan.max_iter // N_EVALUATIONS) if held_out is not None else max(n_steps, 1)
    table = table.to(plan.device)
    batches = TaskBatches(
        table,
        batch_size=plan.batch_size,
        tasks_per_batch=plan.tasks_per_batch,
        query_fraction=plan.query_fraction,
        n_batches=block,
        n_total=n_steps,
        seed=seed,
        part=objective.ranks.part,
    )
    stopping = None
    if held_out is not None:
        # the schedule of the heads' strength is not cut short
        earliest = round(ANNEALED * plan.max_iter) if plan.anneal else 0
        # an encoder of the penalty that the training starts with is not what was asked for
        keep_from = 0 if objective.problem.penalty.convex else earliest
        evaluate = evaluation(table, held_out.to(plan.device), seed)
        stopping = EarlyStopping(evaluate, plan.patience, earliest, keep_from)
    return run_steps(objective, batches, plan, stopping, n_steps, constant_rate=plan.constant_rate)


def run_steps(
    objective: BilevelObjective | EpisodeObjective,
    batches: Any,
    plan: Any,
    stopping: EarlyStopping | None,
    n_steps: int,
    *,
    constant_rate: bool,
) -> TrainingRun:
    """Take the outer steps of an objective that is ready, and bring it back to the CPU.

    Parameters
    ----------
    objective : BilevelObjective or EpisodeObjective
        Trained in place.
    batches : TaskBatches or EpisodeBatches
        On the plan's device; `stopping` evaluates after each of their epochs.
    plan : TrainingPlan or MetaTrainingPlan
    stopping : EarlyStopping or None
        Without it the last encoder is kept.
    n_steps : int
        Of the schedule's `plan.max_iter`.
    constant_rate : bool
        Whether the learning rate stays what it is.
    """
    checkpoint = None if plan.record is None else plan.record.next_training()
    if checkpoint is not None and checkpoint.done:
        return checkpoint.result(objective)
    watching: list[Callback] = [] if stopping is None else [stopping]
    if plan.verbose and n_steps and objective.ranks.main:
        watching.append(ProgressBar(n_steps, plan.title))
    net = BilevelNet(
        objective,
        batches,
        optimizer=plan.optimizer,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        n_steps=plan.max_iter,
        anneal=plan.anneal,
        constant_rate=constant_rate,
        callbacks=[*watching, *plan.callbacks],
        checkpoint=checkpoint,
        device=plan.device,
    )
    with objective.ranks.batch_norm(objective):
        net.train(-(-n_steps // batches.n_batches))
    objective.to("cpu")
    _check_finite(objective)
    losses = [batch["train_loss"] for epoch in net.history for batch in epoch["batches"]]
    run = TrainingRun(losses, best_step=len(losses))
    if stopping is not None:
        run = TrainingRun(losses, stopping.losses_, stopping.best_step_)
    if checkpoint is not None:
        checkpoint.finish(objective, run)
    return run


def _check_finite(objective: nn.Module) -> None:
    if not all(bool(p.isfinite().all()) for p in objective.state_dict().values()):
        raise DivergenceError(
            "Training diverged: parameters of the encoder are not finite. Lower learning_rate, "
            "or check X and Y for extreme values; the estimator is unchanged."
        )
