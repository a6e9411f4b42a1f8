"""Data with known factors, supports and tasks."""

from sklearn_sparsedis.datasets._multitask import make_sparse_multitask, make_sparse_tasks

__all__ = ["make_sparse_multitask", "make_sparse_tasks"]
