"""Losses of tasks: each class holds everything that depends on its loss."""

from sklearn_sparsedis.losses._base import Loss
from sklearn_sparsedis.losses._huber import Huber
from sklearn_sparsedis.losses._logistic import Logistic
from sklearn_sparsedis.losses._registry import LOSSES
from sklearn_sparsedis.losses._squared_error import SquaredError

__all__ = ["Huber", "LOSSES", "Logistic", "Loss", "SquaredError"]
