"""Batched Lasso of several outputs with one support."""

from sklearn_sparsedis.solvers.multitask_lasso._solver import (
    solve_multitask_lasso,
    solve_multitask_lasso_gram,
)

__all__ = ["solve_multitask_lasso", "solve_multitask_lasso_gram"]
