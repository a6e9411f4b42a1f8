"""Exceptions of this package; everything else is scikit-learn's."""

__all__ = ["DivergenceError"]


class DivergenceError(RuntimeError):
    """Raised when training produced a loss or parameters that are not finite.

    The estimator is left as it was before the call.
    """
