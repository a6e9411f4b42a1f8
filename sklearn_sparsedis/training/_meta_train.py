"""Meta-training from start to end."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from skorch.callbacks import Callback

from sklearn_sparsedis.tasks._episodes import EpisodeBatches
from sklearn_sparsedis.training._callbacks import EarlyStopping
from sklearn_sparsedis.training._checkpoint import TrainingRecord
from sklearn_sparsedis.training._episodes import RAMPED, EpisodeObjective, HeldOutEpisodes
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._train import run_steps

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
    callbacks: Sequence[Callback] = ()
    verbose: bool = False
    title: str = "outer steps"
    record: TrainingRecord | None = None


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
    stopping = None
    if held_out is not None:
        judged = HeldOutEpisodes(held_out.X.to(plan.device), held_out.episodes)
        earliest = round(RAMPED * plan.max_iter) if plan.anneal else 0
        stopping = EarlyStopping(
            lambda module: module.held_out_loss(judged), plan.patience, earliest
        )
    return run_steps(objective, batches, plan, stopping, plan.max_iter, constant_rate=False)
