"""Training from start to end: schedule, evaluations, early stopping."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._episodes import EpisodeBatches
from sklearn_sparsedis.training._callbacks import EarlyStopping, ProgressBar
from sklearn_sparsedis.training._checkpoint import TrainingRecord
from sklearn_sparsedis.training._episodes import EpisodeObjective
from sklearn_sparsedis.training._judge import LinearJudge
from sklearn_sparsedis.training._net import BilevelNet
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._state import TrainingRun

__all__ = ["TrainingPlan", "train"]


@dataclass(frozen=True)
class TrainingPlan:
    """How an encoder is trained; the estimators' parameters of the same names.

    Attributes
    ----------
    max_iter : int
        Length of the schedules in outer steps.
    patience : int
        Evaluations without improvement after which training stops.
    anneal : bool
        Whether the heads' alpha follows the schedule of the objective (its `anneal`).
    constant_rate : bool
        Whether the learning rate stays what it is instead of falling to zero.
    title : str
        Of the progress bar under `verbose`.
    record : TrainingRecord, optional
        Where the training is written down, and continued from.
    """

    max_iter: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    device: torch.device
    patience: int
    anneal: bool = True
    constant_rate: bool = False
    callbacks: Sequence[Callback] = ()
    verbose: bool = False
    title: str = "outer steps"
    record: TrainingRecord | None = None


def train(
    objective: BilevelObjective | EpisodeObjective,
    batches: TaskBatches | EpisodeBatches,
    plan: TrainingPlan,
    evaluate: Callable[[Any], float] | None = None,
    n_steps: int | None = None,
) -> TrainingRun:
    """Train the encoder of an objective, and what else it learns, in place.

    Parameters
    ----------
    objective : BilevelObjective or EpisodeObjective
        On the CPU, before and after.
    batches : TaskBatches or EpisodeBatches
        On the plan's device.
    plan : TrainingPlan
        How.
    evaluate : callable, optional
        From the objective to its loss on what is held out, on which the best encoder is chosen
        after each epoch of the batches; without it the last one is kept.
    n_steps : int, optional
        Stop after so many steps of the schedule; all of it by default.

    Raises
    ------
    DivergenceError
        When a loss or a parameter is not finite.
    """
    n_steps = plan.max_iter if n_steps is None else n_steps
    checkpoint = None if plan.record is None else plan.record.next_training()
    if checkpoint is not None and checkpoint.done:
        return checkpoint.result(objective)
    stopping = None if evaluate is None else _early_stopping(objective, plan, evaluate)
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
        constant_rate=plan.constant_rate,
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
    if isinstance(evaluate, LinearJudge):
        run = replace(run, judgement=evaluate.judgement())
    if checkpoint is not None:
        checkpoint.finish(objective, run)
    return run


def _early_stopping(
    objective: BilevelObjective | EpisodeObjective,
    plan: TrainingPlan,
    evaluate: Callable[[Any], float],
) -> EarlyStopping:
    # the schedule of the heads' alpha is not cut short
    earliest = round(objective.annealed_share * plan.max_iter) if plan.anneal else 0
    # an encoder of the penalty that the training starts with may not be what was asked for
    keep_from = 0 if objective.convex else earliest
    return EarlyStopping(evaluate, plan.patience, earliest, keep_from)


def _check_finite(objective: nn.Module) -> None:
    if not all(bool(p.isfinite().all()) for p in objective.state_dict().values()):
        raise DivergenceError(
            "Training diverged: parameters of the encoder are not finite. Lower learning_rate, "
            "or check X and Y for extreme values; the estimator is unchanged."
        )
