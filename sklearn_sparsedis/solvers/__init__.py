"""Batched forward solvers, each certified by its own duality gap."""

from typing import TYPE_CHECKING

from sklearn_sparsedis._on_demand import on_demand

if TYPE_CHECKING:
    from sklearn_sparsedis.solvers._mcp import GAMMA, solve_mcp_gram
    from sklearn_sparsedis.solvers._result import SolveResult
    from sklearn_sparsedis.solvers._ridge import solve_ridge, solve_ridge_gram
    from sklearn_sparsedis.solvers._separable import solve_separable_gram
    from sklearn_sparsedis.solvers._subset import least_squares_on, select_support
    from sklearn_sparsedis.solvers.group_lasso_svm import (
        group_lasso_svm_path,
        solve_group_lasso_svm,
    )
    from sklearn_sparsedis.solvers.lasso import solve_lasso, solve_lasso_gram
    from sklearn_sparsedis.solvers.multitask_lasso import (
        solve_multitask_lasso,
        solve_multitask_lasso_gram,
    )
    from sklearn_sparsedis.solvers.smooth_loss import (
        L1,
        L2,
        ElasticNet,
        HuberLoss,
        LogisticLoss,
        alpha_unit,
        huber_delta,
        solve_logistic_lasso,
        solve_logistic_ridge,
        solve_smooth,
    )
    from sklearn_sparsedis.solvers.sparse_basis import SparseBasisResult, solve_sparse_basis
else:  # the solver of one problem needs no other
    __getattr__, __dir__ = on_demand(
        globals(),
        {
            "_mcp": ["GAMMA", "solve_mcp_gram"],
            "_result": ["SolveResult"],
            "_ridge": ["solve_ridge", "solve_ridge_gram"],
            "_separable": ["solve_separable_gram"],
            "_subset": ["least_squares_on", "select_support"],
            "group_lasso_svm": ["group_lasso_svm_path", "solve_group_lasso_svm"],
            "lasso": ["solve_lasso", "solve_lasso_gram"],
            "multitask_lasso": ["solve_multitask_lasso", "solve_multitask_lasso_gram"],
            "smooth_loss": [
                "L1",
                "L2",
                "ElasticNet",
                "HuberLoss",
                "LogisticLoss",
                "alpha_unit",
                "huber_delta",
                "solve_logistic_lasso",
                "solve_logistic_ridge",
                "solve_smooth",
            ],
            "sparse_basis": ["SparseBasisResult", "solve_sparse_basis"],
        },
    )

__all__ = [
    "ElasticNet",
    "GAMMA",
    "HuberLoss",
    "L1",
    "L2",
    "LogisticLoss",
    "SolveResult",
    "SparseBasisResult",
    "alpha_unit",
    "group_lasso_svm_path",
    "huber_delta",
    "least_squares_on",
    "select_support",
    "solve_group_lasso_svm",
    "solve_lasso",
    "solve_lasso_gram",
    "solve_logistic_lasso",
    "solve_logistic_ridge",
    "solve_mcp_gram",
    "solve_multitask_lasso",
    "solve_multitask_lasso_gram",
    "solve_ridge",
    "solve_ridge_gram",
    "solve_separable_gram",
    "solve_smooth",
    "solve_sparse_basis",
]
