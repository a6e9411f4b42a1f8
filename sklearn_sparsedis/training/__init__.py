"""The outer loop: objective, skorch net, callbacks, schedule."""

from sklearn_sparsedis.training._callbacks import EarlyStopping, ProgressBar
from sklearn_sparsedis.training._net import OPTIMIZERS, BilevelNet
from sklearn_sparsedis.training._objective import BilevelObjective, encode
from sklearn_sparsedis.training._start import start_linear_path
from sklearn_sparsedis.training._train import TrainingPlan, TrainingRun, split_rows, train

__all__ = [
    "BilevelNet",
    "BilevelObjective",
    "EarlyStopping",
    "OPTIMIZERS",
    "ProgressBar",
    "TrainingPlan",
    "TrainingRun",
    "encode",
    "split_rows",
    "start_linear_path",
    "train",
]
