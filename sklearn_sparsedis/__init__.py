"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

from sklearn_sparsedis._group_lasso_svc import GroupLassoSVC
from sklearn_sparsedis._group_lasso_svm_meta_classifier import GroupLassoSVMMetaClassifier
from sklearn_sparsedis._persistence import load_model, save_model
from sklearn_sparsedis._show_versions import show_versions
from sklearn_sparsedis._sparse_disentangled_representation import SparseDisentangledRepresentation
from sklearn_sparsedis._sparse_rotation import SparseRotation
from sklearn_sparsedis._version import __version__

__all__ = [
    "GroupLassoSVC",
    "GroupLassoSVMMetaClassifier",
    "SparseDisentangledRepresentation",
    "SparseRotation",
    "__version__",
    "load_model",
    "save_model",
    "show_versions",
]
