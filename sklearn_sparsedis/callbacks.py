"""Callbacks of the estimators' trainings, beside those of skorch."""

from sklearn_sparsedis.training import Checkpoint

__all__ = ["Checkpoint"]
