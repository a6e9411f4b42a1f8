"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

import importlib
from typing import TYPE_CHECKING, Any

from sklearn_sparsedis._version import __version__, show_versions

if TYPE_CHECKING:
    from sklearn_sparsedis.estimators._group_lasso_svc import GroupLassoSVC
    from sklearn_sparsedis.estimators._meta_classifier import GroupLassoSVMMetaClassifier
    from sklearn_sparsedis.estimators._persistence import load_model, save_model
    from sklearn_sparsedis.estimators._representation import SparseDisentangledRepresentation
    from sklearn_sparsedis.estimators._sparse_rotation import SparseRotation

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
    "GroupLassoSVC": "estimators._group_lasso_svc",
    "GroupLassoSVMMetaClassifier": "estimators._meta_classifier",
    "SparseDisentangledRepresentation": "estimators._representation",
    "SparseRotation": "estimators._sparse_rotation",
    "load_model": "estimators._persistence",
    "save_model": "estimators._persistence",
}
_SUBPACKAGES = (
    "basis",
    "callbacks",
    "datasets",
    "estimators",
    "exceptions",
    "functional",
    "implicit",
    "inputs",
    "inspection",
    "losses",
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
