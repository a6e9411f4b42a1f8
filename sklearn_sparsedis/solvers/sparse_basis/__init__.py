"""The basis in which given heads are sparsest."""

from sklearn_sparsedis.solvers.sparse_basis._solver import (
    SparseBasisResult,
    judge_directions,
    solve_sparse_basis,
)
from sklearn_sparsedis.solvers.sparse_basis._trust import STRONG

__all__ = ["STRONG", "SparseBasisResult", "judge_directions", "solve_sparse_basis"]
