"""Batched forward solvers, each certified by its own duality gap."""

from sklearn_sparsedis.solvers._group_lasso_svm import solve_group_lasso_svm
from sklearn_sparsedis.solvers._result import SolveResult

__all__ = ["SolveResult", "solve_group_lasso_svm"]
