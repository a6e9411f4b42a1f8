"""Batched forward solvers, each certified by its own duality gap."""

from sklearn_sparsedis.solvers._lasso import solve_lasso, solve_lasso_gram
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import solve_ridge, solve_ridge_gram

# solver of each penalty on Gram statistics, all with one signature
LEAST_SQUARES_SOLVERS = {"l1": solve_lasso_gram, "l2": solve_ridge_gram}

__all__ = [
    "LEAST_SQUARES_SOLVERS",
    "SolveResult",
    "solve_lasso",
    "solve_lasso_gram",
    "solve_ridge",
    "solve_ridge_gram",
]
