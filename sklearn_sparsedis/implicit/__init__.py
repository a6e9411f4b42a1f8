"""Differentiable solutions: one autograd Function an inner problem."""

from sklearn_sparsedis.implicit._fit import LeastSquaresFit
from sklearn_sparsedis.implicit._group_lasso_svm import group_lasso_svm, group_lasso_svm_result
from sklearn_sparsedis.implicit._lasso import lasso, lasso_gram
from sklearn_sparsedis.implicit._mcp import mcp_gram
from sklearn_sparsedis.implicit._ridge import ridge, ridge_gram

# differentiable solution of each penalty on Gram statistics, all with one signature
LEAST_SQUARES = {"l1": lasso_gram, "l2": ridge_gram, "mcp": mcp_gram}

__all__ = [
    "LEAST_SQUARES",
    "LeastSquaresFit",
    "group_lasso_svm",
    "group_lasso_svm_result",
    "lasso",
    "lasso_gram",
    "mcp_gram",
    "ridge",
    "ridge_gram",
]
