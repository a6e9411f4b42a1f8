"""The basis in which given heads are sparsest."""

from sklearn_sparsedis.solvers.sparse_basis._solver import SparseBasisResult, solve_sparse_basis

__all__ = ["SparseBasisResult", "solve_sparse_basis"]
