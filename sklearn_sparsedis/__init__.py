"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

from typing import TYPE_CHECKING

from sklearn_sparsedis._on_demand import on_demand
from sklearn_sparsedis._version import __version__, show_versions

if TYPE_CHECKING:
    from sklearn_sparsedis.estimators._group_lasso_svc import GroupLassoSVC
    from sklearn_sparsedis.estimators._meta_classifier import GroupLassoSVMMetaClassifier
    from sklearn_sparsedis.estimators._persistence import load_model, save_model
    from sklearn_sparsedis.estimators._representation import SparseDisentangledRepresentation
    from sklearn_sparsedis.estimators._sparse_rotation import SparseRotation
else:  # who rotates features needs no training loop
    __getattr__, __dir__ = on_demand(
        globals(),
        {
            "estimators._group_lasso_svc": ["GroupLassoSVC"],
            "estimators._meta_classifier": ["GroupLassoSVMMetaClassifier"],
            "estimators._persistence": ["load_model", "save_model"],
            "estimators._representation": ["SparseDisentangledRepresentation"],
            "estimators._sparse_rotation": ["SparseRotation"],
        },
        parts=[
            "callbacks",
            "datasets",
            "exceptions",
            "functional",
            "implicit",
            "inspection",
            "losses",
            "metrics",
            "model_selection",
            "nn",
            "penalties",
            "solvers",
        ],
    )

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
