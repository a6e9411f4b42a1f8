"""Batched group-Lasso multiclass SVM."""

from sklearn_sparsedis.solvers.group_lasso_svm._path import group_lasso_svm_path
from sklearn_sparsedis.solvers.group_lasso_svm._solver import solve_group_lasso_svm

__all__ = ["group_lasso_svm_path", "solve_group_lasso_svm"]
