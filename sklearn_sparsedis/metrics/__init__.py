"""Scores of how well a representation recovers known factors."""

from sklearn_sparsedis.metrics._bootstrap import bootstrap_interval
from sklearn_sparsedis.metrics._dci import dci_scores
from sklearn_sparsedis.metrics._explicitness import explicitness_score
from sklearn_sparsedis.metrics._information import mig_score, modularity_score
from sklearn_sparsedis.metrics._interventions import beta_vae_score, factor_vae_score
from sklearn_sparsedis.metrics._irs import irs_score
from sklearn_sparsedis.metrics._linear import linear_recovery_score
from sklearn_sparsedis.metrics._matching import match_latents, mean_corrcoef_score
from sklearn_sparsedis.metrics._sap import sap_score
from sklearn_sparsedis.metrics._scorers import LatentScorer, nan_r2_score, nan_r2_scorer
from sklearn_sparsedis.metrics._task_scorer import TaskScorer

__all__ = [
    "LatentScorer",
    "TaskScorer",
    "beta_vae_score",
    "bootstrap_interval",
    "dci_scores",
    "explicitness_score",
    "factor_vae_score",
    "irs_score",
    "linear_recovery_score",
    "match_latents",
    "mean_corrcoef_score",
    "mig_score",
    "modularity_score",
    "nan_r2_score",
    "nan_r2_scorer",
    "sap_score",
]
