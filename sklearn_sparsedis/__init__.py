"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

import importlib
from typing import TYPE_CHECKING, Any

from sklearn_sparsedis._version import __version__

if TYPE_CHECKING:
    from sklearn_sparsedis._group_lasso_svc import GroupLassoSVC
    from sklearn_sparsedis._group_lasso_svm_meta_classifier import GroupLassoSVMMetaClassifier
    from sklearn_sparsedis._persistence import load_model, save_model
    from sklearn_sparsedis._show_versions import show_versions
    from sklearn_sparsedis._sparse_disentangled_representation import (
        SparseDisentangledRepresentation,
    )
    from sklearn_sparsedis._sparse_rotation import SparseRotation

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

# Imported when they are asked for (PEP 562): who rotates features needs no training loop.
_MODULE_OF = {
    "GroupLassoSVC": "_group_lasso_svc",
    "GroupLassoSVMMetaClassifier": "_group_lasso_svm_meta_classifier",
    "SparseDisentangledRepresentation": "_sparse_disentangled_representation",
    "SparseRotation": "_sparse_rotation",
    "load_model": "_persistence",
    "save_model": "_persistence",
    "show_versions": "_show_versions",
}
_SUBPACKAGES = (
    "callbacks",
    "datasets",
    "exceptions",
    "functional",
    "implicit",
    "inspection",
    "metrics",
    "model_selection",
    "nn",
    "penalties",
    "solvers",
    "storage",
    "tasks",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})
