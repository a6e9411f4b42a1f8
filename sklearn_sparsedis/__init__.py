"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

from sklearn_sparsedis._sparse_disentangled_representation import SparseDisentangledRepresentation

__all__ = ["SparseDisentangledRepresentation", "__version__"]
__version__ = "0.1.0.dev0"
