"""Predictions of all tasks from components, how good they are and how far they are trusted."""

from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._base import ComponentHeads
from sklearn_sparsedis.inputs._parameters import check_real
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._task_names import find_tasks
from sklearn_sparsedis.inputs._tensors import cast_finite
from sklearn_sparsedis.tasks._packs import predictions_at

__all__ = ["TaskPredictions"]

# rows whose products with heads on features are made together
ROWS = 4096


class TaskPredictions(ComponentHeads):
    """Estimator whose heads, on components of X and perhaps on X beside them, predict tasks."""

    tasks_: NDArray[Any]
    losses_: NDArray[np.str_]
    coef_residual_: NDArray[np.float64] | None
    landmarks_: NDArray[np.float64] | None = None
    coef_landmarks_: NDArray[np.float64] | None = None
    prior_: Bunch | None
    _layout: str
    # rows and labels of heads with a prior, which say how far predictions are trusted
    _labels: Bunch | None
    # heads that have deviations without these
    _also_with_deviations = ""

    def _check_X(self, X: ArrayLike) -> NDArray[Any] | Rows:
        raise NotImplementedError

    def _transform(self, X: NDArray[Any] | Rows) -> NDArray[Any]:
        raise NotImplementedError

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
            Whether to return standard deviations of the targets too: of tasks that `adapt` gave
            heads with a prior, and with an encoder of tasks with squared errors, the same on all
            rows, where labels were held out in `fit` or the encoder is a regressor.

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

        For tasks of `adapt` targets are taken for normal. For tasks of `fit`, which have intervals
        with an encoder only, these are conformal: the factor by which `residual_std_` is multiplied
        is a quantile of residuals of rows that the training has not seen, whatever their
        distribution. They hold in the mean over rows and tasks, and are as wide on each row.

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
        # only here, because who rotates features needs no losses
        from sklearn_sparsedis.losses import Logistic

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
        half = self._half_width(confidence_level) * std
        ends = predicted[..., None] + np.stack([-half, half], axis=-1)
        return predicted, cast_finite(ends, rows.dtype, "the intervals")

    def _half_width(self, confidence_level: float) -> float:
        """Half the width of intervals, in standard deviations."""
        return float(ndtri((1 + confidence_level) / 2))

    def _deviations(
        self, X: NDArray[Any] | Rows, predicted: NDArray[Any], columns: Tensor | None
    ) -> NDArray[np.float64]:
        """Standard deviations of targets, of all tasks or of one a row."""
        if self._labels is None:
            raise ValueError(
                "Deviations were asked for, but these heads have no distribution. Those have one "
                'that adapt(X, Y, prior="learned") gave from rows of X that hold up to 67 million '
                f"numbers{self._also_with_deviations}."
            )
        # only here, because it loads what the trained estimators need
        from sklearn_sparsedis.estimators._new_tasks import AdaptedRows

        Z = torch.from_numpy(self._transform(X).astype(np.float64))
        assert self.prior_ is not None  # for mypy
        known = AdaptedRows.of_arrays(self.prior_, self._labels, self.losses_, self.landmarks_)
        table = predicted if columns is not None else predicted.reshape(len(Z), -1)
        means = torch.from_numpy(table.astype(np.float64))
        found = known.deviations(X, Z, means, columns)
        return found.reshape(predicted.shape)

    def _predictions(
        self, rows: NDArray[Any] | Rows, task_id: ArrayLike | None
    ) -> tuple[NDArray[Any], Tensor | None]:
        """Predictions in the dtype of the rows, of all tasks or of that of each row, and this."""
        columns = None
        if task_id is not None:
            columns = torch.from_numpy(find_tasks(task_id, self.tasks_, len(rows)))
            parts = self._components_and_heads(rows)
            predicted = predictions_at(torch.arange(len(rows)), columns, *parts).numpy()
            self._respond(predicted, self.losses_[columns.numpy()])
        else:
            predicted = self._predict_all(rows)
            if self._layout != "wide" and len(self.tasks_) == 1:
                predicted = predicted[:, 0]
        return cast_finite(predicted, rows.dtype, "the predictions"), columns

    def _predict_all(self, X: NDArray[Any] | Rows) -> NDArray[np.float64]:
        predicted = self._transform(X).astype(np.float64) @ self.coef_.T + self.intercept_
        beside = self._heads_beside()
        for some in _parts(len(X)) if beside else ():
            rows = torch.from_numpy(X[some].astype(np.float64))
            for module, coef in beside:
                predicted[some] += (module(rows) @ coef.T).numpy()
        self._respond(predicted, self.losses_)
        return predicted

    def _heads_beside(self) -> list[tuple[nn.Module, Tensor]]:
        if self.coef_residual_ is None:
            return []
        # only here, because who rotates features needs no network
        from sklearn_sparsedis.estimators._beside import landmarks_of

        found: list[tuple[nn.Module, Tensor]] = [(nn.Identity(), torch.tensor(self.coef_residual_))]
        landmarks = landmarks_of(self.prior_, self.landmarks_)
        if landmarks is not None:
            found.append((landmarks, torch.tensor(self.coef_landmarks_)))
        return found

    def _respond(self, scores: NDArray[np.float64], names: NDArray[np.str_]) -> None:
        """Turn scores into predictions in place, with the loss of each in the last dimension.

        Those of squared errors are predictions as they are.
        """

    def _components_and_heads(self, X: NDArray[Any] | Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Components of rows, and features with coefficients, these and intercepts, in float64."""
        Z, coef = torch.from_numpy(self._transform(X).astype(np.float64)), torch.tensor(self.coef_)
        beside = self._heads_beside()
        if beside:
            parts = [torch.from_numpy(X[some].astype(np.float64)) for some in _parts(len(X))]
            further = [torch.cat([module(part) for part in parts]) for module, _ in beside]
            Z = torch.cat([Z, *further], 1)
            coef = torch.cat([coef, *(heads for _, heads in beside)], 1)
        return Z, coef, torch.from_numpy(self.intercept_)

    def score(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        task_id: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> float:
        """Mean over tasks of the coefficient of determination on the labels that are there.

        For a logistic task that of its probabilities, which is the Brier skill score.

        Parameters
        ----------
        X, Y, sample_weight, task_id, y
            As in `fit`; tasks with fewer than two labels do not count. The columns of a data frame
            are matched with `tasks_` by name where the model was fitted with names, and those of
            arrays by position.

        Returns
        -------
        score : float
        """
        # only here and above, because who rotates features needs no losses
        from sklearn_sparsedis.inputs._targets import check_targets, r2

        rows = self._check_X(X)
        if self._layout == "long" and task_id is None:
            if len(self.tasks_) > 1:
                raise ValueError(
                    "task_id must be passed to score, because the model was fitted on rows with a "
                    "task_id: which task each row of Y belongs to is not known otherwise. Under "
                    "metadata routing, request it with set_score_request(task_id=True)."
                )
            task_id = np.repeat(self.tasks_, len(rows))
        Y = y if Y is None else Y
        targets = check_targets(
            Y,
            len(rows),
            task_id=task_id,
            sample_weight=sample_weight,
            tasks=self.tasks_,
            required=False,
            caller=f"{type(self).__name__}.score",
        )
        predicted = targets.values.predictions(*self._components_and_heads(rows)).numpy()
        self._respond(predicted, targets.at(self.losses_))
        scores = r2(targets, predicted)
        if np.isnan(scores).all():
            warn_caller(
                "R^2 is not defined with fewer than two labels in every task.",
                UndefinedMetricWarning,
            )
            return float("nan")
        return float(np.nanmean(scores))


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS)]
