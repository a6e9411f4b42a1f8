"""Losses by name."""

from sklearn_sparsedis.losses._base import Loss
from sklearn_sparsedis.losses._huber import Huber
from sklearn_sparsedis.losses._logistic import Logistic
from sklearn_sparsedis.losses._squared_error import SquaredError

__all__ = ["LOSSES"]

# what an estimator takes by name; the first one is for tasks without a loss of their own
LOSSES: dict[str, Loss] = {kind.name: kind() for kind in (SquaredError, Logistic, Huber)}
