"""How well a representation recovers known factors."""

from sklearn_sparsedis.metrics._linear import linear_recovery_score
from sklearn_sparsedis.metrics._matching import match_latents, mean_corrcoef_score
from sklearn_sparsedis.metrics._task_r2 import task_r2_scores

__all__ = ["linear_recovery_score", "match_latents", "mean_corrcoef_score", "task_r2_scores"]
