"""Inner problems as differentiable functions: exact derivatives of their solutions."""

from sklearn_sparsedis.implicit._group_lasso_svm import group_lasso_svm, group_lasso_svm_result

__all__ = ["group_lasso_svm", "group_lasso_svm_result"]
