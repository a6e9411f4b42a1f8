"""Common bases of the estimators: pickles with a version, and heads on components."""

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

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
    """Estimator whose pickles carry the version of this package, and its encoder as arrays.

    scikit-learn stores versions for its own modules only. Arrays and plain values are what formats
    that execute no code can hold, such as that of skops.
    """

    # what builds the networks of `encoder_` from their names
    _networks: ClassVar[Mapping[str, Callable[..., nn.Module]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), STAMP: __version__}
        if "encoder_" in state:
            from sklearn_sparsedis.nn._stored_encoder import to_plain

            state["encoder_"] = to_plain(state["encoder_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored = state.pop(STAMP, "(unknown)")
        if stored != __version__:
            name = type(self).__name__
            warn_caller(VersionMismatchWarning(name, stored, __version__))
        if isinstance(state.get("encoder_"), dict):
            from sklearn_sparsedis.nn._stored_encoder import of_plain

            state["encoder_"] = of_plain(state["encoder_"], self._networks)
        super().__setstate__(state)

    def __copy__(self) -> Self:
        """Copy that shares all attributes, where `__getstate__` would give it another encoder."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def to_module(self) -> nn.Module:
        """Build a PyTorch module that predicts as this model does, with copies of all its numbers.

        It holds the scaling of the inputs, the encoder, the heads on the components and on X, and
        the responses of the losses. It can be trained further, exported (`torch.export`, ONNX) and
        called on any device and on rows that require gradients.

        Returns
        -------
        module : nn.Module
            In evaluation mode, on the CPU. It maps rows (n, n_features) to the predictions of all
            tasks, (n, n_tasks), in the dtype of the rows; for classifiers to a score for each
            class, (n, n_classes), of which the largest is that of the predicted label in
            `classes_`. Its attribute `encoder` maps rows to components, as `transform` does.
        """
        # only here, because predictions do not need it
        from sklearn_sparsedis.nn._predictor import Predictor

        check_is_fitted(self)
        fitted: Any = self
        return Predictor(
            self._encoder_module(),
            torch.tensor(fitted.coef_),
            torch.tensor(fitted.intercept_),
            self._heads_beside(),
            getattr(self, "losses_", ()),
        ).eval()

    def _heads_beside(self) -> list[tuple[nn.Module, torch.Tensor]]:
        """Modules from rows to further features, each with the heads that are on these."""
        return []

    def _encoder_module(self) -> nn.Module:
        """Copy of what `transform` computes."""
        return nn.Identity()

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
        if found is not None and getattr(self, "coef_landmarks_", None) is not None:
            raise AttributeError(
                f"{type(self).__name__} has no {wanted}: its new tasks have heads on similarities "
                "of rows too. Ask for heads on columns alone: adapt(X, Y, residual='linear')."
            )
        if found is None:
            raise AttributeError(
                f"{type(self).__name__} has no {wanted}: its components are no linear map of X. "
                'encoder="linear" has one; for other encoders there are '
                "sklearn.inspection.permutation_importance and shap.Explainer(model.predict, X)."
            )
        matrix, offset = found
        return matrix.numpy(), offset.numpy()
