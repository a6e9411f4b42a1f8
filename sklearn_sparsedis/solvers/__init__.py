"""Batched forward solvers, each certified by its own duality gap."""

from sklearn_sparsedis.solvers._result import SolveResult

__all__ = ["SolveResult"]
