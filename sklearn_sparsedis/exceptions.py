"""Exceptions and warnings of this package; everything else is scikit-learn's."""

from sklearn.exceptions import InconsistentVersionWarning

__all__ = ["DivergenceError", "RankError", "VersionMismatchWarning"]


class DivergenceError(RuntimeError, ValueError):
    """Raised when training produced a loss or parameters that are not finite.

    The estimator is left as it was before the call.
    """


class RankError(RuntimeError):
    """Raised on the ranks of a distributed fit that lost another one.

    The estimator is left as it was before the call.
    """


class VersionMismatchWarning(InconsistentVersionWarning):
    """Issued when what is loaded was stored by another version of this package.

    Parameters
    ----------
    what : str
        What is loaded.
    stored : str
        Version that stored it.
    current : str
        Version that loads it.
    """

    def __init__(self, what: str, stored: str, current: str) -> None:
        super().__init__(
            estimator_name=what, current_sklearn_version=current, original_sklearn_version=stored
        )

    def __str__(self) -> str:
        return (
            f"{self.estimator_name} was stored by sklearn_sparsedis {self.original_sklearn_version}"
            f" and is loaded by {self.current_sklearn_version}. It may fail or give other results:"
            " fit it again with this version, or load it with that one."
        )
