"""Differentiable solutions: one autograd Function for each inner problem."""

from sklearn_sparsedis.implicit._fit import LeastSquaresFit
from sklearn_sparsedis.implicit._group_lasso_svm import group_lasso_svm, group_lasso_svm_result
from sklearn_sparsedis.implicit._lasso import lasso, lasso_gram
from sklearn_sparsedis.implicit._mcp import mcp_gram
from sklearn_sparsedis.implicit._multitask_lasso import multitask_lasso, multitask_lasso_gram
from sklearn_sparsedis.implicit._ridge import ridge, ridge_gram
from sklearn_sparsedis.implicit._separable import separable_gram
from sklearn_sparsedis.implicit._smooth_loss import (
    SmoothFit,
    fit_smooth,
    logistic_lasso,
    logistic_lasso_fit,
    logistic_ridge_fit,
)

__all__ = [
    "LeastSquaresFit",
    "SmoothFit",
    "fit_smooth",
    "group_lasso_svm",
    "group_lasso_svm_result",
    "lasso",
    "lasso_gram",
    "logistic_lasso",
    "logistic_lasso_fit",
    "logistic_ridge_fit",
    "mcp_gram",
    "multitask_lasso",
    "multitask_lasso_gram",
    "ridge",
    "ridge_gram",
    "separable_gram",
]
