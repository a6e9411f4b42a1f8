"""The outer loop: objectives, skorch net, callbacks, schedule."""

from sklearn_sparsedis.training._callbacks import EarlyStopping, ProgressBar
from sklearn_sparsedis.training._checkpoint import Checkpoint, TrainingRecord
from sklearn_sparsedis.training._encode import encode, rows_at_once
from sklearn_sparsedis.training._episodes import (
    EpisodeObjective,
    HeldOutEpisodes,
    encode_rows,
    fit_episodes,
)
from sklearn_sparsedis.training._fit_tasks import FitTasks
from sklearn_sparsedis.training._held_out import hold_out
from sklearn_sparsedis.training._meta_train import MetaTrainingPlan, meta_train
from sklearn_sparsedis.training._net import OPTIMIZERS, BilevelNet
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._start import start_linear_path
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._table_heads import (
    settle_losses,
    solve_heads,
)
from sklearn_sparsedis.training._train import TrainingPlan, train

__all__ = [
    "BilevelNet",
    "BilevelObjective",
    "Checkpoint",
    "EarlyStopping",
    "EpisodeObjective",
    "FitTasks",
    "HeldOutEpisodes",
    "MetaTrainingPlan",
    "OPTIMIZERS",
    "ProgressBar",
    "TrainingPlan",
    "TrainingRecord",
    "TrainingRun",
    "encode",
    "encode_rows",
    "fit_episodes",
    "hold_out",
    "meta_train",
    "rows_at_once",
    "settle_losses",
    "solve_heads",
    "start_linear_path",
    "train",
]
