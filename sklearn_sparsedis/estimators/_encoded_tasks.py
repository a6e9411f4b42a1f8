"""Components and predictions of an encoder and heads, and how far predictions are trusted."""

import copy
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_sparsedis.estimators._new_tasks import AdaptedRows, features_of
from sklearn_sparsedis.estimators._regressors import TaskRegressors
from sklearn_sparsedis.estimators._residuals import factor_of
from sklearn_sparsedis.estimators._task_predictions import TaskPredictions
from sklearn_sparsedis.inputs._losses import respond
from sklearn_sparsedis.inputs._parameters import check_device, check_real
from sklearn_sparsedis.inputs._rows import Rows, check_rows, read_or_stay
from sklearn_sparsedis.inputs._tensors import cast_finite, to_tensor
from sklearn_sparsedis.losses import Logistic
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.training._encode import encode

__all__ = ["EncodedTasks"]


class EncodedTasks(ClassNamePrefixFeaturesOutMixin, TransformerMixin, TaskPredictions):
    """Estimator with an encoder whose components are features, and give predictions by heads."""

    encoder: Any
    encoder_: Encoder
    regressor_: TaskRegressors | None
    prior_: Bunch | None
    residual_std_: NDArray[np.float64] | None
    residual_quantiles_: NDArray[np.float64] | None
    device: str | torch.device
    _labels: Bunch | None

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

    @overload
    def predict(
        self, X: ArrayLike, *, task_id: ArrayLike | None = None, return_std: Literal[False] = False
    ) -> NDArray[Any]: ...

    @overload
    def predict(
        self, X: ArrayLike, *, task_id: ArrayLike | None = None, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def predict(
        self, X: ArrayLike, *, task_id: ArrayLike | None = None, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Targets of rows: the conditional mean, for a logistic task the probability of 1.

        With "huber" it is the conditional location, which outliers hardly move.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        task_id : array-like of shape (n_samples,), optional
            Task of each row; all tasks on all rows when None.
        return_std : bool, default=False
            Whether to return standard deviations of the targets too: of tasks with squared errors,
            the same on all rows, where labels were held out in `fit` or the encoder is a regressor,
            and of tasks that `adapt` gave heads with a prior.

        Returns
        -------
        Y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            One-dimensional with `task_id`, or when fit was given a one-dimensional Y of one task.
        std : ndarray of the same shape
            With `return_std` only: of the targets, noise included. Labels 0 and 1 with a
            probability p have the standard deviation sqrt(p (1 - p)).
        """
        rows = self._check_X(X)
        predicted, columns = self._predictions(rows, task_id)
        if not return_std:
            return predicted
        std = self._deviations(rows, predicted, columns)
        return predicted, cast_finite(std, rows.dtype, "the standard deviations")

    def predict_interval(
        self, X: ArrayLike, *, confidence_level: float = 0.9, task_id: ArrayLike | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Targets of rows, and intervals in which they lie with a probability.

        For tasks of `fit` these are conformal: the factor by which `residual_std_` is multiplied is
        a quantile of residuals of rows that the training has not seen, whatever their distribution.
        They hold in the mean over rows and tasks, and are as wide on each row. For tasks of `adapt`
        targets are taken for normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        confidence_level : float in (0, 1), default=0.9
            Probability.
        task_id : array-like of shape (n_samples,), optional
            Task of each row; all tasks on all rows when None.

        Returns
        -------
        Y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            As `predict` gives it.
        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_tasks, 2)
            Lower and upper end of each.
        """
        check_real("confidence_level", confidence_level, 0, 1, closed="neither")
        check_is_fitted(self)
        labels = self.tasks_[self.losses_ == Logistic.name]
        if len(labels):
            raise ValueError(
                f"Labels 0 and 1 have no interval, and task {labels[0]} has such labels: predict "
                "gives the probability of 1."
            )
        rows = self._check_X(X)
        predicted, columns = self._predictions(rows, task_id)
        std = self._deviations(rows, predicted, columns)
        if self.residual_quantiles_ is None:
            half = ndtri((1 + confidence_level) / 2) * std
        else:
            half = factor_of(self.residual_quantiles_, confidence_level) * std
        ends = predicted[..., None] + np.stack([-half, half], axis=-1)
        return predicted, cast_finite(ends, rows.dtype, "the intervals")

    def _deviations(
        self, X: NDArray[Any] | Rows, predicted: NDArray[Any], columns: Tensor | None
    ) -> NDArray[np.float64]:
        """Standard deviations of targets, of all tasks or of one a row."""
        if self.residual_std_ is not None and np.isfinite(self.residual_std_).all():
            if columns is None:
                return np.broadcast_to(self.residual_std_, (len(X), len(self.tasks_))).reshape(
                    predicted.shape
                )
            return self.residual_std_[columns.numpy()]
        if self._labels is None:
            raise ValueError(
                "Deviations were asked for, but these heads have no distribution: those of squared "
                "errors have one where labels were held out in fit (early_stopping=True), where "
                'the encoder is a regressor, and where adapt(X, Y, prior="learned") gave them from '
                "rows of X that hold up to 67 million numbers."
            )
        Z = torch.from_numpy(self._transform(X).astype(np.float64))
        known = AdaptedRows.of_arrays(self.prior_, self._labels, self.losses_)
        table = predicted if columns is not None else predicted.reshape(len(Z), -1)
        means = torch.from_numpy(table.astype(np.float64))
        found = known.deviations(Z, features_of(self.prior_, X), means, columns)
        return found.reshape(predicted.shape)

    def _respond(self, scores: NDArray[np.float64], names: NDArray[np.str_]) -> None:
        respond(names, scores)
