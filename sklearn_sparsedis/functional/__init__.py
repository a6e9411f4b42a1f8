"""Objectives, largest alphas, duality gaps and Gram statistics, on tensors."""

from typing import TYPE_CHECKING

from sklearn_sparsedis._on_demand import on_demand

if TYPE_CHECKING:
    from sklearn_sparsedis.functional._gram import GramStatistics, centred_gram
    from sklearn_sparsedis.functional._group_lasso_svm import (
        group_lasso_svm_dual,
        group_lasso_svm_primal,
        uniform_spread_bound,
    )
    from sklearn_sparsedis.functional._huber import huber_alpha_max, huber_loss
    from sklearn_sparsedis.functional._lasso import (
        lasso_alpha_max,
        lasso_duality_gap,
        lasso_objective,
    )
    from sklearn_sparsedis.functional._logistic import logistic_alpha_max, logistic_loss
    from sklearn_sparsedis.functional._mcp import mcp_penalty
    from sklearn_sparsedis.functional._multitask_lasso import (
        multitask_lasso_alpha_max,
        multitask_lasso_duality_gap,
        multitask_lasso_objective,
    )
    from sklearn_sparsedis.functional._support import solve_support
else:  # a search for a basis needs none of them
    __getattr__, __dir__ = on_demand(
        globals(),
        {
            "_gram": ["GramStatistics", "centred_gram"],
            "_group_lasso_svm": [
                "group_lasso_svm_dual",
                "group_lasso_svm_primal",
                "uniform_spread_bound",
            ],
            "_huber": ["huber_alpha_max", "huber_loss"],
            "_lasso": ["lasso_alpha_max", "lasso_duality_gap", "lasso_objective"],
            "_logistic": ["logistic_alpha_max", "logistic_loss"],
            "_mcp": ["mcp_penalty"],
            "_multitask_lasso": [
                "multitask_lasso_alpha_max",
                "multitask_lasso_duality_gap",
                "multitask_lasso_objective",
            ],
            "_support": ["solve_support"],
        },
    )

__all__ = [
    "GramStatistics",
    "centred_gram",
    "group_lasso_svm_dual",
    "group_lasso_svm_primal",
    "huber_alpha_max",
    "huber_loss",
    "lasso_alpha_max",
    "lasso_duality_gap",
    "lasso_objective",
    "logistic_alpha_max",
    "logistic_loss",
    "mcp_penalty",
    "multitask_lasso_alpha_max",
    "multitask_lasso_duality_gap",
    "multitask_lasso_objective",
    "solve_support",
    "uniform_spread_bound",
]
