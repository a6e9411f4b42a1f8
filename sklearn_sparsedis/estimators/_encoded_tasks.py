"""Components and predictions of an encoder and heads, and how far predictions are trusted."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_sparsedis.estimators._regressors import TaskRegressors
from sklearn_sparsedis.estimators._residuals import factor_of
from sklearn_sparsedis.estimators._task_predictions import TaskPredictions
from sklearn_sparsedis.inputs._losses import respond
from sklearn_sparsedis.inputs._parameters import check_device
from sklearn_sparsedis.inputs._rows import Rows, check_rows, read_or_stay
from sklearn_sparsedis.inputs._tensors import cast_finite, to_tensor
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.training._encode import encode

__all__ = ["EncodedTasks"]


class EncodedTasks(ClassNamePrefixFeaturesOutMixin, TransformerMixin, TaskPredictions):
    """Estimator with an encoder whose components are features, and give predictions by heads."""

    encoder: Any
    encoder_: Encoder
    regressor_: TaskRegressors | None
    residual_std_: NDArray[np.float64] | None
    residual_quantiles_: NDArray[np.float64] | None
    device: str | torch.device
    _also_with_deviations = (
        ", and those of squared errors where labels were held out in fit (early_stopping=True) or "
        "the encoder is a regressor"
    )

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Components of rows, with mean zero and unit variance over the training rows.

        Those of a network that is not linear are no longer, in Euclidean norm, than the longest of
        the training rows: components of outlying rows are shortened to that. Where training kept
        ridge regression as it was, they are not if the tenth of the training rows that is farthest
        out is better predicted along the line.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In the dtype of X.
        """
        return self._transform(self._check_X(X))

    def _check_X(self, X: ArrayLike) -> NDArray[Any] | Rows:
        check_is_fitted(self)
        return read_or_stay(check_rows(self, X, reset=False))

    def _transform(self, X: NDArray[Any] | Rows) -> NDArray[Any]:
        return self._encode(X if self.regressor_ is None else self.regressor_.transform(X))

    def _encoder_module(self) -> nn.Module:
        if self.regressor_ is not None:
            raise TypeError(
                f"to_module needs an encoder that is a network: {type(self.encoder).__name__} is "
                "no PyTorch module. Store this model with joblib, and predict with it."
            )
        return copy.deepcopy(self.encoder_)

    def _encode(self, inputs: NDArray[Any] | Rows) -> NDArray[Any]:
        """Components of what the network takes: rows, or predictions of a regressor."""
        device = check_device(self.device, fitted=True)
        encoder: Any = self.encoder_
        if device.type != "cpu":  # the fitted model stays on the CPU
            encoder = copy.deepcopy(encoder).to(device)

        def convert(part: NDArray[Any]) -> Tensor:
            return encoder(to_tensor(part).to(encoder.mean)).cpu()

        with torch.no_grad(), seeded(0):
            return cast_finite(encode(convert, inputs).numpy(), inputs.dtype, "the components")

    def _deviations(
        self, X: NDArray[Any] | Rows, predicted: NDArray[Any], columns: Tensor | None
    ) -> NDArray[np.float64]:
        std = self.residual_std_
        if std is None or not np.isfinite(std).all():
            return super()._deviations(X, predicted, columns)
        if columns is None:
            return np.broadcast_to(std, (len(X), len(self.tasks_))).reshape(predicted.shape)
        return std[columns.numpy()]

    def _half_width(self, confidence_level: float) -> float:
        if self.residual_quantiles_ is None:
            return super()._half_width(confidence_level)
        return factor_of(self.residual_quantiles_, confidence_level)

    def _respond(self, scores: NDArray[np.float64], names: NDArray[np.str_]) -> None:
        respond(names, scores)
