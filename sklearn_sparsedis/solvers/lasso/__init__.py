"""Batched Lasso."""

from sklearn_sparsedis.solvers.lasso._solver import solve_lasso, solve_lasso_gram

__all__ = ["solve_lasso", "solve_lasso_gram"]
