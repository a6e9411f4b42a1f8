"""What all estimators have in common: pickles say which version wrote them."""

from typing import Any

from sklearn.base import BaseEstimator

from sklearn_sparsedis._version import __version__
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.exceptions import VersionMismatchWarning

__all__ = ["StampedEstimator"]

STAMP = "_sklearn_sparsedis_version"


class StampedEstimator(BaseEstimator):
    """Estimator whose pickles carry the version of this package.

    scikit-learn does that for its own modules only.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), STAMP: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored = state.pop(STAMP, "(unknown)")
        if stored != __version__:
            name = type(self).__name__
            warn_caller(VersionMismatchWarning(name, stored, __version__))
        super().__setstate__(state)
