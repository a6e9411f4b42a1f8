"""Common bases of the estimators: pickles with a version, and heads on components."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis._version import __version__
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.exceptions import VersionMismatchWarning

__all__ = ["ComponentHeads", "Identity", "StampedEstimator", "unchanged_on_failure"]

# Packages that read `coef_` as weights of the columns of X.
READERS = ("shap.explainers.", "sklearn.feature_selection.")
STAMP = "_sklearn_sparsedis_version"


@contextmanager
def unchanged_on_failure(estimator: object) -> Iterator[None]:
    """Restore the attributes of an estimator if the block fails or is interrupted."""
    before = copy.copy(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


@dataclass(frozen=True)
class Identity:
    """Facts by which a fit is recognised, in addition to its data.

    Attributes
    ----------
    estimator : str
        Name of its class.
    params : mapping of str to object
        Its parameters.
    callbacks : sequence of callbacks
        Callbacks of both protocols.
    """

    estimator: str
    params: Mapping[str, Any]
    callbacks: Sequence[Any] = ()


class StampedEstimator(BaseEstimator):
    """Estimator whose pickles carry the version of this package.

    scikit-learn stores versions for its own modules only.
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

    def _identity(self) -> Identity:
        """Facts by which a fit is recognised, in addition to its data."""
        callbacks = (
            *(getattr(self, "callbacks", None) or ()),
            *getattr(self, "_skl_callbacks", ()),
        )
        return Identity(type(self).__name__, self.get_params(deep=False), callbacks)


class ComponentHeads:
    """Estimator whose `coef_` weighs components rather than the columns of X."""

    intercept_: NDArray[Any]
    encoder_: Any

    @property
    def coef_(self) -> NDArray[Any]:
        """Coefficients of the heads on the components."""
        name = type(self).__name__
        if "coef_" not in vars(self):
            raise AttributeError(f"{name!r} object has no attribute 'coef_'")
        # With as many components as columns nothing else would reveal the mistake.
        reader = str(sys._getframe(1).f_globals.get("__name__"))
        if reader.startswith(READERS):
            raise TypeError(
                f"coef_ of {name} weighs components: it cannot be read as weights of the columns "
                f"of X, as {reader} does. Where components are linear in X, coef_features_ has "
                'those: pass importance_getter="coef_features_". For all models there are '
                "sklearn.inspection.permutation_importance and shap.Explainer(model.predict, X)."
            )
        heads: NDArray[Any] = vars(self)["coef_"]
        return heads

    @coef_.setter
    def coef_(self, heads: NDArray[Any]) -> None:
        vars(self)["coef_"] = heads

    @property
    def coef_features_(self) -> NDArray[Any]:
        """Coefficients of the heads on the columns of X, if the components are linear in them."""
        matrix, _ = self._linear_map("coef_features_")
        found: NDArray[Any] = self.coef_ @ matrix
        beside = getattr(self, "coef_residual_", None)
        return found if beside is None else found + beside

    @property
    def intercept_features_(self) -> NDArray[Any]:
        """Intercepts of the heads with the coefficients `coef_features_`."""
        _, offset = self._linear_map("intercept_features_")
        return self.coef_ @ offset + self.intercept_

    def _linear_map(self, wanted: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Matrix (n_components, n_features) and offset (n_components,) from X to components."""
        check_is_fitted(self)
        of_predictions = getattr(self, "regressor_", None) is not None
        found = None if of_predictions else self.encoder_.linear_map()
        if found is None:
            raise AttributeError(
                f"{type(self).__name__} has no {wanted}: its components are no linear map of X. "
                'encoder="linear" has one; for other encoders there are '
                "sklearn.inspection.permutation_importance and shap.Explainer(model.predict, X)."
            )
        matrix, offset = found
        return matrix.numpy(), offset.numpy()
