"""Registry of the losses by their names."""

from sklearn_sparsedis.losses._base import Loss
from sklearn_sparsedis.losses._huber import Huber
from sklearn_sparsedis.losses._logistic import Logistic
from sklearn_sparsedis.losses._squared_error import SquaredError

__all__ = ["LOSSES"]

# Losses that an estimator takes by name. The first is the default.
LOSSES: dict[str, Loss] = {kind.name: kind() for kind in (SquaredError, Logistic, Huber)}
