"""Meta-training from start to end."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from skorch.callbacks import Callback

from sklearn_sparsedis.tasks import EpisodeBatches
from sklearn_sparsedis.training._callbacks import EarlyStopping, ProgressBar
from sklearn_sparsedis.training._episodes import RAMPED, EpisodeObjective, HeldOutEpisodes
from sklearn_sparsedis.training._net import BilevelNet
from sklearn_sparsedis.training._train import TrainingRun, check_finite

__all__ = ["MetaTrainingPlan", "meta_train"]


@dataclass(frozen=True)
class MetaTrainingPlan:
    """How an encoder is trained on episodes; the estimators' parameters of the same names.

    Attributes
    ----------
    patience : int
        Evaluations without improvement after which training stops.
    anneal : bool
        Whether the group penalty grows to its strength during training.
    """

    max_iter: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    device: torch.device
    patience: int
    anneal: bool = True
    callbacks: Sequence[Callback] = ()
    verbose: bool = False


def meta_train(
    objective: EpisodeObjective,
    batches: EpisodeBatches,
    plan: MetaTrainingPlan,
    held_out: HeldOutEpisodes | None = None,
) -> TrainingRun:
    """Train the encoder and the scale of an objective in place.

    Parameters
    ----------
    objective : EpisodeObjective
        On the CPU, before and after.
    batches : EpisodeBatches
        On the plan's device; the encoder is evaluated after each of their epochs.
    plan : MetaTrainingPlan
        How.
    held_out : HeldOutEpisodes, optional
        Episodes on which the best encoder is chosen; without them the last one is kept.

    Raises
    ------
    DivergenceError
        When a loss or a parameter is not finite.
    """
    callbacks: list[Callback] = []
    stopping = None
    if held_out is not None:
        judged = HeldOutEpisodes(held_out.X.to(plan.device), held_out.episodes)
        earliest = round(RAMPED * plan.max_iter) if plan.anneal else 0
        stopping = EarlyStopping(
            lambda module: module.held_out_loss(judged), plan.patience, earliest
        )
        callbacks.append(stopping)
    if plan.verbose:
        callbacks.append(ProgressBar(plan.max_iter))
    net = BilevelNet(
        objective,
        batches,
        optimizer=plan.optimizer,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        n_steps=plan.max_iter,
        anneal=plan.anneal,
        constant_rate=False,
        callbacks=[*callbacks, *plan.callbacks],
        device=plan.device,
    )
    net.train(-(-plan.max_iter // batches.n_batches))
    objective.to("cpu")
    check_finite(objective)
    losses = [batch["train_loss"] for epoch in net.history for batch in epoch["batches"]]
    if stopping is None:
        return TrainingRun(losses, best_step=len(losses))
    return TrainingRun(losses, stopping.losses_, stopping.best_step_)
