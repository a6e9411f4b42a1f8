"""Batched forward solvers, each certified by its own duality gap."""

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._sparse_basis import SparseBasisResult, solve_sparse_basis

__all__ = ["SolveResult", "SparseBasisResult", "solve_sparse_basis"]
