"""Callbacks of the estimators' trainings, for scikit-learn's `set_callbacks`.

`Checkpoint` can also be given in an estimator's parameter `callbacks`, which otherwise takes
callbacks of skorch.
"""

from sklearn_sparsedis.callbacks._early_stopping import EarlyStopping
from sklearn_sparsedis.callbacks._monitors import DisentanglementMonitor, SparsityMonitor
from sklearn_sparsedis.training._checkpoint import Checkpoint

__all__ = ["Checkpoint", "DisentanglementMonitor", "EarlyStopping", "SparsityMonitor"]
