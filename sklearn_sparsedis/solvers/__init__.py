"""Batched forward solvers, each certified by its own duality gap."""

from sklearn_sparsedis.solvers._group_lasso_svm import solve_group_lasso_svm
from sklearn_sparsedis.solvers._group_lasso_svm_path import group_lasso_svm_path
from sklearn_sparsedis.solvers._lasso import solve_lasso, solve_lasso_gram
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import add_ridge, solve_ridge, solve_ridge_gram

# solver of each penalty on Gram statistics, all with one signature
LEAST_SQUARES_SOLVERS = {"l1": solve_lasso_gram, "l2": solve_ridge_gram}

__all__ = [
    "LEAST_SQUARES_SOLVERS",
    "SolveResult",
    "add_ridge",
    "group_lasso_svm_path",
    "solve_group_lasso_svm",
    "solve_lasso",
    "solve_lasso_gram",
    "solve_ridge",
    "solve_ridge_gram",
]
