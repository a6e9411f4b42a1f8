"""Pure tensor mathematics: proximal operators, losses, duality gaps."""

from sklearn_sparsedis.functional._block_threshold import (
    block_norm,
    block_soft_threshold,
    shrinkage,
)
from sklearn_sparsedis.functional._group_lasso_svm import (
    group_lasso_svm_coef,
    group_lasso_svm_dual,
    group_lasso_svm_primal,
    hinge_scores,
    uniform_spread_bound,
)
from sklearn_sparsedis.functional._simplex import project_simplex
from sklearn_sparsedis.functional._sync import any_true

__all__ = [
    "any_true",
    "block_norm",
    "block_soft_threshold",
    "group_lasso_svm_coef",
    "group_lasso_svm_dual",
    "group_lasso_svm_primal",
    "hinge_scores",
    "project_simplex",
    "shrinkage",
    "uniform_spread_bound",
]
