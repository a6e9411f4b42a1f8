"""Disentangled representations through sparse task heads, as scikit-learn estimators."""

__all__ = ["__version__"]
__version__ = "0.1.0.dev0"
