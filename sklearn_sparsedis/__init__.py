"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

from sklearn_sparsedis._sparse_rotation import SparseRotation

__all__ = ["SparseRotation", "__version__"]
__version__ = "0.1.0.dev0"
