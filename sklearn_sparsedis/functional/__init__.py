"""Pure tensor mathematics: proximal operators, projections, losses, penalties, duality gaps."""

from sklearn_sparsedis.functional._block_support import BlockFactor, factor_blocks
from sklearn_sparsedis.functional._block_threshold import (
    block_norm,
    block_soft_threshold,
    shrinkage,
)
from sklearn_sparsedis.functional._gram import (
    ROUNDED,
    CentredTargets,
    GramStatistics,
    centre_targets,
    centred_gram,
    strength_like,
    summed_gram,
    without_constants,
)
from sklearn_sparsedis.functional._group_lasso_svm import (
    group_lasso_svm_coef,
    group_lasso_svm_dual,
    group_lasso_svm_primal,
    hinge_scores,
    uniform_spread_bound,
)
from sklearn_sparsedis.functional._huber import huber_alpha_max, huber_location, huber_loss
from sklearn_sparsedis.functional._lasso import (
    lasso_alpha_max,
    lasso_certificate,
    lasso_duality_gap,
    lasso_objective,
    residual_square,
)
from sklearn_sparsedis.functional._logistic import (
    bernoulli_divergence,
    bernoulli_entropy,
    logistic_alpha_max,
    logistic_loss,
    row_shares,
)
from sklearn_sparsedis.functional._mcp import mcp_penalty, mcp_slope, mcp_threshold
from sklearn_sparsedis.functional._multitask_lasso import (
    multitask_lasso_alpha_max,
    multitask_lasso_duality_gap,
    multitask_lasso_objective,
)
from sklearn_sparsedis.functional._prox import soft_threshold
from sklearn_sparsedis.functional._simplex import project_simplex
from sklearn_sparsedis.functional._support import (
    RegularFactor,
    SupportFactor,
    cached_parts,
    factor_regular,
    factor_support,
    gram_matvec,
    solve_support,
)
from sklearn_sparsedis.functional._sync import any_true

__all__ = [
    "BlockFactor",
    "CentredTargets",
    "GramStatistics",
    "ROUNDED",
    "RegularFactor",
    "SupportFactor",
    "any_true",
    "bernoulli_divergence",
    "bernoulli_entropy",
    "block_norm",
    "block_soft_threshold",
    "cached_parts",
    "centre_targets",
    "centred_gram",
    "factor_blocks",
    "factor_regular",
    "factor_support",
    "gram_matvec",
    "group_lasso_svm_coef",
    "group_lasso_svm_dual",
    "group_lasso_svm_primal",
    "hinge_scores",
    "huber_alpha_max",
    "huber_location",
    "huber_loss",
    "lasso_alpha_max",
    "lasso_certificate",
    "lasso_duality_gap",
    "lasso_objective",
    "logistic_alpha_max",
    "logistic_loss",
    "mcp_penalty",
    "mcp_slope",
    "mcp_threshold",
    "multitask_lasso_alpha_max",
    "multitask_lasso_duality_gap",
    "multitask_lasso_objective",
    "project_simplex",
    "residual_square",
    "row_shares",
    "shrinkage",
    "soft_threshold",
    "solve_support",
    "strength_like",
    "summed_gram",
    "uniform_spread_bound",
    "without_constants",
]
